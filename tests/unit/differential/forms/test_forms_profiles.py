"""What was agreed with a receiver of HL7 v2 messages is what it gets, and the messages stay valid."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import hl7
import pytest
from hl7apy.consts import VALIDATION_LEVEL
from hl7apy.parser import parse_message

from smearcount.differential.forms.disposition import Disposition
from smearcount.differential.forms.examination import Export
from smearcount.differential.forms.fhir import transaction
from smearcount.differential.forms.hl7 import oru
from smearcount.differential.forms.hl7_profile import Accession, Acknowledgement, MessageType, Profile
from smearcount.differential.forms.lis2 import records

from support.examining import EXPORT, REMARKS, reviewed_tally, signed, tally

PAGE = (Path(__file__).parents[4] / "docs" / "delivery.md").read_text(encoding="utf-8")
#: The slide and the receiver of the page's examples.
SHOWN = signed(remarks=REMARKS)
LIS = Profile(
    sending_facility="HAEMATOLOGY",
    receiving_application="LIS",
    receiving_facility="HOSPITAL",
    accession=Accession.PLACER,
    zone=ZoneInfo("Europe/Berlin"),
    codes={"26511-6": "NEUT^Neutrophils^99LAB"},
    observations=frozenset({"26511-6", "wbc-counted"}),
)


def block(language: str) -> str:
    (found,) = re.findall(rf"^```{language}\n(.*?)\n```$", PAGE, re.DOTALL | re.MULTILINE)
    return str(found)


def test_the_page_shows_what_the_code_writes() -> None:
    assert block("hl7") == oru(SHOWN, EXPORT, LIS, Disposition.CORRECTED).replace("\r", "\n").rstrip()
    wanted = {"26511-6", "wbc-counted"}
    text = records(SHOWN, EXPORT, Disposition.FINAL, control_id="x", codes={"26511-6": "NEUT"}, wanted=wanted)
    assert block("lis2") == text.replace("\r", "\n").rstrip()
    shown = json.loads(block("json"))
    written = transaction(SHOWN, EXPORT, Disposition.FINAL)
    (entry,) = shown.pop("entry")
    assert shown == {name: written[name] for name in shown}
    report = written["entry"][0]
    assert (entry["fullUrl"], entry["request"]) == (report["fullUrl"], report["request"])
    assert entry["resource"].items() <= report["resource"].items()


@pytest.mark.parametrize("message_type", MessageType)
@pytest.mark.parametrize("disposition", Disposition)
@pytest.mark.parametrize("accession", Accession)
def test_every_kind_of_message_is_valid(
    message_type: MessageType, disposition: Disposition, accession: Accession
) -> None:
    profile = Profile(
        message_type=message_type, accession=accession, acknowledgement=Acknowledgement.ENHANCED,
        codes={"26511-6": "NEUT"}, zone=ZoneInfo("Asia/Kolkata"),
    )  # fmt: skip
    text = oru(SHOWN, EXPORT, profile, disposition)
    parsed = parse_message(text, validation_level=VALIDATION_LEVEL.STRICT)
    parsed.validate()
    read = hl7.parse(text)
    assert str(read["MSH.F9.R1.C3"]) == message_type.value.replace("^", "_")
    status = {"preliminary": "P", "final": "F", "corrected": "C", "unverified": "R", "withdrawn": "X"}[
        disposition.value
    ]
    assert str(read["OBR.F25"]) == status
    results = {str(obx[11]) for obx in read.segments("OBX")}
    assert results == {"W" if disposition is Disposition.WITHDRAWN else status}
    order = [str(segment[0]) for segment in read if str(segment[0]) in {"OBR", "SPM"}]
    assert order == (["SPM", "OBR"] if message_type is MessageType.OUL else ["OBR", "SPM"])
    if accession is not Accession.SPECIMEN:
        number = accession.value.removeprefix("OBR-")
        assert str(read[f"OBR.F{number}.R1.C1"]) == "S-1234"


def test_a_receiver_that_knows_senders_by_name_finds_its_own() -> None:
    """OpenELIS and its kin choose by MSH-3 which analyzer's plug-in reads a message; one of no known name is refused."""
    plugins = {"SMEARCOUNT-1": "differentials"}

    def taken_by(text: str) -> str | None:
        return plugins.get(str(hl7.parse(text)["MSH.F3.R1.C1"]))

    assert taken_by(oru(SHOWN, EXPORT)) is None
    assert taken_by(oru(SHOWN, EXPORT, Profile(sending_application="SMEARCOUNT-1^1.2.3^ISO"))) == "differentials"


def test_only_the_observations_that_were_agreed_are_sent_under_both_codes() -> None:
    read = hl7.parse(oru(SHOWN, EXPORT, LIS))
    codes = [str(obx[3]) for obx in read.segments("OBX")]
    assert codes == [
        "NEUT^Neutrophils^99LAB^26511-6^Neutrophils/Leukocytes in Blood^LN",
        "wbc-counted^WBC counted, the denominator of the percentages^99SMC",
    ]
    assert [str(obx[1]) for obx in read.segments("OBX")] == ["1", "2"]


def test_times_are_in_the_receivers_zone_in_summer_and_winter() -> None:
    winter, summer = datetime(2026, 1, 10, 23, 30, tzinfo=UTC), datetime(2026, 7, 10, 23, 30, tzinfo=UTC)
    export = Export(key="x", at=datetime(2026, 7, 11, 1, 0, tzinfo=UTC), version="0")
    for first, expected in ((winter, "20260111003000+0100"), (summer, "20260711013000+0200")):
        slide = signed(automatic=tally(first_image_at=first), reviewed=reviewed_tally(first_image_at=first))
        read = hl7.parse(oru(slide, export, LIS))
        assert str(read["OBR.F7"]) == expected
        assert str(read["MSH.F7"]) == "20260711030000+0200"


def test_what_a_character_set_lacks_is_a_question_mark() -> None:
    profile = Profile(character_set="8859/1")
    text = oru(signed(signed_by="Müller 李"), EXPORT, profile)
    assert "MSH|" in text
    assert b"M\xfcller ?" in profile.encoded(text)
    assert b"|8859/1" in profile.encoded(text)
