r"""The HL7 v2.5.1 message: valid by one library's structure, read back by another's, equal to the report in every number."""

import dataclasses
import re
from decimal import Decimal

import hl7
import pytest
from hl7apy.consts import VALIDATION_LEVEL
from hl7apy.exceptions import ValidationError
from hl7apy.parser import parse_message
from hypothesis import given, settings
from hypothesis import strategies as st

from smearcount.differential.classes import CellClass
from smearcount.differential.forms.codes import PERCENTS
from smearcount.differential.forms.examination import Export, SlideExamination
from smearcount.differential.forms.hl7 import batch, escaped, oru
from smearcount.differential.forms.observations import observations
from smearcount.differential.forms.remarks import Remarks, full_text_of
from smearcount.differential.forms.wording import RESEARCH_USE, named, printable, slide_identifier
from smearcount.differential.ratios import RangeFlag
from smearcount.differential.status import SlideStatus

from support.examining import (
    EXPORT,
    HOSTILE_TEXTS,
    REMARKS,
    SIGNED_AT,
    any_examination,
    examined,
    exports,
    reviewed_tally,
    signed,
    tally,
)
from support.examples import examples

STATUSES = {
    "unsigned": (examined(reviewed=reviewed_tally()), "P"),
    "counting": (examined(automatic=tally(status=SlideStatus.COUNTING)), "P"),
    "reopened": (examined(reviewed=reviewed_tally(), was_signed_before=True), "P"),
    "signed": (signed(), "F"),
    "signed without a change": (examined(signed_by="A", signed_at=SIGNED_AT), "F"),
    "signed again": (signed(was_signed_before=True), "C"),
}


class Read:
    """A message as a receiver reads it: by segments, fields and components, unescaped (by python-hl7)."""

    def __init__(self, message: str) -> None:
        assert message.endswith("\r")
        assert not message.replace("\r", "").count("\n")
        self.message = hl7.parse(message)
        self.results: dict[str, hl7.Segment] = {}
        self.notes: dict[str, list[str]] = {"OBR": []}
        self.types: dict[str, list[str]] = {"OBR": []}
        below = "OBR"
        for segment in self.message:
            name = str(segment[0])
            if name == "OBX":
                below = str(segment[3][0][0])
                self.results[below] = segment
                self.notes[below] = []
                self.types[below] = []
            elif name == "NTE":
                self.notes[below].append(self.message.unescape(str(segment[3])))
                self.types[below].append(str(segment[4]) if len(segment) > 4 else "")

    def value(self, code: str) -> Decimal | None:
        """Return the number of a result, None where it could not be obtained."""
        text = str(self.results[code][5])
        return Decimal(text) if text else None

    def field(self, segment: str, *place: int) -> str:
        """Return what stands at a place of the first segment of its name, unescaped."""
        return str(self.message.extract_field(segment, 1, *place))


def exact(number: float | None, digits: int = 2) -> Decimal | None:
    return None if number is None else Decimal(repr(round(number, digits)))


@settings(max_examples=examples(30))
@given(any_examination(), exports)
def test_every_message_says_what_the_report_says(examination: SlideExamination, export: Export) -> None:
    read = Read(oru(examination, export))
    result = examination.reported

    for row in result.differential:
        code = PERCENTS[row.cell_class].code
        segment = read.results[code]
        assert read.value(code) == exact(row.percent)
        assert str(segment[2]) == ("" if row.percent is None else "NM")
        assert str(segment[6]) == "%^%^UCUM"
        if row.reference_low is not None:
            assert str(segment[7]) == f"{row.reference_low:g}-{row.reference_high:g}"
        if row.percent is None:
            assert (str(segment[8]), str(segment[11])) == ("", "X")
            assert read.notes[code][0] == "No WBC counted."
        else:
            letter = {RangeFlag.LOW: "L", RangeFlag.HIGH: "H", RangeFlag.BORDERLINE: "", None: "N"}[row.flag]
            assert str(segment[8]) == ("" if row.reference_low is None else letter)
            basis, interval = read.notes[code][:2]
            assert basis == f"{row.count} of {result.wbc_counted} WBC"
            low, high = interval.removeprefix("95 % interval ").removesuffix(" % (exact binomial)").split("-")
            assert (Decimal(low), Decimal(high)) == (exact(row.ci95_low), exact(row.ci95_high))
            told = [note for note in read.notes[code] if "cannot be told from normal with" in note]
            assert len(told) == (row.flag is RangeFlag.BORDERLINE)
        assert read.value(f"{row.cell_class}-count") == row.count
    assert read.value("19048-8") == exact(result.nrbc_per_100_wbc)
    assert read.value("erythroblast-count") == result.cells[CellClass.ERYTHROBLAST]
    assert read.value("platelets-seen") == result.platelets
    assert read.value("unidentified") == result.unidentified
    assert read.value("wbc-counted") == result.wbc_counted
    assert read.value("reviewed-cells") == examination.reviewed_cells
    assert ("wbc-correction-factor" in read.results) == (result.wbc_correction_factor is not None)
    if result.wbc_correction_factor is not None:
        assert read.value("wbc-correction-factor") == exact(result.wbc_correction_factor, 3)
    assert len(read.results) == len(observations(examination))
    assert read.value("excluded-cells") == len(examination.remarks.excluded)
    excluded = examination.remarks.excluded_text
    assert read.notes["excluded-cells"] == ([excluded] if excluded else [])
    said = [full_text_of(remark) for remark in examination.remarks.said]
    # The reader of this library writes a carriage return for the end of a line.
    assert read.notes["OBR"] == [
        *(flag.message for flag in result.flags),
        *(text.replace("\n", "\r") for text in said),
        RESEARCH_USE,
    ]
    assert read.types["OBR"] == [""] * len(result.flags) + ["RE^Remark^HL70364"] * len(said) + [""]


@settings(max_examples=examples(15))
@given(any_examination(), exports)
def test_every_message_has_the_structure_of_an_oru_r01(examination: SlideExamination, export: Export) -> None:
    message = oru(examination, export)
    assert parse_message(message, validation_level=VALIDATION_LEVEL.STRICT, find_groups=True).validate()
    # The library cannot write the escape sequence of a line end that it has read.
    message = re.sub(r"(?<!\\E)\\\.br\\", " ", message)
    parsed = parse_message(message, validation_level=VALIDATION_LEVEL.STRICT, find_groups=True)

    assert parsed.validate()
    assert parsed.to_er7() == message.removesuffix("\r")
    (result,) = parsed.oru_r01_patient_result
    (order,) = result.oru_r01_order_observation
    assert len(order.oru_r01_observation) == len(observations(examination))
    assert len(order.oru_r01_specimen) == 1


@pytest.mark.parametrize(
    ("whole", "spoilt", "lack"), [('PID|1||""|', "PID|1|||", "PID.PID_3"), ("|F|||2026", "||||2026", "OBX.OBX_11")]
)
def test_the_library_refuses_a_message_that_lacks_something(whole: str, spoilt: str, lack: str) -> None:
    message = oru(signed(), EXPORT)
    assert whole in message

    with pytest.raises(ValidationError, match=f"Missing required child {lack}"):
        parse_message(message.replace(whole, spoilt), validation_level=VALIDATION_LEVEL.STRICT).validate()


@settings(max_examples=examples(30))
@given(any_examination(), exports)
def test_names_come_out_as_they_went_in_and_never_make_a_segment(examination: SlideExamination, export: Export) -> None:
    message = oru(examination, export)
    read = Read(message)

    assert read.field("SPM", 2, 1, 2, 1) == slide_identifier(examination.slide, examination.slide_id)
    assert {line.partition("|")[0] for line in message.split("\r")} == {
        "MSH",
        "SFT",
        "PID",
        "OBR",
        "NTE",
        "OBX",
        "SPM",
        "",
    }
    if examination.signed_by is not None:
        assert read.field("OBR", 32, 1, 1, 2) == named(examination.signed_by, "unnamed")
        assert read.field("OBX", 16, 1, 2) == named(examination.signed_by, "unnamed")
    model = examination.reported.model
    if model is not None:
        assert read.field("OBX", 18, 1, 1) == named(f"{model.name} {model.version}", "unnamed")
        assert read.field("OBX", 18, 1, 3) == model.sha256


@given(st.text() | st.sampled_from(HOSTILE_TEXTS))
def test_escaping_can_be_undone_and_leaves_no_separator(text: str) -> None:
    written = escaped(text)

    assert not set("|^~&\r\n") & set(written)
    assert hl7.parse("MSH|^~\\&|").unescape(written) == printable(text)


@pytest.mark.parametrize(
    ("text", "written"),
    [("|", "\\F\\"), ("^", "\\S\\"), ("~", "\\R\\"), ("\\", "\\E\\"), ("&", "\\T\\"), ("\\F\\", "\\E\\F\\E\\")],
)
def test_every_separator_has_its_escape_sequence(text: str, written: str) -> None:
    assert escaped(text) == written


@pytest.mark.parametrize(("examination", "status"), STATUSES.values(), ids=STATUSES)
def test_the_status_follows_the_signature(examination: SlideExamination, status: str) -> None:
    read = Read(oru(examination, EXPORT))

    assert str(read.message.segment("OBR")[25]) == status
    assert {str(segment[11]) for segment in read.results.values()} == {status}


def test_the_header_and_the_order() -> None:
    read = Read(oru(signed(), EXPORT))
    header, order, patient = (read.message.segment(name) for name in ("MSH", "OBR", "PID"))

    assert [str(header[place]) for place in (3, 7, 9, 11, 12, 18)] == [
        "smearcount", "20260301090500+0000", "ORU^R01^ORU_R01", "P", "2.5.1", "UNICODE UTF-8",
    ]  # fmt: skip
    assert 0 < len(str(header[10])) <= 20
    assert [str(order[place]) for place in (3, 4, 7, 22, 25)] == [
        f"{signed().report_id}^smearcount",
        "69738-3^Differential panel, method unspecified - Blood^LN",
        "20260301083000+0000",
        "20260301090000+0000",
        "F",
    ]
    # Nobody's name, nobody's number.
    assert [str(field) for field in patient[1:]] == ["1", "", '""', "", "~^^^^^^U"]


def test_what_was_called_before_the_review_stands_below_the_result() -> None:
    read = Read(oru(signed(), EXPORT))

    assert read.notes["26511-6"] == [
        "79 of 103 WBC",
        "95 % interval 67.34-84.46 % (exact binomial)",
        "Neutrophil borderline: 76.7 % (79 of 103), reference 39-75 %, cannot be told from normal with 103 cells",
        "Before review: 78 %",
    ]
    assert read.notes["neutrophil-count"] == ["Before review: 78"]
    assert not any("Before review" in note for notes in Read(oru(examined(), EXPORT)).notes.values() for note in notes)


def test_what_people_wrote_stands_below_the_order_with_who_and_when() -> None:
    message = oru(signed(remarks=REMARKS), EXPORT)
    notes = [segment for segment in message.split("\r") if "HL70364" in segment]

    assert notes == [
        "NTE|5|L|2026-03-01 08:50:00 UTC, A. Schmidt, 2 cells called ig: indented nucleus|RE^Remark^HL70364",
        "NTE|6|L|2026-03-01 08:58:00 UTC, M. Müller, comment: stain a little pale\\.br\\\\T\\ thick at the edge"
        "|RE^Remark^HL70364",
    ]


@pytest.mark.parametrize("text", HOSTILE_TEXTS, ids=repr)
def test_no_text_makes_a_segment_or_another_note(text: str) -> None:
    (remark,) = (dataclasses.replace(one, text=text) for one in REMARKS.said[1:])
    one = signed(remarks=Remarks(said=(remark,)))
    lines = [segment.partition("|")[0] for segment in oru(one, EXPORT).split("\r")]
    without = [segment.partition("|")[0] for segment in oru(signed(), EXPORT).split("\r")]

    assert lines == [*without[: lines.index("NTE")], "NTE", *without[lines.index("NTE") :]]
    (note,) = [
        note
        for note, kind in zip(Read(oru(one, EXPORT)).notes["OBR"], Read(oru(one, EXPORT)).types["OBR"], strict=True)
        if kind
    ]
    assert note == full_text_of(remark).replace("\n", "\r")


def test_a_newer_message_replaces_the_older_but_is_another_message() -> None:
    again = Export(key="another", at=EXPORT.at, version=EXPORT.version)
    first, same, other = (Read(oru(signed(), export)).message for export in (EXPORT, EXPORT, again))

    assert str(first) == str(same)
    assert str(first.segment("MSH")[10]) != str(other.segment("MSH")[10])
    assert str(first.segment("OBR")[3]) == str(other.segment("OBR")[3])


def test_many_slides_are_one_batch() -> None:
    slides = [signed(), examined(automatic=tally(slide="BTS|7\rBHS|"))]
    read = hl7.parse_batch(batch(slides, EXPORT))

    assert [str(message) for message in read] == [str(hl7.parse(oru(each, EXPORT))) for each in slides]
    assert str(read.trailer[1]) == "2"


def test_a_batch_may_be_empty() -> None:
    assert batch([], EXPORT).split("\r")[1:] == ["BTS|0", ""]
