"""Which names in an inbox are images, which are ignored, and how many files a scan has ignored.

A file whose name does not end like an image's is ignored, too: lists and reports lie beside the images. So that a slide
exported in a format that cannot be read does not just vanish, ignored files are counted by kind; what systems and programs leave
behind is not counted.
"""

import fnmatch
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping

IMAGE_ENDINGS = (".jpg", ".jpeg", ".jpe", ".jfif", ".jfi", ".jif", ".png", ".bmp", ".dib", ".tif", ".tiff")

#: Names of files and folders that operating systems, network storage and sync tools keep for themselves, in lower case: their
#: caches, recycle bins and snapshots. Those that begin with a dot are hidden and ignored as such (.Trash-1000, .snapshot).
SYSTEM_NAMES = frozenset({
    "thumbs.db", "ehthumbs.db", "desktop.ini", "@eadir", "__macosx",
    "#recycle", "@recycle", "$recycle.bin", "recycler", "network trash folder", "system volume information", "lost+found",
    "#snapshot", "@recently-snapshot",
})  # fmt: skip
_UNFINISHED_ENDINGS = (".part", ".tmp")

#: An ending that tells the kind of a file; a longer one is rather a part of the name.
_KIND = re.compile(r"[a-z0-9]{1,8}")
#: Kinds that are not told by an ending.
_CHOSEN, _UNFINISHED, _OTHER = "SMEARCOUNT_IGNORE", "unfinished", "other"
#: Kinds that are counted apart, and those that are told apart in the end.
_MOST_KINDS, _MOST_TOLD = 100, 8


class Ignoring:
    """Which names are ignored: those of systems, hidden and unfinished files, and those that a site chooses."""

    def __init__(self, patterns: Iterable[str] = ()) -> None:
        """Add a site's patterns for names of files and folders: * is any text, ? any character, [ab] one of these.

        Raises:
            ValueError: a pattern is empty, a path, not closed, or matches every name.
        """
        patterns = list(patterns)
        for pattern in patterns:
            _check(pattern)
        either = "|".join(fnmatch.translate(_comparable(pattern)) for pattern in patterns)
        self._chosen = re.compile(either) if patterns else None

    def ignores(self, name: str) -> bool:
        """Say whether to ignore a file or folder of this name, and everything within it."""
        lowered = name.lower()
        return (
            lowered.startswith((".", "~"))
            or lowered in SYSTEM_NAMES
            or lowered.endswith(_UNFINISHED_ENDINGS)
            or (self._chosen is not None and self._chosen.match(_comparable(name)) is not None)
        )

    def ignores_within(self, path: str) -> bool:
        """Say whether a path within the inbox is to be ignored, or lies in a folder that is."""
        return any(self.ignores(part) for part in path.split("/"))

    def kind(self, name: str) -> str | None:
        """Return the kind of an ignored file, such as ".webp"; None for what systems and programs leave behind."""
        lowered = name.lower()
        if lowered.startswith(".") or lowered in SYSTEM_NAMES:
            return None
        if lowered.startswith("~") or lowered.endswith(_UNFINISHED_ENDINGS):
            return _UNFINISHED
        if self.ignores(name):
            return _CHOSEN
        stem, dot, ending = lowered.rpartition(".")
        return f"{dot}{ending}" if stem and _KIND.fullmatch(ending) else _OTHER


class IgnoredFiles:
    """How many files a scan has ignored, by kind."""

    def __init__(self, ignoring: Ignoring) -> None:
        """Start with none."""
        self.ignoring = ignoring
        self._kinds: Counter[str] = Counter()

    def add(self, name: str) -> None:
        """Count a file of this name."""
        kind = self.ignoring.kind(name)
        if kind is not None:
            self._kinds[kind if kind in self._kinds or len(self._kinds) < _MOST_KINDS else _OTHER] += 1

    @property
    def kinds(self) -> Mapping[str, int]:
        """The number of files of each kind, the most frequent first, the rest together as "other"."""
        told = dict(self._kinds.most_common(_MOST_TOLD))
        rest = self._kinds.total() - sum(told.values())
        return told if rest == 0 else told | {_OTHER: told.get(_OTHER, 0) + rest}


def is_image_name(name: str) -> bool:
    """Say whether a file of this name is an image."""
    return name.lower().endswith(IMAGE_ENDINGS)


def kinds_text(kinds: Mapping[str, int]) -> str:
    """Return the number of ignored files of each kind in words: .webp 400, .xml 12."""
    return ", ".join(f"{kind} {number:,}" for kind, number in kinds.items())


def _comparable(name: str) -> str:
    """Return a name for comparison: case does not matter, nor how an accented letter is composed."""
    return unicodedata.normalize("NFC", name).lower()


def _check(pattern: str) -> None:
    if not pattern.strip():
        raise ValueError("an empty pattern; leave it out, or give one such as *_thumb.jpg")
    if "/" in pattern:
        raise ValueError(f"{pattern!r} is a path; a pattern is for the name of a file or folder, such as archive")
    if not pattern.strip("*?"):
        raise ValueError(f"{pattern!r} would ignore everything; give a pattern such as *_thumb.jpg")
    opened = re.sub(r"\[!?\]?[^\]]*\]", "", pattern)
    if "[" in opened:
        raise ValueError(f"{pattern!r} opens [ and does not close it; write [[] for the character itself")
