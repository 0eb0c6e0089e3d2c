"""One installation as a command sees it: all settings, where each came from, and what follows from them."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from pydantic import SecretStr, ValidationError
from pydantic_settings import BaseSettings, EnvSettingsSource, SettingsError

from smearcount.cli.errors import CommandError
from smearcount.cli.local.broker import embedded_url
from smearcount.cli.settings import AlertSettings, CliSettings, LogForm
from smearcount.cli.variables import (
    SETTINGS,
    WARNED,
    have_warnings_been_printed,
    is_deprecated,
    unknown_secrets,
    unknown_variables,
    variable,
)
from smearcount.db.engine.database import Database, without_password
from smearcount.db.migration import require_current
from smearcount.db.settings import DatabaseSettings
from smearcount.delivery.settings import DeliverySettings
from smearcount.differential.settings import CountSettings
from smearcount.differential.signing.policy import SignOffSettings
from smearcount.inbox.mounts import Mounts
from smearcount.models.catalogue.choice import chosen
from smearcount.models.settings import ModelSettings
from smearcount.watcher.settings import WatcherSettings
from smearcount.web.settings import WebSettings
from smearcount.worker.settings import WorkerSettings

_Settings = TypeVar("_Settings", bound=BaseSettings)


@dataclass(frozen=True)
class SettingLine:
    """One setting: its value, and where it came from."""

    setting: str
    value: str
    source: str
    description: str


class Site:
    """The settings in force: a command-line option, else the environment, else a secrets file, else the default."""

    def __init__(self, **options: Any) -> None:
        """Read all settings.

        Args:
            options: The command line's options by the names of their settings; None where one was not given.

        Raises:
            CommandError: A setting has a value that it cannot have; the message says which and why.
        """
        self._options = {name: value for name, value in options.items() if value is not None}
        self._read: dict[type[BaseSettings], BaseSettings] = {CliSettings: self._make(CliSettings, None)}
        self._secrets = self._secrets_folder()
        self._read |= {kind: self._make(kind, self._secrets) for kind in SETTINGS if kind is not CliSettings}

    def _secrets_folder(self) -> Path | None:
        folder = self._of(CliSettings).secrets
        if folder is not None and not folder.is_dir():
            raise CommandError(f"SMEARCOUNT_SECRETS: there is no folder {folder}; make it, or do not set it")
        return folder

    def _make(self, kind: type[BaseSettings], secrets: Path | None) -> BaseSettings:
        given = {name: value for name, value in self._options.items() if name in kind.model_fields}
        try:
            return kind(_secrets_dir=secrets, **given)
        except OSError as error:
            raise CommandError(f"a file in the folder {secrets} cannot be read: {error.strerror}") from None
        except ValidationError as error:
            first = error.errors()[0]
            if not first["loc"]:  # A validator of the whole class found two settings that contradict each other.
                raise CommandError(first["msg"].removeprefix("Value error, ")) from None
            name = str(first["loc"][0])
            where = f"--{name.replace('_', '-')}" if name in given else variable(name)
            is_secret = kind.model_fields[name].annotation is SecretStr
            given_value = "what it is" if is_secret else repr(first["input"])
            if name.endswith("_url"):
                given_value = repr(without_password(str(first["input"])))
            why = first["msg"].removeprefix("Value error, ").lower()
            wanted = "" if first["type"] == "value_error" else f" ({kind.model_fields[name].description})"
            raise CommandError(f"{where} cannot be {given_value}: {why}{wanted}") from None
        except SettingsError as error:
            raise CommandError(_no_json(kind, error)) from None
        except ValueError as error:  # a file of the secrets folder is no text
            raise CommandError(
                f"a setting in the environment or the folder {secrets} cannot be read: {error}"
            ) from None

    @property
    def data(self) -> Path:
        """The data folder.

        Raises:
            CommandError: It lies in the home folder, which this user does not have.
        """
        try:
            return self._of(CliSettings).data.expanduser().absolute()
        except RuntimeError:
            raise CommandError(
                "this user has no home folder, so say with SMEARCOUNT_DATA or --data where smearcount may keep its files"
            ) from None

    @property
    def log(self) -> LogForm:
        """Form of the logs of the long-running commands."""
        return self._of(CliSettings).log

    @property
    def alerts(self) -> AlertSettings:
        """Limits beyond which `status` raises an alert."""
        return self._of(AlertSettings)

    @property
    def watcher(self) -> WatcherSettings:
        """Settings of the watcher."""
        return self._of(WatcherSettings)

    @property
    def worker(self) -> WorkerSettings:
        """Settings of the workers."""
        return self._of(WorkerSettings)

    @cached_property
    def models(self) -> ModelSettings:
        """Settings of the classifier: the model set in the environment, else the one chosen with `model use`.

        Raises:
            ModelsError: The file that `model use` wrote is damaged.
        """
        settings = self._of(ModelSettings)
        choice = None if "model" in settings.model_fields_set else chosen(self.models_folder)
        if choice is None:
            return settings
        return settings.model_copy(
            update={"model": choice.card, "model_sha256": settings.model_sha256 or choice.sha256}
        )

    @property
    def models_folder(self) -> Path:
        """Folder of this machine's own models and of the file that says which one is in use."""
        return self.data / "models"

    @property
    def counts(self) -> CountSettings:
        """Settings of the differential."""
        return self._of(CountSettings)

    @property
    def sign_off(self) -> SignOffSettings:
        """The site's policy for signatures."""
        return self._of(SignOffSettings)

    @property
    def web(self) -> WebSettings:
        """Settings of the web server."""
        return self._of(WebSettings)

    @property
    def delivery(self) -> DeliverySettings:
        """Where results are sent by themselves."""
        return self._of(DeliverySettings)

    @property
    def is_web_open(self) -> bool:
        """Whether nobody has to log in at the web server, as long as no user is added.

        Raises:
            UsersInvalid: The users file cannot be read.
        """
        if self.web.web_token.get_secret_value() or self.web.web_viewer_token.get_secret_value():
            return False
        users = self.web.users_file(self.data)
        if not users.exists():
            return True
        from smearcount.web.auth.users import read_users  # noqa: PLC0415 (loads the password hashing)

        return not read_users(users)

    @property
    def database_url(self) -> str:
        """URL of the database in force."""
        return self._of(DatabaseSettings).url_for(self.data)

    @property
    def backup_secret(self) -> str:
        """Secret with which backups are recognised; empty: none."""
        return self._of(DatabaseSettings).backup_secret.get_secret_value()

    @property
    def mounts(self) -> Mounts:
        """Folders at which this machine sees the inboxes."""
        return self._of(DatabaseSettings).mounted

    @property
    def has_own_broker(self) -> bool:
        """Whether no broker is configured, so that `up` starts one."""
        return not self.worker.broker_url

    @property
    def broker_folder(self) -> Path:
        """Folder in which the embedded broker keeps its data."""
        return self.data / "broker"

    @property
    def broker_url(self) -> str:
        """URL of the broker in force: the configured one, or the embedded one."""
        return self.worker.broker_url or embedded_url(self.broker_folder)

    @cached_property
    def database(self) -> Database:
        """The database, not yet connected."""
        return Database(self.database_url)

    def counted_database(self) -> Database:
        """Return the database, for commands that read results; they do not migrate it.

        Raises:
            DatabaseError: The database does not exist yet or is of another version; the message says what to do.
        """
        require_current(self.database)
        return self.database

    def secret_files(self) -> list[Path]:
        """Return the files of the secrets folder; none if there is no such folder."""
        return [] if self._secrets is None else sorted(file for file in self._secrets.iterdir() if file.is_file())

    def warnings(self) -> list[str]:
        """Return what is wrong with the names of the settings given, a line each: deprecated, or unknown.

        Empty in a process that `up` has started: `up` has printed them.
        """
        if have_warnings_been_printed():
            return []
        deprecated = [
            f"{variable(name)} is deprecated: it is still read, and will be gone in the next release"
            for kind, settings in self._read.items()
            for name in kind.model_fields
            if is_deprecated(kind, name) and name in settings.model_fields_set
        ]
        files = [] if self._secrets is None else [file.name for file in self._secrets.iterdir()]
        return [*deprecated, *unknown_variables(), *unknown_secrets(files)]

    def lines(self) -> list[SettingLine]:
        """Return every setting with its value and where it came from, passwords hidden; a deprecated one only if set."""
        return [
            SettingLine(
                variable(name), self._shown(settings, name), self._source(settings, name), field.description or ""
            )
            for settings in self._read.values()
            for name, field in type(settings).model_fields.items()
            if name in settings.model_fields_set or not is_deprecated(type(settings), name)
        ]

    def environment(self) -> Mapping[str, str]:
        """Return the environment variables for processes of this installation that `up` starts.

        With them a process uses the same data folder, database, broker and model, and does not repeat the warnings about
        settings. A process that is started later refuses a model whose card or weights were exchanged meanwhile.

        Raises:
            ModelInvalid: The model card cannot be read.
        """
        from smearcount.models.card import load_card  # noqa: PLC0415 (most commands need no model)

        chosen_by = self.models.model_sha256 or load_card(self.models.model).content_sha256
        model = {variable("model"): str(self.models.model), variable("model_sha256"): chosen_by}
        return {
            **model,
            variable("data"): str(self.data),
            variable("database_url"): self.database_url,
            variable("broker_url"): self.broker_url,
            variable("workers"): str(self.worker.workers),
            variable("poll"): str(self.watcher.poll).lower(),
            WARNED: "true",
        }

    def _of(self, kind: type[_Settings]) -> _Settings:
        found = self._read[kind]
        assert isinstance(found, kind)  # noqa: S101 (for the type checker: _make has made it)
        return found

    def _source(self, settings: BaseSettings, name: str) -> str:
        if name in self._options:
            return "option"
        if isinstance(settings, ModelSettings) and getattr(settings, name) != getattr(self.models, name):
            return "model use"
        if name not in settings.model_fields_set:
            return "default"
        return "environment" if name in EnvSettingsSource(type(settings))() else "secrets"

    def _shown(self, settings: BaseSettings, name: str) -> str:
        """Return the value in force, written as the environment variable would be."""
        in_force = {
            "data": self.data,
            "database_url": self.database_url,
            "broker_url": self.broker_url,
            "web_users": self.web.users_file(self.data),
        }
        if isinstance(settings, ModelSettings):
            settings = self.models
        value = in_force.get(name, settings.model_dump(mode="json")[name])
        if name.endswith("_url"):
            return without_password(str(value))
        if value is None:
            return ""
        return str(value) if isinstance(value, str | Path) else json.dumps(value)


def _no_json(kind: type[BaseSettings], error: SettingsError) -> str:
    """Return the message for a setting whose value should be JSON and is not; what it should be is in its description."""
    found = re.search(r'field "(\w+)"', str(error))
    if found is None or found[1] not in kind.model_fields:
        return f"a setting in the environment cannot be read: {error}"
    name = found[1]
    return f"{variable(name)} is no JSON ({kind.model_fields[name].description})"
