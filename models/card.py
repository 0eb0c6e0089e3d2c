"""The model card: what a weights file is, what it was made from, what it can and cannot do.

A card is JSON beside the weights. It decides calls as much as the weights do: it says which class each output counts as. So a
model is named by one SHA-256 over the whole content of the card (`ModelCard.content_sha256`), which holds those of the weights
and of the OOD file; files that do not match their card are never used.
"""

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)

from smearcount.differential.classes import CellClass
from smearcount.differential.model import ModelUsed
from smearcount.models.errors import ModelInvalid
from smearcount.models.network_input import INPUT_SIDE, PREPROCESSING_VERSION
from smearcount.models.settings import SHIPPED_MODEL, SHIPPED_SHA256, ModelSettings

Share = Annotated[float, Field(ge=0.0, le=1.0)]


def _no_card(name: str) -> str:
    # Files of that name beside a card are other cards, or say which model is in use.
    if name.casefold().endswith(".json"):
        raise ValueError("a model's files are no .json")
    return name


FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$"), AfterValidator(_no_card)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", serialize_by_alias=True)


class TrainingData(_Frozen):
    """The images a network was trained on, with the credit their licence asks for."""

    text: str
    source: str
    doi: str
    licence: str
    attribution: str
    split: str


class Confusion(_Frozen):
    """A mistake the network is known to make: so many validation images of one class were called another."""

    truth: CellClass
    called: CellClass
    images: Annotated[int, Field(ge=1)]


class Metrics(_Frozen):
    """Scores on the validation images, at the card's threshold and temperature; shares are 0-1."""

    images: Annotated[int, Field(ge=1)]
    accuracy: Share
    macro_recall: Share
    recall: dict[CellClass, Share]
    expected_calibration_error: Share
    #: Share of the images whose confidence is under the threshold.
    unidentified: Share
    #: Share of the unidentified images that the network calls wrongly; None where none is unidentified.
    errors_among_unidentified: Share | None
    #: Share of all wrong calls that are unidentified; None where no call is wrong.
    errors_unidentified: Share | None
    #: Accuracy over the identified images; None where there are none.
    accuracy_of_identified: Share | None


class Parity(_Frozen):
    """How far the weights file agrees with the trained network in Keras, on some of the validation images."""

    images: Annotated[int, Field(ge=1)]
    #: Images that both networks call the same class.
    same_class: Annotated[int, Field(ge=0)]
    #: Largest and mean difference of any class's probability.
    largest_difference: Share
    mean_difference: Share


class OodFile(_Frozen):
    """The OOD model beside the card, and the OOD score above which a cell is unidentified."""

    file: FileName
    sha256: Sha256
    limit: Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
    limit_rule: str
    #: Share of the validation images over the limit.
    over_limit: Share


class ShiftFigures(_Frozen):
    """What becomes of the validation images in one simulated foreign stain that nothing was fitted to; shares are 0-1."""

    name: str
    images: Annotated[int, Field(ge=1)]
    accuracy: Share
    #: Share of the images that are counted, and of right calls among them; None where none is counted.
    counted: Share
    accuracy_of_counted: Share | None
    expected_calibration_error: Share


class Confidence(_Frozen):
    """How the confidence of a call is computed where not by the softmax alone, and which cells chose what."""

    rule: str
    #: Which images the distances, the weights, the threshold and the figures are from.
    chosen_on: str
    #: Weight of each clue, and the constant.
    weights: dict[str, float]
    #: Simulated foreign stains, which nothing was fitted to.
    shifts: tuple[ShiftFigures, ...]


class Colour(_Frozen):
    """Colour of the training images: mean and standard deviation, over the images, of their mean red, green and blue, 0-255."""

    mean: tuple[float, float, float]
    spread: tuple[float, float, float]


class ModelCard(_Frozen):
    """Everything about one weights file."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")]
    version: Annotated[str, Field(pattern=r"^\d+\.\d+\.\d+$")]
    #: Name of the weights file, in the folder of the card.
    file: FileName
    sha256: Sha256
    bytes: Annotated[int, Field(ge=1)]
    parameters: Annotated[int, Field(ge=1)]
    runtime: Literal["litert", "keras"]
    precision: Literal["float32", "int8"]
    classes: tuple[str, ...]
    #: The class that each output of the network counts as; a class may have several outputs, one per sub-type.
    outputs: tuple[CellClass, ...]
    input_side: Annotated[int, Field(ge=1)]
    preprocessing: str
    #: The logits are divided by this before the softmax.
    temperature: Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
    #: A cell called with less confidence than this is unidentified.
    threshold: Share
    threshold_rule: str
    #: None where the network gives no features or no training images were at hand. In JSON, its key is `likeness`.
    ood: OodFile | None = Field(alias="likeness")
    #: None where the confidence is the softmax's, as in earlier versions.
    confidence: Confidence | None = None
    parity: Parity
    training: TrainingData
    #: None where the training images are not known.
    colour: Colour | None = None
    validation: Metrics
    confusions: tuple[Confusion, ...]
    limits: tuple[str, ...]

    def identity(self, threshold: float | None = None) -> ModelUsed:
        """Return what results of this model are traced by, with `threshold` (0-1) in place of the card's if given."""
        return ModelUsed(
            name=self.name,
            version=self.version,
            sha256=self.content_sha256,
            preprocessing=self.preprocessing,
            threshold=self.threshold if threshold is None else threshold,
            card_sha256=self.content_sha256,
            weights_sha256=self.sha256,
        )

    @property
    def content_sha256(self) -> str:
        """SHA-256 (hexadecimal) of what the card says, which names the model: as JSON with sorted keys, no white space, in UTF-8.

        It does not depend on how the file is laid out, and covers all that decides calls: the weights and the OOD file by their
        own SHA-256, the class of each output, temperature, threshold, and the limit of the OOD score.
        """
        # What the file leaves out is left out, so that a new field with a default gives an old card no other hash.
        content = self.model_dump(mode="json", exclude_unset=True)
        canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(canonical.encode()).hexdigest()

    @model_serializer(mode="wrap")
    def _without_what_it_lacks(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out a confidence that is not there, as cards of earlier versions do."""
        content: dict[str, Any] = write(self)
        if self.confidence is None:
            content.pop("confidence", None)
        return content

    @model_validator(mode="after")
    def _recall_of_every_class(self) -> Self:
        if set(self.validation.recall) != set(CellClass):
            raise ValueError("validation.recall must state every class once")
        return self

    @model_validator(mode="after")
    def _outputs_for_every_class(self) -> Self:
        if set(self.outputs) != set(CellClass):
            raise ValueError("outputs must name every class")
        return self


def load_card(path: Path) -> ModelCard:
    """Read a model card; `model_dump_json(indent=2)` writes it again byte for byte, but for the newline at the end.

    Raises:
        ModelInvalid: the file is missing or no model card.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ModelInvalid(f"{path} cannot be read as a model card ({error}); set SMEARCOUNT_MODEL to one") from None
    try:
        return ModelCard.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise ModelInvalid(
            f"{path} is no valid model card: {where}: {first['msg']}; restore it or export the model anew"
        ) from None


def check_model(settings: ModelSettings) -> ModelCard:
    """Check all files of the model that the settings name, and return its card.

    This is quicker than loading the model. Commands that start several processes call it first, so that a wrong model is
    refused once rather than by every process.

    Raises:
        ModelInvalid: the card or a file it names is missing, damaged, exchanged or made for another version.
    """
    card = load_card(settings.model)
    verified_files(settings, card)
    return card


def verified_files(settings: ModelSettings, card: ModelCard) -> tuple[bytes, bytes | None]:
    """Return the contents of the weights file and of the OOD model's file, None where the model has none.

    Raises:
        ModelInvalid: a file is missing, damaged or exchanged, or made for other classes or another preprocessing.
    """
    expected = settings.model_sha256 or (SHIPPED_SHA256 if settings.model == SHIPPED_MODEL else None)
    weights = verified_weights(settings.model, card, expected)
    return weights, None if card.ood is None else verified_ood_file(settings.model, card.ood)


def verified_weights(card_path: Path, card: ModelCard | None = None, expected: str | None = None) -> bytes:
    """Return the bytes of the weights beside the card, if they are the ones that it describes.

    Args:
        card_path: the card; the weights lie in the same folder.
        card: the card's content, where it has been read already.
        expected: SHA-256 (hexadecimal) that the model must have; None allows any.

    Raises:
        ModelInvalid: card or weights are missing, damaged or exchanged, or made for other classes or another
            preprocessing.
    """
    card = card or load_card(card_path)
    _check_fits_this_code(card_path, card)
    if expected is not None:
        _check_chosen(card_path, card, expected)
    return _verified("weights", card_path.parent / card.file, card.sha256)


def verified_ood_file(card_path: Path, ood: OodFile) -> bytes:
    """Return the bytes of the OOD model's file (`*.likeness.npz`) beside the card.

    Raises:
        ModelInvalid: the file is missing or damaged, or it is another one.
    """
    return _verified("likeness file", card_path.parent / ood.file, ood.sha256)


def _check_chosen(path: Path, card: ModelCard, expected: str) -> None:
    found = card.content_sha256
    if expected == found:
        return
    if expected == card.sha256:
        raise ModelInvalid(
            f"{path} was chosen by the SHA-256 of its weights alone ({expected[:12]}…), which says nothing of the card; look "
            f"at it with smearcount model show, then choose it again with smearcount model use, or set "
            f"SMEARCOUNT_MODEL_SHA256 to {found}"
        )
    raise ModelInvalid(
        f"{path} is not the model chosen (its SHA-256 is {found[:12]}…, not {expected[:12]}…): card or weights were exchanged "
        "or changed; restore them, choose it with smearcount model use, or set SMEARCOUNT_MODEL_SHA256 to its SHA-256"
    )


def _verified(what: str, path: Path, sha256: str) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelInvalid(
            f"the {what} {path} cannot be read ({error.strerror}); put the file back beside its card"
        ) from None
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise ModelInvalid(
            f"the {what} {path} does not belong to its card (SHA-256 {found[:12]}…, the card says {sha256[:12]}…); "
            "restore both files from the same release"
        )
    return content


def _check_fits_this_code(path: Path, card: ModelCard) -> None:
    if card.preprocessing != PREPROCESSING_VERSION or card.input_side != INPUT_SIDE:
        raise ModelInvalid(
            f"the model of {path} needs preprocessing {card.preprocessing} at {card.input_side} px, this version of "
            f"smearcount does {PREPROCESSING_VERSION} at {INPUT_SIDE} px; use a model and a smearcount that belong together"
        )
    if card.classes != tuple(CellClass):
        raise ModelInvalid(
            f"the model of {path} tells apart {', '.join(card.classes) or 'nothing'}, smearcount counts "
            f"{', '.join(CellClass)}, in this order; use a model trained for these classes"
        )
