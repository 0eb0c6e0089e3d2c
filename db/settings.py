"""Settings: which database keeps the counts, and where this machine sees the inboxes."""

import json
from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from smearcount.inbox.mounts import Mounts
from smearcount.inbox.paths import to_text

#: Fewest characters of a secret; a shorter one could be guessed.
_SHORTEST_SECRET = 20


class DatabaseSettings(BaseSettings):
    """Settings of the database and of the inboxes' mounts, from the environment."""

    model_config = SettingsConfigDict(env_prefix="SMEARCOUNT_", frozen=True, extra="ignore")

    database_url: str = Field(
        default="",
        description="SQLAlchemy URL of the database, such as postgresql://user:secret@host/smearcount. "
        "Empty: a SQLite file in the data folder, good for one machine.",
    )
    mounts: Annotated[str | dict[str, str], NoDecode] = Field(
        default="",
        description="Folder at which this machine's workers and web server see the inbox, such as /mnt/share. With "
        'several inboxes JSON, by their names: {"inbox": "/mnt/share"}. Empty: at its watcher\'s path.',
    )

    backup_secret: SecretStr = Field(
        default=SecretStr(""),
        description="Secret of at least 20 characters; with it, `backup` writes a keyed digest beside each backup, and `restore` "
        "takes no other. Keep a copy where the backups are not.",
    )

    @field_validator("backup_secret")
    @classmethod
    def _hard_to_guess(cls, secret: SecretStr) -> SecretStr:
        if 0 < len(secret.get_secret_value()) < _SHORTEST_SECRET:
            raise ValueError(
                f"a secret has at least {_SHORTEST_SECRET} characters; make one with: openssl rand -hex 32"
            )
        return secret

    @field_validator("mounts", mode="before")
    @classmethod
    def _are_absolute_paths(cls, value: object) -> object:
        if isinstance(value, str) and value.lstrip().startswith("{"):
            try:
                value = json.loads(value)
            except ValueError:
                raise ValueError('it is no json; write it like {"inbox": "/mnt/share"}') from None
        folders = list(value.values()) if isinstance(value, dict) else [value] if value else []
        if not all(isinstance(folder, str) and Path(folder).is_absolute() for folder in folders):
            raise ValueError('give absolute paths, such as /mnt/share or {"inbox": "/mnt/share"}')
        return value

    def url_for(self, data_dir: Path) -> str:
        """Return the URL to connect to: `database_url`, or that of the SQLite file in `data_dir` if it is empty."""
        if self.database_url:
            return self.database_url
        path = str(data_dir.absolute() / "smearcount.db")
        for character in "%?#":  # they mean something in a URL; the first one first, since the others' form has it
            path = path.replace(character, f"%{ord(character):02X}")
        return f"sqlite:///{path}"

    @property
    def mounted(self) -> Mounts:
        """Where this machine sees the inboxes, in the text form of `inbox.paths`."""
        if isinstance(self.mounts, str):
            return Mounts(elsewhere=to_text(self.mounts) or None)
        return Mounts({to_text(name): to_text(folder) for name, folder in self.mounts.items()})
