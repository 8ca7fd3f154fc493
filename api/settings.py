"""What can be set, in which range, and what it is when nobody says.

Each field is the environment variable FOLDEX_<NAME>. docs/settings.md is written from here.
"""

from pathlib import Path
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

PREFIX: Final = "FOLDEX_"
TOKEN_CHARS_MIN: Final = 16

Host = Annotated[str, Field(pattern=r"^[^\s/]+$")]

NO_SECRET: Final = SecretStr("")
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})


class Settings(BaseSettings):
    """All settings of a process; secrets never show. Making one reads nothing from outside.

    Processes get theirs from `read_settings`.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_ignore_empty=True,
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        allow_inf_nan=False,
    )

    data: Path = Field(
        default=Path("data"), description="Directory of the embedded store, and of `master.key`."
    )
    database_url: SecretStr = Field(
        default=NO_SECRET,
        description="`postgresql://USER:PASSWORD@HOST:PORT/NAME`: log, views and keys are there."
        " Several `HOST:PORT`, and libpq's parameters, are understood. Empty: SQLite files in the"
        " data directory.",
    )
    master_key: SecretStr = Field(
        default=NO_SECRET,
        description="32 bytes as hex or base64 that encrypt the API secrets. Empty: the file"
        " `master.key` in the data directory.",
    )
    kafka: str = Field(
        default="",
        description="Bootstrap servers, `HOST:PORT,HOST:PORT`. Empty: nothing is published.",
    )
    kafka_prefix: str = Field(
        default="",
        pattern=r"^[A-Za-z0-9._-]{0,64}$",
        description="Stands before the names of topics and groups, so that several exchanges can"
        " share the brokers.",
    )
    kafka_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        default="PLAINTEXT",
        description="What the brokers speak, by Kafka's names: `SSL` is TLS, `SASL` that they ask"
        " for a user and password.",
    )
    kafka_mechanism: Literal["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"] = Field(
        default="SCRAM-SHA-512",
        description="How the password is proven; `PLAIN` sends it, so only through TLS.",
    )
    kafka_user: str = Field(default="", description="User of the brokers; needed with `SASL`.")
    kafka_password: SecretStr = Field(default=NO_SECRET, description="Its password.")
    kafka_ca: Path | None = Field(
        default=None,
        description="PEM file of the authorities whose certificates brokers may have. Empty: those"
        " that the machine trusts.",
    )
    engine: str = Field(
        default="",
        description="`HOST:PORT` of the engine process, or `HOST:PORT,HOST:PORT` of it and its"
        " standby. Empty: it runs in this process.",
    )
    engine_token: SecretStr = Field(
        default=NO_SECRET,
        description="What the API processes show the engine: the same text in each of them, of"
        f" {TOKEN_CHARS_MIN} characters at least.",
    )
    engine_host: Host = Field(
        default="127.0.0.1", description="Address on which the engine takes API processes."
    )
    engine_port: int = Field(default=7420, ge=0, le=65_535, description="Its port. 0: a free one.")
    engine_ca: Path | None = Field(
        default=None,
        description="PEM file of the authority that signed the certificates of the engine and of"
        " the API processes. With the next two the link between them is TLS 1.3; without, plain.",
    )
    engine_certificate: Path | None = Field(
        default=None,
        description="PEM file of this process's certificate, shown to the other side. The engine's"
        " is for the name or address that FOLDEX_ENGINE has for it.",
    )
    engine_key: Path | None = Field(
        default=None,
        description="PEM file of its key, which nobody else may read. Not encrypted.",
    )
    ethereum_url: str = Field(
        default="",
        description="`http://HOST:PORT` of an Ethereum node. Empty: no deposits from a chain.",
    )
    signer: Path | None = Field(
        default=None, description="Socket of the signer; needed with FOLDEX_ETHEREUM_URL."
    )
    wallet_config: Path | None = Field(
        default=None,
        description="TOML file of the chain's assets and custody's limits; needed with"
        " FOLDEX_ETHEREUM_URL.",
    )
    host: Host = Field(default="127.0.0.1", description="Address of the public API.")
    port: int = Field(
        default=8000, ge=0, le=65_535, description="Its port. 0: a free one, see the log."
    )
    metrics_host: Host = Field(
        default="127.0.0.1", description="Address of `/metrics` and `/health/…`."
    )
    metrics_port: int = Field(default=0, ge=0, le=65_535, description="Its port. 0: not served.")
    log_level: Literal["critical", "error", "warning", "info", "debug"] = Field(
        default="info", description="The least that is logged."
    )
    log_format: Literal["text", "json"] = Field(
        default="text", description="One line for each event: for people, or a JSON object."
    )
    body_bytes_max: int = Field(
        default=1024 * 1024,
        ge=1,
        le=64 * 1024 * 1024,
        description="Largest request body, in bytes.",
    )
    requests_per_s: int = Field(
        default=0,
        ge=0,
        le=1_000_000,
        description="Signed requests a second that an API process takes of one API key. 0: any"
        " number.",
    )
    orders_per_s: int = Field(
        default=0,
        ge=0,
        le=1_000_000,
        description="Orders a second that it places or amends for one API key; each of a batch"
        " counts. 0: any number.",
    )
    command_timeout_s: float = Field(
        default=5.0,
        ge=0,
        le=60,
        description='How long a request waits for the engine before its outcome is "unknown".',
    )
    view_wait_s: float = Field(
        default=1.0, ge=0, le=10, description="How long a query waits for its `min_position`."
    )
    max_view_lag_ms: int = Field(
        default=5_000,
        ge=1,
        le=3_600_000,
        description="How old what the views have not folded yet may be, before the process says"
        " that it is not ready.",
    )
    query_threads: int = Field(
        default=4, ge=1, le=64, description="Queries that run at the same time in an API process."
    )
    snapshot_every_events: int = Field(
        default=1_000_000,
        ge=1,
        le=1_000_000_000,
        description="How much the log grows before another snapshot is written.",
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take nothing but what is given: tests must not depend on who runs them."""
        return (init_settings,)

    @field_validator("database_url")
    @classmethod
    def _is_postgres(cls, url: SecretStr) -> SecretStr:
        if url and not _is_postgres_url(url.get_secret_value()):
            raise ValueError("has the form postgresql://USER:PASSWORD@HOST:PORT/NAME")
        return url

    @field_validator("engine", "kafka")
    @classmethod
    def _are_addresses(cls, addresses: str) -> str:
        if addresses and not all(map(_names_a_port, addresses.split(","))):
            raise ValueError("has the form HOST:PORT,HOST:PORT")
        return addresses

    @field_validator("engine_token")
    @classmethod
    def _is_long(cls, token: SecretStr) -> SecretStr:
        if token and len(token) < TOKEN_CHARS_MIN:
            raise ValueError(f"has {TOKEN_CHARS_MIN} characters at least")
        return token

    @model_validator(mode="after")
    def _fit_together(self) -> "Settings":
        if self.engine and not self.engine_token:
            raise ValueError(f"{PREFIX}ENGINE needs {PREFIX}ENGINE_TOKEN")
        self._can_prove_itself_to_kafka()
        self._has_all_files_of_tls()
        return self

    def _can_prove_itself_to_kafka(self) -> None:
        protocol = f"{PREFIX}KAFKA_PROTOCOL"
        named = bool(self.kafka_user), bool(self.kafka_password)
        if self.kafka_protocol.startswith("SASL"):
            if not all(named):
                raise ValueError(
                    f"{protocol} {self.kafka_protocol} needs {PREFIX}KAFKA_USER and"
                    f" {PREFIX}KAFKA_PASSWORD"
                )
        elif any(named):
            raise ValueError(f"{PREFIX}KAFKA_USER needs {protocol} SASL_SSL")
        if self.kafka_protocol == "SASL_PLAINTEXT" and self.kafka_mechanism == "PLAIN":
            raise ValueError(f"{PREFIX}KAFKA_MECHANISM PLAIN needs {protocol} SASL_SSL")
        if self.kafka_ca is not None and not self.kafka_protocol.endswith("SSL"):
            raise ValueError(f"{PREFIX}KAFKA_CA needs {protocol} SSL or SASL_SSL")

    def _has_all_files_of_tls(self) -> None:
        names = ("engine_ca", "engine_certificate", "engine_key")
        missing = [variable(name) for name in names if getattr(self, name) is None]
        if 0 < len(missing) < len(names):
            raise ValueError(f"TLS of the link needs {' and '.join(missing)} as well")


def is_secret(name: str) -> bool:
    """Return whether the value of a setting must never be shown."""
    return Settings.model_fields[name].annotation is SecretStr


def is_loopback(host: str) -> bool:
    """Return whether only processes of this machine reach an address."""
    return host in _LOOPBACK


def variable(name: str) -> str:
    """Return the environment variable of a setting."""
    return PREFIX + name.upper()


def _split(url: str) -> Any:
    try:
        parts = urlsplit(url)
        return parts if parts.port != 0 else None
    except ValueError:
        return None


def _is_postgres_url(url: str) -> bool:
    """Return whether PostgreSQL understands it; there may be several HOST:PORT, with commas."""
    scheme, _, rest = url.partition("://")
    places = rest.partition("/")[0].rpartition("@")[2].split(",")
    return scheme in ("postgresql", "postgres") and all(_split(f"//{each}") for each in places)


def _names_a_port(address: str) -> bool:
    parts = _split(f"//{address.strip()}")
    return parts is not None and bool(parts.hostname) and parts.port is not None
