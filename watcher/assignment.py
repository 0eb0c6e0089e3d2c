"""From a probed file to its row in the journal: its slide, or why it cannot be counted."""

import hashlib

from smearcount.db.records import Refusal, SeenFile
from smearcount.inbox.paths import to_text
from smearcount.watcher.layout import Layout
from smearcount.watcher.probe import ProbedFile

#: Longest path, in bytes of its text, that is journalled unchanged; an index of PostgreSQL holds no more than 2,700.
_LONGEST_PATH = 2500


def seen_file(probed: ProbedFile, layout: Layout) -> SeenFile:
    """Return the file as the journal keeps it, with its slide or the reason why it is refused."""
    path = to_text(probed.path)
    place = layout.place(path)
    size, mtime_ns = probed.version.size, probed.version.mtime_ns
    folder, _, filename = path.rpartition("/")
    if len(path.encode()) > _LONGEST_PATH:
        mark = hashlib.sha256(folder.encode()).hexdigest()[:16]
        too_long = Refusal("path-too-long", "the path is too long; put the file into a folder nearer to the inbox")
        return SeenFile(f"{folder[:200]}… ({mark})", filename, size, mtime_ns, None, None, too_long)
    refusal = probed.refusal
    if refusal is None and size == 0:
        refusal = Refusal("empty", "the file is empty (0 bytes); it counts when it is written")
    if isinstance(place, Refusal):
        return SeenFile(folder, filename, size, mtime_ns, None, None, refusal or place)
    return SeenFile(folder, filename, size, mtime_ns, place.slide, place.analyzer_label, refusal)
