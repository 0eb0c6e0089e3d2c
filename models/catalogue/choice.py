"""The model that was chosen on this machine, by path and SHA-256, so that one exchanged under the same name is refused.

Every command reads it, so this module imports nothing that takes long to load.
"""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from smearcount.files.atomic import replace_file
from smearcount.models.errors import ModelInvalid

#: Name of the file in the folder of the machine's own models.
IN_USE = "in-use.json"


class Choice(BaseModel):
    """The model in use."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    card: Path
    sha256: str


def chosen(folder: Path) -> Choice | None:
    """Return the model in use; None where none was chosen, so that the shipped one is in use.

    Raises:
        ModelInvalid: the file that names it is damaged.
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
    """Store which model is in use, for `chosen` to read."""
    folder.mkdir(parents=True, exist_ok=True)
    replace_file(folder / IN_USE, (choice.model_dump_json(indent=2) + "\n").encode(), durable=True)
