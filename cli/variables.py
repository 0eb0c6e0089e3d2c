"""The environment variables: the name of each setting's, which are deprecated, and which name no setting at all."""

import re
from collections.abc import Collection, Iterable, Iterator
from difflib import get_close_matches

from pydantic_settings import BaseSettings, EnvSettingsSource

from smearcount.cli.settings import AlertSettings, CliSettings
from smearcount.db.settings import DatabaseSettings
from smearcount.delivery.settings import DeliverySettings
from smearcount.differential.settings import CountSettings
from smearcount.differential.signing.policy import SignOffSettings
from smearcount.models.settings import ModelSettings
from smearcount.watcher.settings import WatcherSettings
from smearcount.web.settings import WebSettings
from smearcount.worker.settings import WorkerSettings

#: All settings of all rooms, in the order in which `config` shows them.
SETTINGS: tuple[type[BaseSettings], ...] = (
    CliSettings,
    DatabaseSettings,
    WatcherSettings,
    WorkerSettings,
    ModelSettings,
    CountSettings,
    SignOffSettings,
    WebSettings,
    DeliverySettings,
    AlertSettings,
)

#: Not a setting: `up` sets it for the processes that it starts, since it has printed the warnings already.
WARNED = "SMEARCOUNT_WARNED"
#: Not a setting either: the number of the pipe through which such a process tells `up` that it runs.
READY = "SMEARCOUNT_READY"

_PREFIX = "SMEARCOUNT_"
#: Ends of the variables that Kubernetes sets in each pod for every service, such as one named smearcount-web.
_KUBERNETES = re.compile(r"_SERVICE_HOST|_SERVICE_PORT(_\w+)?|_PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?|_PORT")
#: Variables of this project's own tests.
_TEST_PREFIX = "SMEARCOUNT_TEST_"
#: How similar a name must be to be suggested, from 0 to 1 (difflib's ratio, of the names without the prefix).
_SIMILARITY = 0.7


def variable(name: str) -> str:
    """Return the environment variable of a setting."""
    return f"{_PREFIX}{name.upper()}"


def is_deprecated(kind: type[BaseSettings], name: str) -> bool:
    """Say whether a setting is still read in this release, and no longer in the next one.

    A settings class declares it with `Field(json_schema_extra={"deprecated": True})`. Pydantic's own
    `Field(deprecated=...)` would raise a Python warning each time the program itself reads the value.
    """
    extra = kind.model_fields[name].json_schema_extra
    return isinstance(extra, dict) and extra.get("deprecated") is True


def unknown_variables() -> Iterator[str]:
    """Yield a warning for each SMEARCOUNT_ variable of the environment that is no setting, such as a misspelt one."""
    settings = {variable(name) for kind in SETTINGS for name in kind.model_fields}
    given = (
        name
        for name, value in _environment().items()
        if not name.startswith(_TEST_PREFIX) and name not in {WARNED, READY} and not _is_kubernetes_own(name, value)
    )
    yield from _unknown(given, settings, suggested=_suggested(SETTINGS))


def unknown_secrets(files: Iterable[str]) -> Iterator[str]:
    """Yield a warning for each file of the secrets folder that is named like a setting's variable, and is no setting.

    The command line's own settings are not read from there: they say where that folder is.
    """
    kinds = [kind for kind in SETTINGS if kind is not CliSettings]
    settings = {variable(name).lower() for kind in kinds for name in kind.model_fields}
    given = (name for name in files if name.lower().startswith(_PREFIX.lower()))
    suggested = [name.lower() for name in _suggested(kinds)]
    yield from (f"{warning} (in SMEARCOUNT_SECRETS)" for warning in _unknown(given, settings, suggested=suggested))


def have_warnings_been_printed() -> bool:
    """Say whether this process was started by a command that has printed the warnings."""
    return bool(_environment().get(WARNED))


def ready_pipe() -> int | None:
    """Return the number of the open pipe to the `up` that has started this process; None if none has."""
    given = _environment().get(READY, "")
    return int(given) if given.isdecimal() else None


def _environment() -> dict[str, str]:
    """Return the SMEARCOUNT_ variables of the environment, their names in capitals: settings are read in any case."""
    found = EnvSettingsSource(CliSettings).env_vars
    return {name.upper(): value or "" for name, value in found.items() if name.upper().startswith(_PREFIX)}


def _is_kubernetes_own(name: str, value: str) -> bool:
    """Say whether Kubernetes has set a variable, because a service has a name that begins with smearcount."""
    found = re.search(f"(?:{_KUBERNETES.pattern})$", name)
    return found is not None and (found[0] != "_PORT" or "://" in value)


def _suggested(kinds: Iterable[type[BaseSettings]]) -> list[str]:
    return [variable(name) for kind in kinds for name in kind.model_fields if not is_deprecated(kind, name)]


def _unknown(given: Iterable[str], settings: Collection[str], *, suggested: Collection[str]) -> Iterator[str]:
    """Yield a warning for each of the given names that is not among the settings, in alphabetical order."""
    by_suffix = {name[len(_PREFIX) :]: name for name in suggested}
    for name in sorted(given):
        if name not in settings:
            close = get_close_matches(name[len(_PREFIX) :], by_suffix, n=1, cutoff=_SIMILARITY)
            hint = f"; did you mean {by_suffix[close[0]]}?" if close else ""
            yield f"{name} is no setting{hint}"
