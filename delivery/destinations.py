"""The destinations that the settings name: where results go, which ones, and what was agreed with the receiver."""

import base64
import binascii
import json
import re
import tomllib
import zoneinfo
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal
from urllib.parse import SplitResult, urlsplit

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)

from smearcount.delivery.errors import DeliveryError
from smearcount.differential.classes import WBC_CLASSES
from smearcount.differential.flags import FLAG_MEANINGS
from smearcount.differential.forms import codes
from smearcount.differential.forms.hl7_profile import (
    CHARACTER_SETS,
    Accession,
    Acknowledgement,
    MessageType,
    Profile,
)

#: What a name may consist of: it stands in metrics, logs and commands.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,39}")
#: The codes of all flags, and of all observations.
_FLAGS = frozenset(
    code.replace("<class>", cell_class)
    for code in FLAG_MEANINGS
    for cell_class in (WBC_CLASSES if "<" in code else ("",))
)
OBSERVATION_CODES = frozenset(
    code.code
    for code in (
        *codes.PERCENTS.values(), codes.NRBC, codes.WBC_COUNTED, *codes.COUNTS.values(), codes.WBC_CORRECTION,
        codes.PLATELETS, codes.UNIDENTIFIED, codes.REVIEWED_CELLS, codes.EXCLUDED_CELLS, codes.PANEL,
    )
)  # fmt: skip
#: Name of the destination that is given as a URL alone.
ONLY = "lis"
#: The port that IANA has registered for HL7.
MLLP_PORT = 2575


def _from_file(value: object) -> object:
    """Read a secret from the file whose path follows an @."""
    if isinstance(value, str) and value.startswith("@"):
        try:
            return Path(value[1:]).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise ValueError(f"the file {value[1:]} cannot be read: {error.strerror}") from None
    return value


def _require_known(given: Iterable[str], known: Collection[str], what: str) -> None:
    for code in given:
        if code not in known:
            raise ValueError(f"there is no {what} {code[:40]!r}; it is one of {', '.join(sorted(known))}")


Secret = Annotated[SecretStr, BeforeValidator(_from_file)]
NO_SECRET = SecretStr("")


class Form(StrEnum):
    """In which form results are written into a folder."""

    HL7 = "hl7"
    FHIR = "fhir"
    JSON = "json"
    LIS2 = "lis2"


class Destination(BaseModel):
    """One system that results are sent to, and which results it gets."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    #: Schemes of the URLs that this kind has.
    SCHEMES: ClassVar[tuple[str, ...]] = ()

    name: str
    url: str
    inboxes: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    preliminary: bool = False
    retractions: bool = True
    since: AwareDatetime | None = None
    timeout: float = Field(default=20, gt=0, le=300)

    @property
    def address(self) -> SplitResult:
        """The parts of the URL."""
        return urlsplit(self.url)

    @property
    def shown(self) -> str:
        """The URL for messages; it holds no password, since those are fields of their own."""
        return self.url

    @field_validator("flags")
    @classmethod
    def _known_flags(cls, codes: tuple[str, ...]) -> tuple[str, ...]:
        _require_known(codes, _FLAGS, "flag")
        return codes

    @field_validator("name")
    @classmethod
    def _short_name(cls, name: str) -> str:
        if not _NAME.fullmatch(name):
            raise ValueError("a name is 1 to 40 letters, digits, dots, hyphens and underscores")
        return name

    @field_validator("url")
    @classmethod
    def _no_password(cls, url: str) -> str:
        parts = urlsplit(url)
        try:
            parts.port  # noqa: B018 (raises if it is none)
        except ValueError:
            raise ValueError("its port is no number up to 65535") from None
        if parts.username or parts.password:
            raise ValueError("the url holds a password, which logs would show; give user and password as fields")
        if parts.scheme in cls.SCHEMES and cls.SCHEMES != ("folder",) and not parts.hostname:
            raise ValueError("the url names no host")
        return url


class TlsFields(BaseModel):
    """How the other side proves who it is, and this one to it."""

    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None

    @model_validator(mode="after")
    def _key_with_certificate(self) -> "TlsFields":
        if self.key is not None and self.certificate is None:
            raise ValueError("a key belongs to a certificate; name that, too")
        return self


class Hl7Fields(BaseModel):
    """What was agreed with the receiver of HL7 v2 messages."""

    message: MessageType = MessageType.ORU
    sending_application: str = "smearcount"
    sending_facility: str = ""
    receiving_application: str = ""
    receiving_facility: str = ""
    processing_id: Literal["P", "T", "D"] = "P"
    character_set: str = "UNICODE UTF-8"
    accession: Accession = Accession.SPECIMEN
    acknowledgement: Acknowledgement = Acknowledgement.ORIGINAL
    codes: Mapping[str, str] = Field(default_factory=dict)
    observations: tuple[str, ...] = ()
    time_zone: str = "UTC"

    @field_validator("codes", "observations")
    @classmethod
    def _known_codes(cls, given: Any) -> Any:
        _require_known(given, OBSERVATION_CODES, "observation")
        return given

    @field_validator("character_set")
    @classmethod
    def _known_set(cls, name: str) -> str:
        if name not in CHARACTER_SETS:
            raise ValueError(f"it is one of {', '.join(CHARACTER_SETS)}")
        return name

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        try:
            zoneinfo.ZoneInfo(name)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError("no such time zone; it is one like Europe/Berlin") from None
        return name

    @property
    def profile(self) -> Profile:
        """How messages are written."""
        return Profile(
            message_type=self.message,
            sending_application=self.sending_application,
            sending_facility=self.sending_facility,
            receiving_application=self.receiving_application,
            receiving_facility=self.receiving_facility,
            processing_id=self.processing_id,
            character_set=self.character_set,
            accession=self.accession,
            acknowledgement=self.acknowledgement,
            codes=dict(self.codes),
            observations=frozenset(self.observations),
            zone=UTC if self.time_zone == "UTC" else zoneinfo.ZoneInfo(self.time_zone),
        )


class MllpDestination(Destination, TlsFields, Hl7Fields):
    """HL7 v2 over MLLP: mllp://host:port, or mllps:// with TLS."""

    SCHEMES = ("mllp", "mllps")

    @property
    def port(self) -> int:
        """The port, that of HL7 where none is given."""
        return self.address.port or MLLP_PORT


class HttpFields(TlsFields):
    """How a program logs in at a web server."""

    token: Secret = NO_SECRET
    user: str = ""
    password: Secret = NO_SECRET


class FhirDestination(Destination, HttpFields):
    """A FHIR R4 server: fhir+https://host/base."""

    SCHEMES = ("fhir+https", "fhir+http")

    by_identifier: bool = False
    token_url: str = ""
    client_id: str = ""
    client_secret: Secret = NO_SECRET
    scope: str = ""

    @model_validator(mode="after")
    def _whole_client(self) -> "FhirDestination":
        if bool(self.token_url) != bool(self.client_id):
            raise ValueError("token_url and client_id belong together")
        return self

    @property
    def base(self) -> str:
        """The address of the server."""
        return self.url.removeprefix("fhir+").rstrip("/")


class WebhookDestination(Destination, HttpFields):
    """Any program that takes JSON: https://host/path."""

    SCHEMES = ("https", "http")

    secret: Secret = NO_SECRET

    @field_validator("secret")
    @classmethod
    def _is_base64(cls, secret: SecretStr) -> SecretStr:
        text = secret.get_secret_value()
        try:
            key = base64.b64decode(text.removeprefix("whsec_"), validate=True)
        except binascii.Error:
            key = b""
        if text and not 24 <= len(key) <= 64:
            raise ValueError("it is the base64 of 24 to 64 random bytes, such as openssl rand -base64 32 prints")
        return secret

    @property
    def signing_key(self) -> bytes | None:
        """The key of the signatures; None without any."""
        text = self.secret.get_secret_value()
        return base64.b64decode(text.removeprefix("whsec_")) if text else None


class Lis2Destination(Destination, HttpFields):
    """LIS2-A2 (ASTM E1394) records to SENAITE's push interface: lis2+https://host/site."""

    SCHEMES = ("lis2+https", "lis2+http")

    consumer: str = "senaite.lis2a.import"
    codes: Mapping[str, str] = Field(default_factory=dict)
    observations: tuple[str, ...] = ()

    @field_validator("codes", "observations")
    @classmethod
    def _known_codes(cls, given: Any) -> Any:
        _require_known(given, OBSERVATION_CODES, "observation")
        return given

    @property
    def base(self) -> str:
        """The address of the site."""
        return self.url.removeprefix("lis2+").rstrip("/")


class FolderDestination(Destination, Hl7Fields):
    """A folder, in which each message becomes a file: folder:/path."""

    SCHEMES = ("folder",)

    form: Form = Form.HL7

    @property
    def path(self) -> Path:
        """The folder."""
        return Path(self.url.partition(":")[2].removeprefix("//"))

    @field_validator("url")
    @classmethod
    def _absolute(cls, url: str) -> str:
        if not url.partition(":")[2].removeprefix("//").startswith("/"):
            raise ValueError("give the folder's whole path, such as folder:/srv/results")
        return url


KINDS: tuple[type[Destination], ...] = (
    MllpDestination, FhirDestination, WebhookDestination, Lis2Destination, FolderDestination,
)  # fmt: skip


def destination(name: str, fields: Mapping[str, Any]) -> Destination:
    """Return the destination that settings describe.

    Raises:
        DeliveryError: they describe none; the message says what is wrong, and no secret.
    """
    url = fields.get("url")
    scheme = urlsplit(url).scheme.lower() if isinstance(url, str) else ""
    kind = next((kind for kind in KINDS if scheme in kind.SCHEMES), None)
    if kind is None:
        schemes = ", ".join(f"{scheme}:" for kind in KINDS for scheme in kind.SCHEMES)
        raise DeliveryError(f"destination {name}: its url begins with one of {schemes}")
    try:
        return kind(name=name, **{key: value for key, value in fields.items() if key != "name"})
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        why = first["msg"].removeprefix("Value error, ")
        raise DeliveryError(f"destination {name}: {f'{where}: ' if where else ''}{why}") from None


def destinations(text: str) -> tuple[Destination, ...]:
    """Return the destinations that the setting names.

    Args:
        text: a URL, JSON, TOML, or the path of a TOML file.

    Raises:
        DeliveryError: it describes none; the message says what is wrong, and no secret.
    """
    try:
        return tuple(destination(name, fields) for name, fields in _tables(text.strip()).items())
    except DeliveryError as error:
        raise DeliveryError(f"SMEARCOUNT_DESTINATIONS: {error}") from None


def _tables(text: str) -> Mapping[str, Mapping[str, Any]]:
    """Return the fields of each destination by its name."""
    if not text:
        return {}
    found: Any
    if text.startswith("{"):
        try:
            found = json.loads(text)
        except ValueError:
            raise DeliveryError('it is no JSON; write it like {"lis": {"url": "mllp://lis.example:2575"}}') from None
    elif text.startswith("[") or "\n" in text:
        try:
            found = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise DeliveryError(f"it is no TOML: {error}") from None
    elif ":" in text.partition("/")[0]:
        return {ONLY: {"url": text}}
    else:
        try:
            found = tomllib.loads(Path(text).read_text(encoding="utf-8"))
        except OSError as error:
            raise DeliveryError(f"the file {text} cannot be read: {error.strerror}") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise DeliveryError(f"the file {text} is no TOML: {error}") from None
    if not all(isinstance(fields, dict) for fields in found.values()):
        raise DeliveryError("each destination is a table with its url")
    return found  # type: ignore[no-any-return]
