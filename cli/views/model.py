"""A model as tables show it."""

from dataclasses import dataclass
from pathlib import Path

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from smearcount.differential.classes import DISPLAY_NAMES
from smearcount.models.card import ModelCard
from smearcount.models.catalogue.registry import Registered


@dataclass(frozen=True)
class ModelLine:
    """One model in the list."""

    model: str
    in_use: bool
    version: str
    runtime: str
    precision: str
    #: Share of the validation images called right.
    accuracy: float
    macro_recall: float
    sha256: str
    card: Path

    @classmethod
    def of(cls, model: Registered, *, in_use: bool) -> "ModelLine":
        """Return the line of a model."""
        card = model.card
        return cls(
            model=model.reference,
            in_use=in_use,
            version=card.version,
            runtime=card.runtime,
            precision=card.precision,
            accuracy=card.validation.accuracy,
            macro_recall=card.validation.macro_recall,
            sha256=card.content_sha256,
            card=model.path,
        )


#: What of a line fits a terminal.
COLUMNS = ("model", "in_use", "version", "runtime", "precision", "accuracy", "macro_recall")


def card_table(card: ModelCard) -> RenderableType:
    """Return a model card for the terminal."""
    figures = card.validation
    recall = ", ".join(f"{DISPLAY_NAMES[label]} {share:.1%}" for label, share in figures.recall.items())
    confusions = ", ".join(f"{c.truth} called {c.called} {c.images}" for c in card.confusions)
    review = f"{figures.unidentified:.1%} of the cells go to review"
    if figures.errors_unidentified is not None:
        review += f", {figures.errors_unidentified:.0%} of the errors are among them"
    unlike = "cannot be told"
    if card.ood is not None:
        unlike = f"unidentified over {card.ood.limit:g}; {card.ood.over_limit:.1%} of the validation images"
    lines = {
        "Model": f"{card.name} {card.version}",
        "SHA-256": card.content_sha256,
        "File": f"{card.file} (SHA-256 {card.sha256[:12]}), {card.bytes / 1e6:.2f} MB, {card.parameters:,} parameters",
        "Runtime": f"{card.runtime}, {card.precision}, {card.preprocessing}, {card.input_side} px",
        "Accuracy": f"{figures.accuracy:.2%} of {figures.images:,} validation images",
        "Balanced accuracy": f"{figures.macro_recall:.2%}",
        "Recall": recall,
        "Confusions": confusions or "none",
        "Calibration": f"expected calibration error {figures.expected_calibration_error:.2%} "
        f"at temperature {card.temperature:g}",
        "Threshold": f"{card.threshold:g}: {review}",
        "Other kinds": unlike,
        "Parity": f"{card.parity.same_class} of {card.parity.images} images in the same class as the trained network, "
        f"probabilities differ by {card.parity.largest_difference:.2g} at most",
        "Trained on": card.training.text,
        "Split": card.training.split,
        "Source": f"{card.training.source}, doi:{card.training.doi}",
        "Licence": f"{card.training.licence}. {card.training.attribution}",
        "Limits": "\n".join(f"- {limit}" for limit in card.limits),
    }
    table = Table(box=box.SIMPLE, show_header=False, pad_edge=False)
    table.add_column(no_wrap=True, style="bold")
    table.add_column(overflow="fold")
    for name, text in lines.items():
        table.add_row(name, Text(text))
    return Group(table)
