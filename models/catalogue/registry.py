"""The models on this machine.

The shipped ones lie in the package. A site's own lie in a folder of its data, beside the file that names the one in use
(`models.catalogue.choice`).
"""

from dataclasses import dataclass
from pathlib import Path

from smearcount.files.atomic import replace_file
from smearcount.models.card import ModelCard, load_card, verified_ood_file, verified_weights
from smearcount.models.catalogue.choice import IN_USE, Choice, keep_choice
from smearcount.models.errors import ModelsError
from smearcount.models.settings import SHIPPED_MODEL


@dataclass(frozen=True)
class Registered:
    """One model: its name on this machine, and where its card lies."""

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
        return at(path)
    known = registered(folder)
    found = [model for model in known if model.reference == reference]
    if len(found) > 1:
        raise ModelsError(f"there are two models called {reference}; give the path of a card: {found[1].path}")
    if not found:
        raise ModelsError(f"there is no model called {reference}; there are {', '.join(m.reference for m in known)}")
    return found[0]


def at(path: Path) -> Registered:
    """Return the model whose card lies at `path`.

    Raises:
        ModelsError: the card has the name of the file that says which model is in use.
        ModelInvalid: it is damaged.
    """
    # Some file systems do not tell capitals from small letters.
    if path.name.casefold() == IN_USE:
        raise ModelsError(
            f"{path} cannot be a model card: {IN_USE} says which model is in use; give the card another name"
        )
    return Registered(path.stem, path.absolute(), load_card(path))


def choose(model: Registered, folder: Path) -> None:
    """Make a model the one in use.

    Raises:
        ModelInvalid: its files are missing or damaged, or belong to another version of smearcount.
    """
    verify(model)
    keep_choice(Choice(card=model.path.absolute(), sha256=model.card.content_sha256), folder)


def verify(model: Registered) -> None:
    """Check that all files of a model are there, undamaged, and made for this version of smearcount.

    Raises:
        ModelInvalid: one of them is not.
    """
    verified_weights(model.path, model.card)
    if model.card.ood is not None:
        verified_ood_file(model.path, model.card.ood)


def register(model: Registered, folder: Path) -> Registered:
    """Copy a model's files into `folder` and return the model as it is registered there.

    Raises:
        ModelInvalid: its files are missing or damaged.
        ModelsError: another model of this name is registered, or one with another file of the same name.
    """
    weights = verified_weights(model.path, model.card)
    files = {model.card.file: weights}
    if model.card.ood is not None:
        files[model.card.ood.file] = verified_ood_file(model.path, model.card.ood)
    target = folder / at(model.path).path.name
    content = model.path.read_bytes()
    if _is_other(target, content):
        raise ModelsError(f"another model is registered as {model.reference}; give the new one another name or version")
    for name, new in files.items():
        if _is_other(folder / name, new):
            raise ModelsError(f"another model's file is called {name}; give the new model's another name")
    folder.mkdir(parents=True, exist_ok=True)
    for name, new in files.items():
        replace_file(folder / name, new, durable=True)
    # Last: a card whose files are missing would be a damaged model.
    replace_file(target, content, durable=True)
    return Registered(model.reference, target, model.card)


def _is_other(path: Path, content: bytes) -> bool:
    """Say whether a file with other content is at `path`."""
    return path.exists() and path.read_bytes() != content
