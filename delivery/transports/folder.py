"""A folder: each message is a file, which is there whole or not at all."""

import os
import tempfile

from smearcount.delivery.destinations import FolderDestination, Form
from smearcount.delivery.errors import DeliveryError, NoAnswer
from smearcount.delivery.transports.transport import Letter
from smearcount.differential.forms.hl7_profile import CHARACTER_SETS
from smearcount.files.atomic import replace_file

_ENDINGS = {Form.HL7: "hl7", Form.FHIR: "fhir.json", Form.JSON: "json", Form.LIS2: "lis2"}


class FolderTransport:
    """Writes files beside their place and renames them, so that who reads the folder never sees half of one.

    The names sort in the order of the messages, and hold no name of a slide. A message that is sent twice, since the sender was
    killed in between, has the same name twice.
    """

    def __init__(self, destination: FolderDestination) -> None:
        """Prepare; nothing is written yet."""
        self._destination = destination
        is_hl7 = destination.form is Form.HL7
        self._encoding = CHARACTER_SETS[destination.character_set] if is_hl7 else "utf-8"

    def send(self, letter: Letter) -> str:
        """Write a message; see `Transport`."""
        name = f"{letter.number:012d}-{letter.control_id}.{_ENDINGS[self._destination.form]}"
        try:
            replace_file(
                self._destination.path / name, letter.body.encode(self._encoding, errors="replace"), durable=True
            )
        except OSError as error:
            raise NoAnswer(f"cannot write into the folder: {error.strerror}") from error
        return name

    def check(self) -> str:
        """Write a hidden file and remove it."""
        try:
            with tempfile.NamedTemporaryFile(dir=self._destination.path, prefix=".smearcount-", suffix=".part"):
                free = os.statvfs(self._destination.path)
        except OSError as error:
            raise DeliveryError(f"cannot write into the folder: {error.strerror}") from None
        return f"it can be written to, {free.f_bavail * free.f_frsize / 1e9:.1f} GB are free"

    def close(self) -> None:
        """Do nothing."""
