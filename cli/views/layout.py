"""The warning about slides whose images lie deeper than those of one slide should."""

from collections.abc import Sequence

from smearcount.watcher.settings import DEFAULT_PATTERN, WatcherSettings

_MOST_NAMED = 5


def names_slides_by_first_folder(settings: WatcherSettings) -> bool:
    """Return whether the first folder in the inbox is the slide, so that deeper folders may be slides of their own."""
    return settings.pattern == DEFAULT_PATTERN


def deep_slides_warning(names: Sequence[str]) -> str:
    """Return what to say of slides with images more than one folder deep; there is at least one."""
    shown = ", ".join(names[:_MOST_NAMED]) + (f" and {len(names) - _MOST_NAMED} more" if names[_MOST_NAMED:] else "")
    what = f"slide {shown}: its images lie" if len(names) == 1 else f"slides {shown}: their images lie"
    return (
        f"{what} more than one folder deep, but the first folder in the inbox is the slide, so several slides may be "
        "counted as one; set SMEARCOUNT_PATTERN, or keep archives outside the inbox"
    )
