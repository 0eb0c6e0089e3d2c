"""An evaluation in words and as JSON. Pure functions; their callers print or write what they return."""

import json
from dataclasses import asdict

from smearcount.models.evaluation.evaluation import Evaluation

#: Keys that readers of evaluation.json know, where the field has another name.
_JSON_KEYS = {"unidentified_by_ood": "unlike", "ood_probes": "strangers"}


def report_json(evaluation: Evaluation) -> str:
    """Return the evaluation as JSON, with shares from 0 to 1 and null where there is none."""
    fields = {_JSON_KEYS.get(name, name): value for name, value in asdict(evaluation).items()}
    return json.dumps(fields, indent=2, allow_nan=False) + "\n"


def review_text(evaluation: Evaluation) -> str:
    """Return a sentence on what the threshold in force costs and brings."""
    text = f"{percent(evaluation.unidentified)} % of the cells go to review"
    if evaluation.errors_unidentified is None:
        return f"{text}; no call is wrong"
    return f"{text}; {percent(evaluation.errors_unidentified)} % of the errors are among them"


def percent(share: float | None) -> str:
    """Return a share (0-1) in percent with one decimal and no sign, `-` for None."""
    return "-" if share is None else f"{share:.1%}".removesuffix("%")
