"""What a message says of the result in it: whether it holds, and how it stands to what was sent before."""

from enum import StrEnum

from smearcount.differential.forms.examination import SlideExamination


class Disposition(StrEnum):
    """The standing of a result that is sent."""

    #: Counted by the model, and signed by nobody.
    PRELIMINARY = "preliminary"
    #: Signed for the first time.
    FINAL = "final"
    #: Signed again, or valid again: it replaces what was sent before.
    CORRECTED = "corrected"
    #: It was signed and sent, and the signature was taken back or has ended: nobody answers for it just now.
    UNVERIFIED = "unverified"
    #: It was sent and is withdrawn: the slide should never have been counted.
    WITHDRAWN = "withdrawn"

    @classmethod
    def of(cls, examination: SlideExamination) -> "Disposition":
        """Return what an export says of a slide as it is now."""
        if examination.is_amended:
            return cls.CORRECTED
        return cls.FINAL if examination.is_signed else cls.PRELIMINARY

    @property
    def is_result(self) -> bool:
        """Whether a person answers for the result."""
        return self in {Disposition.FINAL, Disposition.CORRECTED}

    @property
    def takes_back(self) -> bool:
        """Whether it only says of an earlier message that its result does not hold."""
        return self in {Disposition.UNVERIFIED, Disposition.WITHDRAWN}
