"""`smearcount model`: which network classifies, how good it is, and how to make or bring another."""

# ruff: noqa: PLC0415  (training and figures load libraries that take seconds: only where they are used)

import json
from pathlib import Path

import click

from smearcount.cli import options
from smearcount.cli.errors import CommandError
from smearcount.cli.site import Site
from smearcount.cli.startup import open_site
from smearcount.cli.views.computation import ComputationView
from smearcount.cli.views.console import print_json, print_message, print_raw, print_result
from smearcount.cli.views.model import COLUMNS, ModelLine, card_table
from smearcount.cli.views.outputs import drop_lost_results
from smearcount.cli.views.rows import print_rows
from smearcount.differential.classes import CellClass
from smearcount.files.atomic import replace_file
from smearcount.models.card import TrainingData, load_card
from smearcount.models.catalogue.registry import Registered, at, choose, find, register, registered
from smearcount.models.errors import ModelsError, RuntimeMissing
from smearcount.worker.settings import usable_cores

_FOLDER = click.Path(path_type=Path, file_okay=False)
_FILE = click.Path(path_type=Path)

_validation = click.option(
    "--validation", type=_FOLDER, help="Folder of class folders with other images: temperature, threshold, figures."
)
_training = click.option(
    "--training", type=_FOLDER, help="Folder of class folders it was trained on: to tell images of another kind."
)
_name = click.option("--name", required=True, help="Name of the model, such as ours.")
_version = click.option("--version", required=True, help="Version of the model, such as 1.0.0.")
_runtime = click.option(
    "--runtime",
    type=click.Choice(["litert", "keras"]),
    default="litert",
    show_default=True,
    help="What will run it: LiteRT, or TensorFlow (a GPU).",
)


@click.group()
def model() -> None:
    """List, choose, examine, train and bring the networks that classify the cells.

    A model is a card (JSON) with its weights beside it. Models that you export or import are kept in the data folder.
    """


@model.command("list")
@options.output
@options.data
def list_models(output: str, data: Path | None) -> None:
    """List the models of this machine and say which is in use."""
    site = open_site(data=data)
    in_use = site.models.model.absolute()
    lines = [ModelLine.of(one, in_use=one.path.absolute() == in_use) for one in registered(site.models_folder)]
    if not any(line.in_use for line in lines):  # set by SMEARCOUNT_MODEL to a card elsewhere
        lines.append(ModelLine.of(Registered(str(in_use), in_use, load_card(in_use)), in_use=True))
    print_rows(lines, output, COLUMNS if output == "table" else None)


@model.command("show")
@click.argument("reference", metavar="[MODEL]", required=False)
@click.option("--format", "output", type=click.Choice(["table", "json"]), default="table", show_default=True)
@options.data
def show_model(reference: str | None, output: str, data: Path | None) -> None:
    """Show a model's card: what it was made from, how good it is, what it cannot do.

    MODEL is a name that `model list` shows or the path of a card; without it, the model in use.
    """
    card = _chosen_or(reference, open_site(data=data)).card
    if output == "json":
        print_json(card.model_dump_json(indent=2))
    else:
        print_result(card_table(card))


@model.command("use")
@click.argument("reference", metavar="MODEL")
@options.data
def use(reference: str, data: Path | None) -> None:
    """Make MODEL the one that classifies from the next start of `up` or `worker` on.

    Cells that are counted already keep their calls. On other machines, do the same or set SMEARCOUNT_MODEL.
    """
    site = open_site(data=data)
    one = find(reference, site.models_folder)
    choose(one, site.models_folder)
    print_message(
        f"{one.reference} (SHA-256 {one.card.content_sha256[:12]}) classifies from the next start of up or worker on"
    )
    if site.models.model.absolute() != one.path.absolute():
        print_message("but SMEARCOUNT_MODEL is set and goes first")


@model.command("evaluate")
@click.argument("folder", type=_FOLDER)
@click.option("--model", "reference", metavar="MODEL", help="Name or card of the model; default: the one in use.")
@click.option(
    "--report", type=_FOLDER, help="Folder for figures (PNG) and evaluation.json; default: in the data folder."
)
@click.option("--format", "output", type=click.Choice(["table", "json"]), default="table", show_default=True)
@options.data
def evaluate_model(folder: Path, reference: str | None, report: Path | None, output: str, data: Path | None) -> None:
    """Compare a model with labelled cells: FOLDER holds one folder of images per class.

    Prints accuracy, recall, precision and F1 with 95 % intervals, calibration, what each threshold costs, and what
    becomes of the cells in simulated foreign stains and of images of another kind; writes the figures and all numbers
    into a folder. A site validates a model with its own labelled cells in this way. The figure of the worst mistakes
    shows cells: treat it like the images.
    """
    from smearcount.cli.views.evaluation import evaluation_table
    from smearcount.models.evaluation.evaluation import evaluate
    from smearcount.models.evaluation.figures import require_matplotlib, write_report
    from smearcount.models.evaluation.report import report_json
    from smearcount.models.inference.classifier import load_classifier

    if report is not None:
        require_matplotlib()
    draw = report is not None or _can_draw("no figures are drawn")
    site = open_site(data=data)
    one = _chosen_or(reference, site)
    settings = site.models.model_copy(update={"model": one.path, "model_sha256": None} if reference else {})
    with ComputationView() as view:
        evaluation, calls = evaluate(load_classifier(settings, threads=usable_cores()), folder, view)
    if output == "json":
        print_json(report_json(evaluation))
    else:
        print_result(evaluation_table(evaluation))
    target = (
        report or site.data / "evaluations" / f"{one.reference}-{one.card.content_sha256[:12]}" / folder.resolve().name
    )
    write_report(evaluation, calls, target, draw=draw)
    print_message(f"{'figures and ' if draw else ''}evaluation.json: {target}")


@model.command("train")
@click.argument("images", type=_FOLDER)
@click.argument("run_folder", metavar="RUN", type=_FOLDER)
@_validation
@click.option(
    "--network",
    type=click.Choice(["smearcount", "seed"]),
    default="smearcount",
    show_default=True,
    help="Ours, or the small network that it is compared with.",
)
@click.option("--start", type=_FILE, help="Train on from this .keras file of our network instead of from scratch.")
def train(images: Path, run_folder: Path, validation: Path | None, network: str, start: Path | None) -> None:
    """Train a network on IMAGES, a folder with one folder of images per class.

    Takes TensorFlow (make train installs it) and, on two cores, hours; on a GPU, minutes. RUN keeps a checkpoint after
    every epoch, the log and the curve: the same command goes on where it was interrupted.
    """
    drop_lost_results()  # Hours of work do not end because nobody can read how far it is.
    if network == "seed":
        if start is not None:
            raise CommandError("--start is for our own network; leave out --network seed")
        from smearcount.models.training.seed_network import train_seed

        if validation is None:
            raise CommandError("the seed network stops when validation stops improving: give --validation")
        with ComputationView() as view:
            result = train_seed(images, run_folder, validation_dir=validation, progress=view)
        print_rows([result], "table")
        return
    from smearcount.models.evaluation.figures import training_curve
    from smearcount.models.training.train import Recipe
    from smearcount.models.training.train import train as train_ours

    draw = _can_draw("the training curve is not drawn")
    with ComputationView() as view:
        finished = train_ours(
            images, run_folder, Recipe() if start is None else Recipe.onwards(start), start=start,
            validation_dir=validation, progress=view,
        )  # fmt: skip
    if draw:
        try:
            training_curve(run_folder / "log.csv", run_folder / "curve.png")
        except ModelsError as error:  # hours of training do not fail for want of a picture
            print_message(f"the training curve is not drawn: {error}")
    print_raw(str(finished))


@model.command("augmentations")
@click.argument("image", type=_FILE)
@click.argument("jpeg", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--seed", default=1, show_default=True, help="Decides the random changes.")
def augmentations(image: Path, jpeg: Path, seed: int) -> None:
    """Draw what the training's random changes do to IMAGE, alone and all together, as a JPEG file.

    The picture shows the cell: treat it like the image.
    """
    from smearcount.models.augmentation.augmentation import decode_with_margin
    from smearcount.models.augmentation.gallery import gallery

    try:
        replace_file(jpeg, gallery(decode_with_margin(image.read_bytes()), seed=seed))
    except OSError as error:
        raise CommandError(f"{error.filename or jpeg}: {error.strerror}") from None
    print_message(f"written to {jpeg}")


@model.command("export")
@click.argument("network", type=_FILE)
@_name
@_version
@click.option("--validation", type=_FOLDER, required=True, help="Folder of class folders for threshold and figures.")
@_training
@_runtime
@click.option(
    "--precision",
    type=click.Choice(["float32", "int8"]),
    default="float32",
    show_default=True,
    help="int8 is smaller, and faster on processors with VNNI; needs --training.",
)
@click.option(
    "--all-forms", is_flag=True, help="Write all three forms that smearcount ships: float32, int8, TensorFlow."
)
@click.option("--about", type=_FILE, help="JSON with the card's `training`, where the images are others than ours.")
@click.option("--out", type=_FOLDER, help="Folder for card and weights; default: registered in the data folder.")
@options.data
def export_model(
    network: Path, name: str, version: str, validation: Path, training: Path | None, runtime: str, precision: str,
    all_forms: bool, about: Path | None, out: Path | None, data: Path | None,
) -> None:  # fmt: skip
    """Turn a finished run's network.keras into a model, once the result is known to agree with it.

    With --training, the model tells images of another kind, and its confidence is fitted to hold in other stains too.
    Says how long each step takes.
    """
    from smearcount.models.inference.subtypes import CLASS_OF_SUBTYPE
    from smearcount.models.training.export import export_forms, load_trained
    from smearcount.models.training.labelled import load_labelled
    from smearcount.models.training.release import ACEVEDO_2020, FORMS, Release

    if all_forms and training is None:
        raise CommandError("--all-forms needs --training: int8 and the confidence are fitted to those images")
    if precision == "int8" and training is None:
        raise CommandError("int8 needs --training: the ranges of its numbers are taken from those images")
    about_images = ACEVEDO_2020 if about is None else _training_data(about)
    releases = [
        Release(name, version, about_images, runtime=of_runtime, precision=of_precision)  # type: ignore[arg-type]  # click checked
        for of_runtime, of_precision in (FORMS if all_forms else [(runtime, precision)])
    ]
    trained = load_trained(network)
    print_message("reading the images, converting, comparing with the trained network")
    target = out or open_site(data=data).models_folder
    with ComputationView() as view:
        cards = export_forms(
            trained,
            releases,
            CLASS_OF_SUBTYPE,
            training=None if training is None else load_labelled(training, CLASS_OF_SUBTYPE),
            validation=load_labelled(validation, CLASS_OF_SUBTYPE),
            out_dir=target,
            progress=view,
        )
    print_result(card_table(cards[0]))
    for release in releases:
        print_message(f"written to {target / release.stem}.json")


@model.command("import")
@click.argument("file", type=_FILE)
@click.option("--name", help="Name of the model, such as ours; needed for a Keras model.")
@click.option("--version", help="Its version, such as 1.0.0; needed for a Keras model.")
@_validation
@_training
@click.option(
    "--classes",
    metavar="CLASS,CLASS,...",
    help="The class of each output, in order; default: alphabetical, as Keras numbers folders.",
)
@_runtime
@click.option("--about", help="A sentence for the card: what it was trained on.")
@options.data
def import_model(
    file: Path, name: str | None, version: str | None, validation: Path | None, training: Path | None,
    classes: str | None, runtime: str, about: str | None, data: Path | None,
) -> None:  # fmt: skip
    """Register a model made elsewhere: a Keras FILE (.keras, .h5), or the card (.json) of an exported one.

    A Keras model is checked (128 × 128 RGB pixels from 0 to 255 in, one output per class), held against labelled images
    of every class, converted, compared with the original, and given a card. TensorFlow is needed for that. Then choose
    it with `model use`.
    """
    site = open_site(data=data)
    if file.suffix == ".json":
        one = register(at(file), site.models_folder)
        print_message(f"registered as {one.reference}; choose it with: smearcount model use {one.reference}")
        return
    if name is None or version is None or validation is None:
        raise CommandError("a Keras model needs --name, --version and --validation (labelled images of every class)")
    from smearcount.models.training.export import export
    from smearcount.models.training.importing import ALPHABETICAL, LIMITS, check_classes, load_foreign, stated
    from smearcount.models.training.labelled import load_labelled
    from smearcount.models.training.release import Release

    order = ALPHABETICAL if classes is None else _classes(classes)
    release = Release(name, version, stated(about), runtime=runtime, limits=LIMITS)  # type: ignore[arg-type]
    if (site.models_folder / f"{release.stem}.json").exists():
        raise CommandError(f"{release.stem} is registered already; give the new one another name or major version")
    foreign = load_foreign(file, order)
    print_message("reading the images and checking the classes")
    images = load_labelled(validation, order)
    check_classes(foreign, order, images)
    print_message("converting, and comparing with the original")
    known = None if training is None else load_labelled(training, order)
    card = export(foreign, release, order, training=known, validation=images, out_dir=site.models_folder)
    print_result(card_table(card))
    print_message(f"registered as {release.stem}; choose it with: smearcount model use {release.stem}")


def _can_draw(otherwise: str) -> bool:
    """Tell whether figures can be drawn, and if not, tell the user what follows and what to install."""
    from smearcount.models.evaluation.figures import require_matplotlib

    try:
        require_matplotlib()
    except RuntimeMissing as error:
        print_message(f"{otherwise}: {error}")
        return False
    return True


def _chosen_or(reference: str | None, site: Site) -> Registered:
    if reference is not None:
        return find(reference, site.models_folder)
    path = site.models.model
    return Registered(path.stem, path, load_card(path))


def _classes(text: str) -> tuple[CellClass, ...]:
    names = [name.strip() for name in text.split(",")]
    known = {str(label) for label in CellClass}
    if set(names) != known or len(names) != len(known):
        raise CommandError(f"--classes must name each class once, in the order of the outputs: {', '.join(CellClass)}")
    return tuple(CellClass(name) for name in names)


def _training_data(path: Path) -> TrainingData:
    try:
        return TrainingData.model_validate(json.loads(path.read_bytes()))
    except (OSError, ValueError) as error:  # pydantic's errors are ValueErrors
        raise CommandError(f"{path} does not describe training images ({error})") from None
