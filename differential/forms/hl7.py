r"""The result of a slide as an HL7 v2.5.1 message, ORU^R01 or OUL^R22, for a laboratory information system.

Segments: MSH and SFT (smearcount; chapter 2), PID (empty; chapter 3), OBR and NTE (flags, what people wrote), an OBX with its
NTEs per number, SPM (the slide; chapter 7), which comes before OBR in an OUL^R22. smearcount does
not know the patient: the receiver finds the order by the slide's name in SPM-2. Segments end with a carriage return.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime

from smearcount.differential.forms import codes
from smearcount.differential.forms.codes import LOINC, Code
from smearcount.differential.forms.disposition import Disposition
from smearcount.differential.forms.examination import METHODS, Export, SlideExamination, derived_id
from smearcount.differential.forms.hl7_profile import Accession, MessageType, Profile
from smearcount.differential.forms.observations import FACTOR_DIGITS, Observation, observations
from smearcount.differential.forms.remarks import full_text_of
from smearcount.differential.forms.wording import RESEARCH_USE, decimals, named, printable, slide_identifier
from smearcount.differential.ratios import RangeFlag

APPLICATION = "smearcount"

#: The local code system: the standard asks for 99 and up to three characters (HL7 table 0396).
LOCAL_SYSTEM = "99SMC"

_SEPARATORS = r"^~\&"
_ESCAPES = str.maketrans({"\\": "\\E\\", "|": "\\F\\", "^": "\\S\\", "~": "\\R\\", "&": "\\T\\"})
_LINE_END = "\\.br\\"
#: OBX-8 (HL7 table 0078). It has no code for a number outside its range that cannot be told from one within: the field stays
#: empty, which says that nothing is stated, and a note says why.
_FLAGS = {RangeFlag.LOW: "L", RangeFlag.HIGH: "H", RangeFlag.BORDERLINE: "", None: "N"}

#: HL7's null value (chapter 2), for a required field that has no value.
_NULL = '""'

#: Comment type (NTE-4, HL7 table 0364) of what a person wrote.
_REMARK = "RE^Remark^HL70364"

#: The name of a patient whose name is not known (chapter 3, PID-5): no legal name, and an unspecified one.
_NO_NAME = "~^^^^^^U"


#: How exports are written.
_EXPORTED = Profile()

#: OBR-25 (HL7 table 0123) and OBX-11 (HL7 table 0085).
_STATUSES: Mapping[Disposition, tuple[str, str]] = {
    Disposition.PRELIMINARY: ("P", "P"),
    Disposition.FINAL: ("F", "F"),
    Disposition.CORRECTED: ("C", "C"),
    Disposition.UNVERIFIED: ("R", "R"),  # stored and not verified
    Disposition.WITHDRAWN: ("X", "W"),  # no result available; what was sent is wrong
}


def oru(
    examination: SlideExamination,
    export: Export,
    profile: Profile = _EXPORTED,
    disposition: Disposition | None = None,
) -> str:
    """Return one slide's result as a message, by default an ORU^R01 with its text in UTF-8.

    Results are preliminary (P) until the slide is signed, then final (F); they are corrections (C) if an earlier signature
    was taken back. A percentage without any WBC cannot be obtained (X). OBR-3 depends on the slide alone: a newer message
    replaces an older one. Percentages are rounded to two decimals; the raw counts beside them are exact.

    Args:
        examination: the slide.
        export: names the message and tells its time.
        profile: what was agreed with the receiver.
        disposition: what the message says of the result; None for what the examination itself says.
    """
    said = disposition or Disposition.of(examination)
    writer = _Writer(examination, export, profile, said)
    code, trigger = profile.message_type.value.split("^")
    structure = _components(code, trigger, f"{code}_{trigger}")
    fields = {9: structure, 10: control_id(examination, export), 11: profile.processing_id, 12: "2.5.1"}
    segments = [
        _header("MSH", export, profile, fields),
        _software(export),
        _segment("PID", {1: "1", 3: _NULL, 5: _NO_NAME}),
    ]
    result = writer.result()
    if profile.message_type is MessageType.OUL:
        segments += [writer.specimen(), *result]
    else:
        segments += [*result, writer.specimen()]
    return "".join(segment + "\r" for segment in segments)


def control_id(examination: SlideExamination, export: Export) -> str:
    """Return MSH-10, which names the message: the same for the same slide and the same key of the export."""
    return derived_id("message", examination.report_id, export.key).hex[:20]


def batch(examinations: Iterable[SlideExamination], export: Export) -> str:
    """Return the results of many slides as one batch (chapter 2): a message for each, between BHS and BTS."""
    messages = [oru(examination, export) for examination in examinations]
    header = _header("BHS", export, _EXPORTED, {11: derived_id("batch", export.key).hex[:20]})
    return f"{header}\r{''.join(messages)}{_segment('BTS', {1: str(len(messages))})}\r"


def escaped(text: str) -> str:
    r"""Return printable text with HL7's separators as escape sequences (chapter 2); nothing in it can end a segment."""
    return printable(text).translate(_ESCAPES)


def _header(name: str, export: Export, profile: Profile, fields: Mapping[int, str]) -> str:
    """Return MSH or BHS, whose first field is the field separator itself."""
    common = {
        2: _SEPARATORS,
        3: _hierarchic(profile.sending_application),
        4: _hierarchic(profile.sending_facility),
        5: _hierarchic(profile.receiving_application),
        6: _hierarchic(profile.receiving_facility),
        7: _time(export.at, profile),
    }
    accept, application = profile.asked
    modes = {15: accept, 16: application, 18: profile.character_set} if name == "MSH" else {}
    return _segment(name, common | dict(fields) | modes, first=2)


def _software(export: Export) -> str:
    version = escaped(named(export.version, "unknown"))
    return _segment("SFT", {1: APPLICATION, 2: version, 3: APPLICATION, 4: version})


class _Writer:
    """Writes the segments of one slide."""

    def __init__(
        self, examination: SlideExamination, export: Export, profile: Profile, disposition: Disposition
    ) -> None:
        self._examination = examination
        self._export = export
        self._profile = profile
        self._disposition = disposition

    def result(self) -> list[str]:
        """Return OBR and OBX with their notes."""
        segments = [self._order(), *_notes(_notes_on_the_whole(self._examination))]
        wanted = self._profile.observations
        sent = (one for one in observations(self._examination) if not wanted or one.code.code in wanted)
        for number, observation in enumerate(sent, start=1):
            segments.append(self._observation(number, observation))
            segments += _notes((note, "") for note in _notes_on(observation))
        return segments

    def specimen(self) -> str:
        """Return SPM, which names the slide."""
        name = self._slide()
        return _segment("SPM", {1: "1", 2: f"^{name}&{APPLICATION}", 4: _components("BLD", "Whole blood", "HL70487")})

    def _slide(self) -> str:
        return escaped(slide_identifier(self._examination.slide, self._examination.slide_id))

    def _order(self) -> str:
        examination, profile = self._examination, self._profile
        result = examination.reported
        fields = {
            1: "1",
            3: _components(str(examination.report_id), APPLICATION),
            4: self._coded(codes.PANEL),
            7: _time(result.first_image_at, profile),
            22: _time(examination.signed_at or self._export.at, profile),
            24: "HM",
            25: _STATUSES[self._disposition][0],
        }
        if profile.accession is not Accession.SPECIMEN:
            number = int(profile.accession.value.removeprefix("OBR-"))
            fields[number] = self._slide() if number == 18 else f"{self._slide()}^{APPLICATION}"
        if examination.signed_by is not None:
            # OBR-32 consists of components, and its name of subcomponents; the first of them, an id, is empty.
            fields[32] = f"&{escaped(named(examination.signed_by, 'unnamed'))}"
        return _segment("OBR", fields)

    def _observation(self, number: int, observation: Observation) -> str:
        examination, profile = self._examination, self._profile
        result, value, reference = examination.reported, observation.value, observation.reference
        judged = reference is not None and value is not None
        fields = {
            1: str(number),
            2: "NM" if value is not None else "",
            3: self._coded(observation.code),
            5: _number(observation, value),
            6: _components(observation.unit.code, observation.unit.display, "UCUM"),
            7: "" if reference is None else f"{reference.low:g}-{reference.high:g}",
            8: _FLAGS[observation.flag] if judged else "",
            11: self._status(value),
            14: _time(result.first_image_at, profile),
            16: "" if examination.signed_by is None else _components("", named(examination.signed_by, "unnamed")),
            17: _components(examination.method.value, METHODS[examination.method], LOCAL_SYSTEM),
            19: _time(result.completed_at, profile),
        }
        if result.model is not None:
            name = named(f"{result.model.name} {result.model.version}", "unnamed")
            fields[18] = _components(name, APPLICATION, result.model.sha256, "L")
        return _segment("OBX", fields)

    def _status(self, value: float | None) -> str:
        if value is None and self._disposition is not Disposition.WITHDRAWN:
            return "X"
        return _STATUSES[self._disposition][1]

    def _coded(self, code: Code) -> str:
        ours = _coded(code)
        theirs = self._profile.codes.get(code.code)
        if theirs is None:
            return ours
        name, text, system = [*theirs.split("^"), "", ""][:3]
        return f"{_components(name, text or code.display, system or 'L')}^{ours}"


def _notes_on_the_whole(examination: SlideExamination) -> Iterator[tuple[str, str]]:
    """Yield the notes on a slide, each with its type: its flags, what people wrote, and what it may be used for."""
    for flag in examination.reported.flags:
        yield flag.message, ""
    for remark in examination.remarks.said:
        yield full_text_of(remark), _REMARK
    yield RESEARCH_USE, ""


def _notes_on(observation: Observation) -> Iterator[str]:
    """Yield the notes below a result: the counts behind it, its interval, why it is borderline, its value before the review."""
    unit = observation.unit.display
    if observation.basis is not None:
        yield observation.basis
    if observation.interval is not None:
        low, high = decimals(observation.interval.low), decimals(observation.interval.high)
        yield f"95 % interval {low}-{high} {unit} (exact binomial)"
    if observation.borderline is not None:
        yield observation.borderline.message
    if observation.value is None:
        yield "No WBC counted."
    if observation.before_review is not None:
        yield f"Before review: {_number(observation, observation.before_review)} {unit}".removesuffix(" cells")


def _notes(notes: Iterable[tuple[str, str]]) -> list[str]:
    """Return an NTE for each note and its type; a line of a note ends with the escape sequence of formatted text (FT)."""
    return [
        # L: the source of the note is the laboratory (HL7 table 0105).
        _segment("NTE", {1: str(number), 2: "L", 3: _LINE_END.join(map(escaped, text.split("\n"))), 4: kind})
        for number, (text, kind) in enumerate(notes, start=1)
    ]


def _number(observation: Observation, value: float | None) -> str:
    if value is None:
        return ""
    return decimals(value, FACTOR_DIGITS) if observation.unit is codes.FACTOR else decimals(value)


def _coded(code: Code) -> str:
    return _components(code.code, code.display, "LN" if code.system == LOINC else LOCAL_SYSTEM)


def _components(*texts: str) -> str:
    return "^".join(map(escaped, texts))


def _hierarchic(name: str) -> str:
    """Return a name as HL7 has it (HD): namespace, universal id and its type, which a site separates by `^`."""
    return _components(*name.split("^"))


def _time(moment: datetime | None, profile: Profile) -> str:
    return "" if moment is None else f"{moment.astimezone(profile.zone):%Y%m%d%H%M%S%z}"


def _segment(name: str, fields: Mapping[int, str], *, first: int = 1) -> str:
    """Return a segment, from its fields by their numbers; missing fields are empty, and the last one is not."""
    last = max(number for number, field in fields.items() if field)
    return "|".join([name, *(fields.get(number, "") for number in range(first, last + 1))])
