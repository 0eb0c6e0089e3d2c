"""From a path within the inbox to a slide. Sites arrange their exports differently, so a pattern tells how."""

import re
from dataclasses import dataclass

from smearcount.db.records import Refusal
from smearcount.watcher.errors import LayoutInvalid

#: Names that operating systems and sync tools leave behind; hidden names (".*") and unfinished copies are ignored too.
_IGNORED_NAMES = frozenset({"thumbs.db", "desktop.ini", "@eadir", "__macosx"})
_IGNORED_ENDINGS = (".part", ".tmp")
_IMAGE_ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff")


@dataclass(frozen=True)
class Place:
    """What the path of an image tells: its slide, and the analyzer's own call if the layout has it."""

    slide: str
    analyzer_label: str | None


class Layout:
    """How paths within the inbox name slides."""

    def __init__(self, pattern: str) -> None:
        """Check and keep the pattern.

        Raises:
            LayoutInvalid: it is no regular expression, or has no group named slide.
        """
        remedy = "set SMEARCOUNT_PATTERN to something like (?P<slide>[^/]+)/.+"
        try:
            self._pattern = re.compile(pattern)
        except re.error as error:
            raise LayoutInvalid(f"the pattern {pattern!r} is no regular expression: {error}; {remedy}") from None
        if "slide" not in self._pattern.groupindex:
            raise LayoutInvalid(f"the pattern {pattern!r} has no group named slide; {remedy}")

    def place(self, path: str) -> Place | Refusal:
        """Return the place of the image at `path` (within the inbox, "/" between folders), or why it has none."""
        found = self._pattern.fullmatch(path)
        if found is None:
            return Refusal("no-slide", "the path does not name a slide; put the image into its slide's folder")
        groups = found.groupdict()
        if not groups["slide"]:
            return Refusal("no-slide", "the path names an empty slide; put the image into its slide's folder")
        return Place(groups["slide"], groups.get("label"))


def is_ignored(name: str) -> bool:
    """Say whether to ignore a file or folder of this name: hidden, temporary or a system's own."""
    lowered = name.lower()
    return lowered.startswith((".", "~")) or lowered in _IGNORED_NAMES or lowered.endswith(_IGNORED_ENDINGS)


def is_within_ignored(path: str) -> bool:
    """Say whether a path within the inbox is to be ignored, or lies in a folder that is."""
    return any(is_ignored(part) for part in path.split("/"))


def is_image_name(name: str) -> bool:
    """Say whether a file of this name is an image; others (lists, reports) may lie beside the images."""
    return name.lower().endswith(_IMAGE_ENDINGS)
