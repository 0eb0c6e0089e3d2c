"""From a path within the inbox to a slide. Sites arrange their exports differently, so a pattern tells how."""

import re
from dataclasses import dataclass

from smearcount.db.records import Refusal
from smearcount.watcher.errors import LayoutInvalid


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
