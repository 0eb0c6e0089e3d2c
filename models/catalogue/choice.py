"""Which model was chosen on this machine, by path and SHA-256: one exchanged under the same name is then refused.

Every command asks for it, so this module loads nothing that takes time.
"""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from smearcount.files.atomic import write_whole
from smearcount.models.errors import ModelInvalid

#: Name of the file in the folder of the machine's own models.
IN_USE = "in-use.json"


class Choice(BaseModel):
    """The model in use."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    card: Path
    sha256: str


def chosen(folder: Path) -> Choice | None:
    """Return the model in use, or None where none was chosen: then it is the shipped one.

    Raises:
        ModelInvalid: the file that says so is damaged.
    """
    path = folder / IN_USE
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise ModelInvalid(f"{path} cannot be read ({error}); choose a model with smearcount model use") from None
    try:
        return Choice.model_validate_json(text)
    except ValidationError:
        raise ModelInvalid(f"{path} does not name a model; choose one with smearcount model use") from None


def keep_choice(choice: Choice, folder: Path) -> None:
    """Write down which model is in use, for `chosen`."""
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / IN_USE, (choice.model_dump_json(indent=2) + "\n").encode())
