"""What the web server is given by whoever starts it: it knows neither broker, model files nor the command line."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from smearcount.db.engine.database import Database
from smearcount.differential.settings import CountSettings
from smearcount.inbox.mounts import Mounts
from smearcount.web.settings import WebSettings


@dataclass(frozen=True)
class Queue:
    """Messages in the queue, each with up to 64 images."""

    #: Messages that no worker has taken yet.
    waiting: int
    #: Messages that workers have taken.
    held: int


@dataclass(frozen=True)
class Check:
    """One thing that was looked at."""

    what: str
    #: "well", "wrong", or "unknown" where it could not be looked at.
    state: str
    details: str


@dataclass(frozen=True)
class Colour:
    """Mean red, green and blue of cell images, and how much single images vary (standard deviation), 0 to 255 each."""

    mean: tuple[float, float, float]
    spread: tuple[float, float, float]


@dataclass(frozen=True)
class ModelFacts:
    """The model that classifies now."""

    name: str
    version: str
    sha256: str
    #: Confidence under which a cell is unidentified.
    threshold: float
    #: Colour of the images that it was trained on; None where its card does not tell.
    training_colour: Colour | None = None


@dataclass(frozen=True, kw_only=True)
class Facilities:
    """Everything the application needs from outside."""

    database: Database
    counts: CountSettings
    settings: WebSettings
    #: The data folder, where the users file lies unless another is set.
    data: Path
    #: Version of smearcount.
    version: str
    #: Tells how many messages are in the queue; raises a SmearcountError if the broker does not answer.
    queue: Callable[[], Queue]
    #: Looks at everything that a count depends on, as the command doctor does; takes seconds.
    examine: Callable[[], Sequence[Check]]
    #: Tells which model classifies; None if none can be loaded.
    model: Callable[[], ModelFacts | None]
    #: Where this machine sees the inboxes.
    mounts: Mounts = field(default_factory=Mounts)
