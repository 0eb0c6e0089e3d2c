"""What the command that starts the web server gives to it.

The web server itself knows neither the broker, nor model files, nor the command line.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from smearcount.db.engine.database import Database
from smearcount.differential.model import ModelUsed
from smearcount.differential.settings import CountSettings
from smearcount.differential.signing.policy import SigningRules, SignOffSettings
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
    """The result of one check of the installation."""

    what: str
    #: "well", "wrong", or "unknown" if it could not be checked.
    state: str
    details: str


@dataclass(frozen=True)
class Colour:
    """Mean red, green and blue of cell images, and the standard deviation between images; each 0 to 255."""

    mean: tuple[float, float, float]
    spread: tuple[float, float, float]


@dataclass(frozen=True)
class ModelFacts:
    """The model that classifies new images."""

    identity: ModelUsed
    #: Colour of the images that it was trained on; None if its card does not tell.
    training_colour: Colour | None = None


@dataclass(frozen=True, kw_only=True)
class Services:
    """Everything that the application needs from outside."""

    database: Database
    counts: CountSettings
    #: What the site says about obstacles to signing.
    sign_off: SignOffSettings
    settings: WebSettings
    #: The data folder; it holds the users file unless another one is configured.
    data: Path
    #: Version of smearcount.
    version: str
    #: Returns the number of messages in the queue; raises a SmearcountError if the broker does not answer.
    queue: Callable[[], Queue]
    #: Checks everything that a count depends on, as the command doctor does; takes seconds.
    diagnose: Callable[[], Sequence[Check]]
    #: Returns the model that classifies; None if no model can be loaded.
    model: Callable[[], ModelFacts | None]
    #: What others than the user who has started the server need where nobody logs in; None: nothing, which is for tests alone.
    launch_token: str | None = None
    #: Where this machine has the inboxes mounted.
    mounts: Mounts = field(default_factory=Mounts)

    @property
    def signing(self) -> SigningRules:
        """What signatures are given by."""
        return SigningRules(counts=self.counts, policy=self.sign_off, version=self.version)
