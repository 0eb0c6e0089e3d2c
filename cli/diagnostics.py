"""The checks of `doctor`, with one finding each: what was checked, whether it is well, and what to do if it is not."""

import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from smearcount.cli.site import Site
from smearcount.cli.views.formats import lookalikes_text
from smearcount.cli.views.layout import deep_slides_warning, names_slides_by_first_folder
from smearcount.db.audit.guards import missing_guards
from smearcount.db.audit.verification import verify
from smearcount.db.engine.integrity import damage
from smearcount.db.engine.transport import weakness as database_weakness
from smearcount.db.ingest.journal import newest_files
from smearcount.db.migration import require_current
from smearcount.db.queries.inboxes import deep_slides, inbox_lines
from smearcount.db.queries.lookalikes import lookalikes
from smearcount.db.queries.slides import SlideFilter, slide_page
from smearcount.db.records import InboxLine, JournalledFile
from smearcount.db.roles import rights
from smearcount.differential.analyzer.familiarity import FEWEST_CELLS, unfamiliar_signs
from smearcount.differential.errors import SmearcountError
from smearcount.differential.flags import number_of
from smearcount.inbox.mounts import Mounts
from smearcount.inbox.paths import from_text
from smearcount.inbox.reading import SHARED_TIME_PRECISION_NS, is_version
from smearcount.models.card import check_model
from smearcount.models.inference.classifier import load_classifier
from smearcount.models.network_input import INPUT_SIDE
from smearcount.watcher.events import FileEvents
from smearcount.watcher.layout import Layout
from smearcount.worker.queue import BatchQueue
from smearcount.worker.tls import weakness as broker_weakness

#: How many of an inbox's newest files the check of the inbox looks for.
_NEWEST_FILES = 20
#: How many of the newest slides the check of the images looks at.
_NEWEST_SLIDES = 20
#: How long a file event may take to arrive, in seconds.
_EVENT_SECONDS = 3.0


@dataclass(frozen=True)
class Finding:
    """The result of one check."""

    #: What was checked.
    what: str
    #: "well", "wrong", or "unknown" where the check was not possible.
    state: str
    details: str


def diagnose(site: Site, inbox: Path | None) -> list[Finding]:
    """Check everything that a count depends on; with an inbox, also whether file events arrive from it."""
    database = _checked("database", partial(_database, site))
    checks: list[tuple[str, Callable[[], Finding]]] = []
    if database.state == "well":
        checks.append(("audit", partial(_audit, site)))
        if site.database.file is None:
            checks.append(("roles", partial(_roles, site)))
    checks += [
        ("broker", partial(_broker, site)),
        ("encryption", partial(_encryption, site)),
        ("model", partial(_model, site)),
        ("pattern", partial(_pattern, site)),
        ("slides", partial(_slides, site)),
        ("images", partial(_images, site)),
    ]
    if site.mounts != Mounts():
        checks.append(("mounts", partial(_mounts, site)))
    if inbox is not None:
        checks.append(("inbox", partial(_inbox, inbox)))
    else:
        checks += [
            ("inbox", partial(_watched_inbox, site, line.name, folder)) for line, folder in _watched_folders(site)
        ]
    if site.delivery.is_sending:
        checks += _destinations(site)
    if names_slides_by_first_folder(site.watcher):
        checks.append(("folders", partial(_folders, site)))
    return [database, *(_checked(what, check) for what, check in checks)]


def _checked(what: str, check: Callable[[], Finding]) -> Finding:
    try:
        return check()
    except SmearcountError as error:
        return Finding(what, "wrong", str(error))


def _database(site: Site) -> Finding:
    if site.database.file is not None and not site.database.file.exists():
        return Finding("database", "unknown", f"none yet; up makes it: {site.database.shown}")
    wrong = damage(site.database)
    if wrong is not None:
        return Finding(
            "database",
            "wrong",
            f"{site.database.shown} is damaged: {wrong}; end what uses it, keep a copy, and restore the newest backup: "
            "smearcount restore FILE --replace",
        )
    require_current(site.database)
    return Finding("database", "well", site.database.shown)


def _roles(site: Site) -> Finding:
    """Check that this login may not change what people did."""
    found = rights(site.database)
    if found is None or not found.may_change:
        return Finding("roles", "well", "this login can add to what people did, and change nothing of it")
    remedy = "let services log in as smearcount_web and smearcount_worker, see docs/deployment.md"
    if found.missing:
        remedy = f"as an administrator of the server run: {found.remedy} Then run smearcount migrate, and {remedy}"
    return Finding(
        "roles", "unknown", f"{found.user} owns the tables, so only triggers keep it from changing them; {remedy}"
    )


def _audit(site: Site) -> Finding:
    """Check the triggers that guard what people did, and the chain of hashes over it."""
    missing = missing_guards(site.database)
    if missing:
        return Finding(
            "audit", "wrong", f"the triggers {', '.join(missing)} are missing; smearcount migrate makes them"
        )
    found = verify(site.database)
    if found.holds:
        rows = found.reviews + found.slide_events
        return Finding("audit", "well", f"{rows} rows of what people did are as they were stored, head {found.head}")
    first = found.breaks[0]
    where = "" if first.table is None else f"{first.table} {first.id} of slide {first.slide_id}: "
    return Finding("audit", "wrong", f"{where}{first.what}; smearcount audit verify lists all {found.broken}")


def _broker(site: Site) -> Finding:
    if site.has_own_broker and not site.broker_folder.exists():
        return Finding("broker", "unknown", "up starts its own; it has not run yet with this data folder")
    queue = BatchQueue(site.worker, site.broker_url)
    try:
        depth = queue.depth()
    except SmearcountError as error:
        if site.has_own_broker:
            return Finding("broker", "unknown", "up starts its own, which is not running now")
        return Finding("broker", "wrong", f"{error}; check SMEARCOUNT_BROKER_URL, and that the server runs")
    finally:
        queue.close()
    return Finding("broker", "well", f"{depth.waiting} batches wait, {depth.held} are with workers")


def _encryption(site: Site) -> Finding:
    """Look for connections to other machines that others could read along or take over."""
    found = [weakness for weakness in (database_weakness(site.database), broker_weakness(site.broker_url)) if weakness]
    if found:
        # On a network of its own, such as that of containers on one machine, a site may well do without.
        return Finding("encryption", "unknown", "; ".join(found))
    return Finding(
        "encryption", "well", "every connection to another machine is encrypted, and its certificate checked"
    )


def _model(site: Site) -> Finding:
    card = check_model(site.models)
    classifier = load_classifier(site.models, threads=1)
    started = time.perf_counter()
    classifier.classify(np.zeros((16, INPUT_SIDE, INPUT_SIDE, 3), np.uint8))
    rate = 16 / (time.perf_counter() - started)
    return Finding(
        "model", "well", f"{card.name} {card.version}, {card.content_sha256[:12]}, about {rate:.0f} images/s per core"
    )


def _pattern(site: Site) -> Finding:
    Layout(site.watcher.pattern)
    return Finding("pattern", "well", site.watcher.pattern)


def _slides(site: Site) -> Finding:
    """Look for slides whose names look alike, which are one smear counted as two more often than not."""
    try:
        groups = lookalikes(site.counted_database())
    except SmearcountError:
        return Finding("slides", "unknown", "the database cannot be asked for their names")
    if not groups:
        return Finding("slides", "well", "no two have names that look alike")
    return Finding("slides", "wrong", lookalikes_text(groups))


def _images(site: Site) -> Finding:
    """Look whether the newest slides' images are like those that the model knows; a foreign stain shows in most of them."""
    try:
        slides = slide_page(site.counted_database(), SlideFilter(), limit=_NEWEST_SLIDES).slides
    except SmearcountError:
        return Finding("images", "unknown", "nothing has been counted yet")
    judged = [slide for slide in slides if slide.automatic.counted >= FEWEST_CELLS]
    unlike = sum(bool(unfamiliar_signs(slide.automatic, site.counts)) for slide in judged)
    if not judged:
        return Finding("images", "unknown", f"no slide has {FEWEST_CELLS} cells yet")
    found = f"{unlike} of the {number_of(len(judged), 'newest slide')} look unlike what the model knows"
    if 2 * unlike <= len(judged):
        return Finding("images", "well", found)
    return Finding(
        "images",
        "unknown",
        f"{found}: another stain, light, focus or kind of cell; do not rely on its calls before smearcount model evaluate has "
        "shown with labelled cells of this laboratory that they are right",
    )


def _mounts(site: Site) -> Finding:
    inboxes = inbox_lines(site.counted_database())
    misfit = site.mounts.misfit([line.name for line in inboxes])
    if misfit is not None:
        return Finding("mounts", "wrong", misfit)
    if not inboxes:
        return Finding("mounts", "unknown", "no inbox has been watched yet")
    return Finding("mounts", "well", ", ".join(site.mounts.folder(line.name, line.root) for line in inboxes))


def _destinations(site: Site) -> list[tuple[str, Callable[[], Finding]]]:
    """Return a check for each destination that results are sent to, or the one that says what is wrong with the setting."""
    # Only who sends results needs what this loads.
    from smearcount.delivery.destinations import Destination, destinations  # noqa: PLC0415
    from smearcount.delivery.transports.opening import transport  # noqa: PLC0415

    try:
        named = destinations(site.delivery.destinations.get_secret_value())
    except SmearcountError as error:
        found = Finding("destinations", "wrong", str(error))
        return [("destinations", lambda: found)]

    def check(one: Destination) -> Finding:
        what = f"destination {one.name}"
        try:
            way = transport(one)
            try:
                return Finding(what, "well", f"{one.shown}: {way.check()}")
            finally:
                way.close()
        except SmearcountError as error:
            return Finding(what, "wrong", f"{one.shown}: {error}")

    return [(f"destination {one.name}", partial(check, one)) for one in named]


def _folders(site: Site) -> Finding:
    try:
        deep = deep_slides(site.counted_database())
    except SmearcountError:
        return Finding("folders", "unknown", "nothing has been counted yet")
    if deep:
        return Finding("folders", "unknown", deep_slides_warning(deep))
    return Finding("folders", "well", "no slide has images more than one folder deep")


def _watched_folders(site: Site) -> list[tuple[InboxLine, Path]]:
    """Return the inboxes that were ever watched, and the folder at which this machine sees each of them."""
    try:
        inboxes = inbox_lines(site.counted_database())
    except SmearcountError:
        return []
    return [(line, Path(from_text(site.mounts.folder(line.name, line.root)))) for line in inboxes]


def _watched_inbox(site: Site, name: str, folder: Path) -> Finding:
    """Check the folder, and whether it is the one that was watched and is up to date."""
    finding = _inbox(folder)
    files = newest_files(site.database, name, at_most=_NEWEST_FILES)
    if not files or not folder.is_dir() or any(_is_there(folder, file) for file in files):
        return finding
    missing = f"none of the {len(files)} newest files is there as its watcher saw it"
    if any(file.is_open for file in files):
        remedy = "is it the right share, mounted and up to date? SMEARCOUNT_MOUNTS says where this machine sees it"
        return Finding(finding.what, "wrong", f"{missing}; {remedy}")
    return Finding(finding.what, "unknown", f"{missing}: they were removed after counting, or this is another folder")


def _is_there(folder: Path, file: JournalledFile) -> bool:
    try:
        status = (folder / from_text(file.path)).stat()
        return is_version(status, file.version, time_precision_ns=SHARED_TIME_PRECISION_NS)
    except OSError:
        return False


def _inbox(folder: Path) -> Finding:
    what = f"inbox {folder}"
    if not folder.is_dir():
        return Finding(what, "wrong", "no such folder on this machine")
    root = str(folder.resolve())
    wake = threading.Event()
    events = FileEvents(root, wake)
    try:
        events.start()
    except OSError as error:
        return Finding(what, "wrong", f"no file events ({error.strerror}); use --poll or SMEARCOUNT_POLL=true")
    try:
        # Watchers ignore names that begin with a dot.
        unwatched = len(events.unwatched())
        with tempfile.NamedTemporaryFile(dir=root, prefix=".smearcount-doctor-", suffix=".tmp"):
            arrived = wake.wait(_EVENT_SECONDS)
    except OSError as error:
        return Finding(
            what, "unknown", f"readable; file events not tested, since it cannot be written to ({error.strerror})"
        )
    finally:
        events.stop()
    if unwatched:
        return Finding(
            what,
            "wrong",
            f"the system gives no file events for {unwatched} folders in it, which are polled instead; raise "
            "fs.inotify.max_user_watches, or use --poll",
        )
    if arrived:
        return Finding(
            what, "well", "file events arrive (from this machine; files written by others over a network may not)"
        )
    return Finding(what, "wrong", "no file events arrive; use --poll or SMEARCOUNT_POLL=true")
