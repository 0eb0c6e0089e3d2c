"""Where the counts are kept."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class DatabaseSettings(BaseSettings):
    """Settings of the database, from the environment."""

    model_config = SettingsConfigDict(env_prefix="SMEARCOUNT_", frozen=True, extra="ignore")

    database_url: str = Field(
        default="",
        description="SQLAlchemy URL of the database, such as postgresql://user:secret@host/smearcount. "
        "Empty: a SQLite file in the data folder, good for one machine.",
    )

    def url_for(self, data_dir: Path) -> str:
        """Return the URL to connect to: the one set, or that of the SQLite file in `data_dir`."""
        return self.database_url or f"sqlite:///{data_dir.absolute() / 'smearcount.db'}"
