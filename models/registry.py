"""Which models there are on this machine, and which of them is in use.

The shipped models lie in the package. A site's own lie in a folder of its own, beside a file that says which one is in
use, by path and SHA-256: a model exchanged under the same name is then refused.
"""

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from models.card import ModelCard, load_card, verified_likeness, verified_weights
from models.errors import ModelInvalid, ModelsError
from models.settings import SHIPPED_MODEL

_IN_USE = "in-use.json"


@dataclass(frozen=True)
class Registered:
    """One model: how it is called here, and where its card lies."""

    #: File name of the card without its suffix.
    reference: str
    path: Path
    card: ModelCard


class Choice(BaseModel):
    """The model in use."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    card: Path
    sha256: str


def registered(folder: Path) -> list[Registered]:
    """Return the shipped models and those of `folder`, which need not exist; shipped first, by name.

    Raises:
        ModelInvalid: one of the cards is damaged.
    """
    paths = sorted(SHIPPED_MODEL.parent.glob("*.json"))
    paths += sorted(path for path in folder.glob("*.json") if path.name != _IN_USE)
    return [Registered(path.stem, path, load_card(path)) for path in paths]


def find(reference: str, folder: Path) -> Registered:
    """Return the model called `reference`, or the one whose card lies at that path.

    Raises:
        ModelsError: there is none, or two of that name.
        ModelInvalid: a card is damaged.
    """
    path = Path(reference)
    if path.suffix == ".json":
        return Registered(path.stem, path.absolute(), load_card(path))
    known = registered(folder)
    found = [model for model in known if model.reference == reference]
    if len(found) > 1:
        raise ModelsError(f"there are two models called {reference}; give the path of a card: {found[1].path}")
    if not found:
        raise ModelsError(f"there is no model called {reference}; there are {', '.join(m.reference for m in known)}")
    return found[0]


def choose(model: Registered, folder: Path) -> None:
    """Make a model the one in use.

    Raises:
        ModelInvalid: its files are missing or damaged, or belong to another version of smearcount.
    """
    verify(model)
    folder.mkdir(parents=True, exist_ok=True)
    choice = Choice(card=model.path.absolute(), sha256=model.card.sha256)
    partial = folder / (_IN_USE + ".part")
    partial.write_text(choice.model_dump_json(indent=2) + "\n", encoding="utf-8")
    partial.replace(folder / _IN_USE)


def chosen(folder: Path) -> Choice | None:
    """Return the model in use, or None where none was chosen: then it is the shipped one.

    Raises:
        ModelInvalid: the file that says so is damaged.
    """
    path = folder / _IN_USE
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


def verify(model: Registered) -> None:
    """Check that all files of a model are there, whole, and made for this version of smearcount.

    Raises:
        ModelInvalid: they are not.
    """
    verified_weights(model.path, model.card)
    if model.card.likeness is not None:
        verified_likeness(model.path, model.card.likeness)


def register(model: Registered, folder: Path) -> Registered:
    """Copy a model's files into `folder` and return it as it is registered there.

    Raises:
        ModelInvalid: its files are missing or damaged.
        ModelsError: another model of this name is registered.
    """
    verify(model)
    target = folder / model.path.name
    content = model.path.read_bytes()
    if target.exists() and hashlib.sha256(target.read_bytes()).digest() != hashlib.sha256(content).digest():
        raise ModelsError(f"another model is registered as {model.reference}; give the new one another name or version")
    folder.mkdir(parents=True, exist_ok=True)
    names = [model.card.file] + ([model.card.likeness.file] if model.card.likeness else [])
    for name in names:
        shutil.copyfile(model.path.parent / name, folder / name)
    target.write_bytes(content)
    return Registered(model.reference, target, model.card)
