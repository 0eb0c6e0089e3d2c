"""Which models there are on this machine, and which of them is in use.

The shipped models lie in the package. A site's own lie in a folder of its own, beside the file that says which one is in
use (`models.catalogue.choice`).
"""

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path

from smearcount.models.card import ModelCard, load_card, verified_likeness, verified_weights
from smearcount.models.catalogue.choice import IN_USE, Choice, keep_choice
from smearcount.models.errors import ModelsError
from smearcount.models.settings import SHIPPED_MODEL


@dataclass(frozen=True)
class Registered:
    """One model: how it is called here, and where its card lies."""

    #: File name of the card without its suffix.
    reference: str
    path: Path
    card: ModelCard


def registered(folder: Path) -> list[Registered]:
    """Return the shipped models and those of `folder`, which need not exist; shipped first, by name.

    Raises:
        ModelInvalid: one of the cards is damaged.
    """
    paths = sorted(SHIPPED_MODEL.parent.glob("*.json"))
    paths += sorted(path for path in folder.glob("*.json") if path.name != IN_USE)
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
    keep_choice(Choice(card=model.path.absolute(), sha256=model.card.sha256), folder)


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
