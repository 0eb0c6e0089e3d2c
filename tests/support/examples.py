"""How many examples hypothesis tries: many in `make test`, a few in `make check`, which selects the profile `quick`."""

from hypothesis import HealthCheck, settings

_THOROUGH, _QUICK = 100, 5

for _name, _examples in (("thorough", _THOROUGH), ("quick", _QUICK)):
    settings.register_profile(
        _name,
        max_examples=_examples,
        # A busy machine is no defect.
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )


def use_thorough() -> None:
    """Use the thorough profile unless pytest's --hypothesis-profile names another one."""
    settings.load_profile("thorough")


def examples(thorough: int, *, quick: int = _QUICK) -> int:
    """Return how many examples of one test to try.

    Args:
        thorough: in `make test`: fewer than usual where each takes long.
        quick: in `make check`.
    """
    return quick if settings.get_current_profile_name() == "quick" else thorough
