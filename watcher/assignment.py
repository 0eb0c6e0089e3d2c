"""From what was seen at a path to what the journal is told: the slide, or why the file cannot be counted."""

import hashlib

from smearcount.db.records import Refusal, SeenFile
from smearcount.inbox.paths import to_text
from smearcount.watcher.layout import Layout
from smearcount.watcher.probe import Sighting

#: Longest path, in bytes of its text, that can be journalled as it is; an index of PostgreSQL holds no more than 2,700.
_LONGEST_PATH = 2500


def seen_file(sighting: Sighting, layout: Layout) -> SeenFile:
    """Return the file as the journal keeps it, with its slide and whatever is held against it."""
    path = to_text(sighting.path)
    place = layout.place(path)
    size, mtime_ns = sighting.version.size, sighting.version.mtime_ns
    folder, _, filename = path.rpartition("/")
    if len(path.encode()) > _LONGEST_PATH:
        mark = hashlib.sha256(folder.encode()).hexdigest()[:16]
        too_long = Refusal("path-too-long", "the path is too long; put the file into a folder nearer to the inbox")
        return SeenFile(f"{folder[:200]}… ({mark})", filename, size, mtime_ns, None, None, too_long)
    refusal = sighting.refusal
    if refusal is None and sighting.version.size == 0:
        refusal = Refusal("empty", "the file is empty (0 bytes); it counts when it is written")
    if isinstance(place, Refusal):
        return SeenFile(folder, filename, size, mtime_ns, None, None, refusal or place)
    return SeenFile(folder, filename, size, mtime_ns, place.slide, place.analyzer_label, refusal)
