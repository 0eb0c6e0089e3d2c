"""What stands in the way of a signature, and what the site says about it: a rule without any disk or database.

A signature makes a result final. Unidentified cells that nobody has called, too few WBC, files that could not be used and
images unlike those that the model knows all mean that the result may not be the patient's. The site decides for each whether
that is allowed, has to be acknowledged by the person who signs, or is refused.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from enum import StrEnum

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from smearcount.differential.analyzer.familiarity import unfamiliar_signs
from smearcount.differential.flags import number_of
from smearcount.differential.settings import CountSettings
from smearcount.differential.tally import SlideTally


class Policy(StrEnum):
    """What the site says about an obstacle."""

    ALLOWED = "allowed"  # nobody is asked
    ACKNOWLEDGE = "acknowledge"  # the person who signs says that they know
    REFUSED = "refused"  # the slide cannot be signed


class ObstacleCode(StrEnum):
    """What can stand in the way; the meaning of a code never changes."""

    UNIDENTIFIED = "unidentified"  # cells that the model was not sure of and that nobody has called
    FEW_WBC = "few-wbc"  # fewer WBC than the minimum set, or none
    QUARANTINED = "quarantined"  # files that could not be used
    UNLIKE_IMAGES = "unlike-images"  # images unlike those that the model knows


class SignOffSettings(BaseSettings):
    """The site's policy for signatures; the environment variable of a field is SMEARCOUNT_ and its name in capitals.

    Raises:
        pydantic.ValidationError: A value is none of the policies.
    """

    model_config = SettingsConfigDict(env_prefix="SMEARCOUNT_", frozen=True)

    sign_off_unidentified: Policy = Field(
        default=Policy.ACKNOWLEDGE,
        description="Whether a slide is signed with unidentified cells that nobody has called: allowed, acknowledge or "
        "refused.",
    )
    sign_off_few_wbc: Policy = Field(
        default=Policy.ACKNOWLEDGE,
        description="Whether a slide is signed with fewer WBC than the minimum set: allowed, acknowledge or refused.",
    )
    sign_off_quarantined: Policy = Field(
        default=Policy.ACKNOWLEDGE,
        description="Whether a slide is signed of which files could not be used: allowed, acknowledge or refused.",
    )
    sign_off_unlike_images: Policy = Field(
        default=Policy.ACKNOWLEDGE,
        description="Whether a slide is signed whose images are unlike those that the model knows: allowed, acknowledge or "
        "refused.",
    )

    def policy(self, code: ObstacleCode) -> Policy:
        """Return what the site says about an obstacle."""
        return {
            ObstacleCode.UNIDENTIFIED: self.sign_off_unidentified,
            ObstacleCode.FEW_WBC: self.sign_off_few_wbc,
            ObstacleCode.QUARANTINED: self.sign_off_quarantined,
            ObstacleCode.UNLIKE_IMAGES: self.sign_off_unlike_images,
        }[code]


@dataclass(frozen=True, kw_only=True, slots=True)
class SigningRules:
    """What a signature is given by: the site's settings, and the version of smearcount that applies them."""

    counts: CountSettings
    policy: SignOffSettings
    version: str


@dataclass(frozen=True, slots=True)
class Obstacle:
    """One thing that stands in the way of a signature."""

    code: ObstacleCode
    #: For people.
    message: str
    policy: Policy


def obstacles(tally: SlideTally, uncalled: int, rules: SigningRules) -> tuple[Obstacle, ...]:
    """Return what stands in the way of a signature and is not allowed anyway.

    Args:
        tally: the slide's numbers, by people's calls where there are any.
        uncalled: unidentified cells that nobody has called; a cell that a person took out of the count is none of them.
        rules: the site's.
    """
    found = (
        Obstacle(code, message, rules.policy.policy(code)) for code, message in _found(tally, uncalled, rules.counts)
    )
    return tuple(obstacle for obstacle in found if obstacle.policy is not Policy.ALLOWED)


def hindrances(found: Collection[Obstacle], acknowledged: Collection[ObstacleCode]) -> tuple[Obstacle, ...]:
    """Return the obstacles that prevent a signature: refused ones, and those that the person has not acknowledged."""
    return tuple(one for one in found if one.policy is Policy.REFUSED or one.code not in acknowledged)


def _found(tally: SlideTally, uncalled: int, settings: CountSettings) -> Iterator[tuple[ObstacleCode, str]]:
    if uncalled:
        verb = "is" if uncalled == 1 else "are"
        yield (
            ObstacleCode.UNIDENTIFIED,
            f"{number_of(uncalled, 'cell')} {verb} unidentified, and nobody has called "
            f"{'it' if uncalled == 1 else 'them'}",
        )
    if tally.wbc_counted < settings.minimum_wbc:
        yield ObstacleCode.FEW_WBC, f"{tally.wbc_counted} WBC counted, fewer than the {settings.minimum_wbc} wanted"
    if tally.quarantined:
        yield ObstacleCode.QUARANTINED, f"{number_of(tally.quarantined, 'file')} could not be used"
    signs = unfamiliar_signs(tally, settings)
    if signs:
        yield ObstacleCode.UNLIKE_IMAGES, f"the images are unlike those that the model knows: {'; '.join(signs)}"
