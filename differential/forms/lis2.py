"""The result of a slide in LIS2-A2 records (formerly ASTM E1394): header, patient, order, results with comments, end.

Each record is a line that ends with a carriage return. smearcount does not know the patient: the receiver finds the sample by the
slide's name in O-3. What framed transmission over a serial line would add (LIS01-A2) is not here.
"""

from collections.abc import Collection, Mapping

from smearcount.differential.forms.codes import LOINC
from smearcount.differential.forms.disposition import Disposition
from smearcount.differential.forms.examination import Export, SlideExamination
from smearcount.differential.forms.observations import FACTOR_DIGITS, Observation, observations
from smearcount.differential.forms.remarks import full_text_of
from smearcount.differential.forms.wording import (
    RESEARCH_USE,
    decimals,
    named,
    on_one_line,
    printable,
    slide_identifier,
)
from smearcount.differential.ratios import RangeFlag

_ESCAPES = str.maketrans({"&": "&E&", "|": "&F&", "^": "&S&", "\\": "&R&"})
#: R-9: preliminary, final, correction. LIS2-A2 has no letter for a result that was taken back: X says that there is none.
_STATUSES = {
    Disposition.PRELIMINARY: "P",
    Disposition.FINAL: "F",
    Disposition.CORRECTED: "C",
    Disposition.UNVERIFIED: "P",
    Disposition.WITHDRAWN: "X",
}
_FLAGS = {RangeFlag.LOW: "L", RangeFlag.HIGH: "H", RangeFlag.BORDERLINE: "", None: "N"}


def records(
    examination: SlideExamination,
    export: Export,
    disposition: Disposition,
    *,
    control_id: str,
    codes: Mapping[str, str],
    wanted: Collection[str] = (),
) -> str:
    """Return one slide's result as records.

    Args:
        examination: the slide.
        export: tells the time and the version.
        disposition: what the message says of the result.
        control_id: names the message (H-3).
        codes: the receiver's own codes by ours.
        wanted: our codes of the observations that are sent; empty sends all.
    """
    status = _STATUSES[disposition]
    sample = _escaped(slide_identifier(examination.slide, examination.slide_id))
    version = _escaped(named(export.version, "unknown"))
    at = f"{export.at:%Y%m%d%H%M%S}"
    lines = [
        f"H|\\^&|{control_id}||smearcount^{version}|||||||P|LIS2-A2|{at}",
        "P|1",
        f"O|1|{sample}||^^^{_escaped('DIFF')}|||||||||||||||||||||{status}",
        *_comments([*(flag.message for flag in examination.reported.flags),
                    *(on_one_line(full_text_of(one)) for one in examination.remarks.said), RESEARCH_USE]),
    ]  # fmt: skip
    sent = (one for one in observations(examination) if not wanted or one.code.code in wanted)
    for number, observation in enumerate(sent, start=1):
        lines.append(_result(number, observation, examination, status, codes))
        lines += _comments([observation.basis] if observation.basis else [])
    lines.append("L|1|N")
    return "".join(line + "\r" for line in lines)


def _result(
    number: int, observation: Observation, examination: SlideExamination, status: str, codes: Mapping[str, str]
) -> str:
    code, value, reference = observation.code, observation.value, observation.reference
    digits = FACTOR_DIGITS if observation.unit.code == "1" else 2
    kind = "LN" if code.system == LOINC else "99SMC"
    name = codes.get(code.code, code.code).split("^")[0]
    completed = examination.reported.completed_at
    fields = [
        "R",
        str(number),
        f"^^^{_escaped(name)}^{_escaped(code.display)}^{kind}",
        "" if value is None else decimals(value, digits),
        _escaped(observation.unit.code),
        "" if reference is None else f"{reference.low:g} to {reference.high:g}",
        "" if reference is None or value is None else _FLAGS[observation.flag],
        "",
        status if value is not None or status == "X" else "X",
        "",
        "" if examination.signed_by is None else _escaped(named(examination.signed_by, "unnamed")),
        "",
        "" if completed is None else f"{completed:%Y%m%d%H%M%S}",
        "smearcount",
    ]
    return "|".join(fields)


def _comments(texts: Collection[str]) -> list[str]:
    return [f"C|{number}|I|{_escaped(text)}|G" for number, text in enumerate(texts, start=1)]


def _escaped(text: str) -> str:
    return printable(text).translate(_ESCAPES)
