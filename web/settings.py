"""Settings of the web server: its address, and who may use it."""

import ipaddress
import re
from pathlib import Path

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from smearcount.web.links import is_prefix

#: Fewest characters of a token; a shorter one could be guessed.
SHORTEST_TOKEN = 20

#: The names by which a browser on this machine reaches a server on this machine.
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})

#: Name of the users file in the data folder.
USERS_FILE = "users.json"

_DEFAULT_PORT = 8765

#: What Kubernetes puts into SMEARCOUNT_WEB_PORT where a service is named smearcount-web.
_KUBERNETES_PORT = re.compile(r"(tcp|udp|sctp)://\S+:[0-9]+")

_HOST_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.:-]*[A-Za-z0-9])?")


class WebSettings(BaseSettings):
    """Settings of the web server, from the environment."""

    model_config = SettingsConfigDict(env_prefix="SMEARCOUNT_", frozen=True, extra="ignore")

    web: bool = Field(default=True, description="Whether `up` also serves the pages; with --once it never does.")
    web_host: str = Field(
        default="127.0.0.1",
        description="Address to listen on. The default is reachable from this machine alone; 0.0.0.0 is reachable from "
        "the network and needs users or a token.",
    )
    web_port: int = Field(default=_DEFAULT_PORT, ge=0, le=65535, description="Port to listen on; 0 takes any free one.")
    web_users: Path | None = Field(
        default=None,
        description="File with the users' names, roles and hashed passwords, written by the command web-user. "
        "Default: users.json in the data folder, where there is one.",
    )
    web_token: SecretStr = Field(
        default=SecretStr(""),
        description="Bearer token of a program that may read and review; at least 20 characters.",
    )
    web_viewer_token: SecretStr = Field(
        default=SecretStr(""),
        description="Bearer token of a program that may only read; at least 20 characters.",
    )
    web_hosts: tuple[str, ...] = Field(
        default=(),
        description='Names by which the server is asked for, as JSON: ["smears.lab.example"]. Empty: on loopback the '
        "names of this machine alone, beyond it any. A name given here counts as beyond loopback, since a proxy must be "
        "behind it.",
    )
    web_proxies: tuple[str, ...] = Field(
        default=(),
        description='Addresses or networks of proxies that are believed what they say of the browser, as JSON: ["127.0.0.1"]. '
        "Empty: none.",
    )
    web_launch_token: SecretStr = Field(
        default=SecretStr(""),
        description="Token that others than the server's own user need where nobody logs in; at least 20 characters. Empty: a "
        "new one at each start, in the address that `up` and `web` print.",
    )
    web_root_path: str = Field(
        default="",
        description="Path under which a proxy shows the pages and the API, such as /smears. A proxy that is believed may "
        "name it in the header X-Forwarded-Prefix instead.",
    )
    web_reviewers: tuple[str, ...] = Field(
        default=(),
        description='Names that the page offers to a reviewer where nobody logs in, as JSON: ["A. Lab", "B. Lab"].',
    )
    web_session_hours: float = Field(
        default=12, gt=0, le=24 * 7, description="Hours without a request after which a login ends."
    )
    web_login_hours: float = Field(
        default=24, gt=0, le=24 * 31, description="Hours after which a login ends, however often it was used."
    )
    web_listeners: int = Field(
        default=100,
        ge=1,
        le=10_000,
        description="Most pages and programs that follow the live changes at a time.",
        json_schema_extra={"deprecated": True},
    )

    @field_validator("web_port", mode="before")
    @classmethod
    def _not_kubernetes_own(cls, port: object) -> object:
        # Kubernetes sets this very variable in every pod beside a service named smearcount-web. It says nothing about this
        # server, whose port is then the default.
        return _DEFAULT_PORT if isinstance(port, str) and _KUBERNETES_PORT.fullmatch(port) else port

    @field_validator("web_token", "web_viewer_token", "web_launch_token")
    @classmethod
    def _hard_to_guess(cls, token: SecretStr) -> SecretStr:
        value = token.get_secret_value()
        if value and (len(value) < SHORTEST_TOKEN or not value.isascii() or not value.isprintable() or " " in value):
            raise ValueError(f"a token is {SHORTEST_TOKEN} or more printable ASCII characters without a space")
        return token

    @field_validator("web_hosts")
    @classmethod
    def _names_alone(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if not _HOST_NAME.fullmatch(name):
                raise ValueError(f"{name!r} is no host name; give the name alone, without scheme and path")
        return tuple(name.lower() for name in names)

    @field_validator("web_proxies")
    @classmethod
    def _addresses_alone(cls, proxies: tuple[str, ...]) -> tuple[str, ...]:
        for proxy in proxies:
            try:
                ipaddress.ip_network(proxy, strict=False)
            except ValueError:
                raise ValueError(
                    f"{proxy!r} is no address or network; write it like 127.0.0.1 or 10.0.0.0/24"
                ) from None
        return proxies

    @field_validator("web_root_path")
    @classmethod
    def _a_prefix(cls, path: str) -> str:
        path = path.rstrip("/")
        if not is_prefix(path):
            raise ValueError("write it like /smears or /lab/smears")
        return path

    def users_file(self, data: Path) -> Path:
        """Return the path of the users file: the configured one, or else the one in the data folder."""
        return self.web_users if self.web_users is not None else data / USERS_FILE

    @property
    def is_reachable_from_outside(self) -> bool:
        """Whether requests can come from other machines."""
        return not is_loopback(self.web_host) or any(not is_loopback(name) for name in self.web_hosts)


def is_loopback(host: str) -> bool:
    """Return whether an address or name certainly leads to this machine alone."""
    if host.lower() in LOOPBACK_NAMES:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
