"""What a site agrees with the receiver of its HL7 v2 messages: names, codes, fields, character set and times."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from enum import StrEnum

#: Character sets (HL7 table 0211), and Python's names of them.
CHARACTER_SETS: Mapping[str, str] = {
    "UNICODE UTF-8": "utf-8",
    "ASCII": "ascii",
    "8859/1": "iso8859-1",
    "8859/2": "iso8859-2",
    "8859/5": "iso8859-5",
    "8859/7": "iso8859-7",
    "8859/9": "iso8859-9",
    "8859/15": "iso8859-15",
}


class Acknowledgement(StrEnum):
    """Which answers a receiver is asked for (chapter 2: original mode and enhanced mode)."""

    #: One answer, once the message was processed.
    ORIGINAL = "original"
    #: First that the message is safely stored, then what came of processing it.
    ENHANCED = "enhanced"
    #: Only that the message is safely stored.
    COMMIT = "commit"


class Accession(StrEnum):
    """Where a receiver looks for the slide's name, which SPM-2 always holds."""

    SPECIMEN = "SPM-2"
    PLACER = "OBR-2"
    FILLER = "OBR-3"
    PLACER_FIELD = "OBR-18"


class MessageType(StrEnum):
    """The kind of message."""

    ORU = "ORU^R01"
    OUL = "OUL^R22"


@dataclass(frozen=True, kw_only=True, slots=True)
class Profile:
    """How messages are written for one receiver; the default is what exports are."""

    message_type: MessageType = MessageType.ORU
    #: MSH-3 to MSH-6; HL7 splits them into components at `^`.
    sending_application: str = "smearcount"
    sending_facility: str = ""
    receiving_application: str = ""
    receiving_facility: str = ""
    #: MSH-11: P for production, T for training, D for debugging.
    processing_id: str = "P"
    character_set: str = "UNICODE UTF-8"
    accession: Accession = Accession.SPECIMEN
    #: What is asked for in MSH-15 and MSH-16; original mode leaves both empty.
    acknowledgement: Acknowledgement = Acknowledgement.ORIGINAL
    #: The receiver's own codes by ours, each as `code`, `code^text` or `code^text^system`; ours follow as the alternate.
    codes: Mapping[str, str] = field(default_factory=dict)
    #: Our codes of the observations that are sent; empty sends all.
    observations: frozenset[str] = frozenset()
    #: The zone in which times are written, with its offset.
    zone: tzinfo = UTC

    def encoded(self, message: str) -> bytes:
        """Return a message in the receiver's character set; what it lacks is written as a question mark."""
        return message.encode(CHARACTER_SETS[self.character_set], errors="replace")

    @property
    def asked(self) -> tuple[str, str]:
        """MSH-15 and MSH-16: which accept and which application acknowledgement is asked for."""
        return {
            Acknowledgement.ORIGINAL: ("", ""),
            Acknowledgement.ENHANCED: ("AL", "AL"),
            Acknowledgement.COMMIT: ("AL", "NE"),
        }[self.acknowledgement]
