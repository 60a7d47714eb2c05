"""Every knob: one frozen model a room, and `Settings`, which is all of them, read from SCORER_ variables and .env.

A room takes its own model (`InferenceSettings`), a command hands it the whole `Settings`; tests build what they need.
"""

import os
from collections.abc import Collection, Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from platformdirs import user_cache_path, user_data_path
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    EnvSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from errors import UsageError

PREFIX = "SCORER_"


def _split(value: Any) -> Any:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


CommaList = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]
Port = Annotated[int, Field(ge=0, le=65535)]


class _Room(BaseModel):
    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True, protected_namespaces=(), extra="ignore")


class KafkaSettings(_Room):
    """How to reach Kafka, and which topics and group are ours."""

    kafka_bootstrap_servers: str | None = None
    """host:port of one or more brokers, separated by commas."""
    kafka_topic: str = "image-events"
    """Topic that image events arrive on."""
    kafka_dlq_topic: str = Field(default="", validate_default=True)
    """Topic for dead letters (default: the input topic with .dlq behind it)."""
    kafka_scores_topic: str | None = None
    """Topic that scores are published on; off when not set."""
    kafka_group_id: str = "streamscorer"
    """Consumer group."""
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    """Transport to the brokers."""
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = None
    """SASL mechanism."""
    kafka_sasl_username: str | None = None
    """SASL user name."""
    kafka_sasl_password: SecretStr | None = None
    """SASL password."""
    kafka_ssl_cafile: Path | None = None
    """PEM file of the authorities that vouch for the brokers (default: the system's)."""
    kafka_ssl_certfile: Path | None = None
    """PEM file of the client's certificate."""
    kafka_ssl_keyfile: Path | None = None
    """PEM file of the client's key."""
    kafka_auto_offset_reset: Literal["earliest", "latest"] = "earliest"
    """Where a group without committed offsets begins."""
    kafka_session_timeout_s: PositiveFloat = 10.0
    """Silence after which the group gives a member's partitions to others."""

    @model_validator(mode="before")
    @classmethod
    def _dlq_follows_topic(cls, values: Any) -> Any:
        if isinstance(values, dict) and not values.get("kafka_dlq_topic"):
            values = {**values, "kafka_dlq_topic": f"{values.get('kafka_topic') or 'image-events'}.dlq"}
        return values

    @model_validator(mode="after")
    def _kafka_options_agree(self) -> Self:
        sasl = self.kafka_security_protocol.startswith("SASL")
        if sasl and not (self.kafka_sasl_mechanism and self.kafka_sasl_username and self.kafka_sasl_password):
            raise ValueError(
                f"SCORER_KAFKA_SECURITY_PROTOCOL={self.kafka_security_protocol} needs SCORER_KAFKA_SASL_MECHANISM, "
                "SCORER_KAFKA_SASL_USERNAME and SCORER_KAFKA_SASL_PASSWORD"
            )
        if self.kafka_sasl_mechanism and not sasl:
            raise ValueError(
                f"SCORER_KAFKA_SASL_MECHANISM={self.kafka_sasl_mechanism} contradicts "
                f"SCORER_KAFKA_SECURITY_PROTOCOL={self.kafka_security_protocol}: use SASL_SSL or SASL_PLAINTEXT"
            )
        if len({self.kafka_topic, self.kafka_dlq_topic, self.kafka_scores_topic}) < 3:
            raise ValueError(
                f"SCORER_KAFKA_TOPIC={self.kafka_topic}, SCORER_KAFKA_DLQ_TOPIC={self.kafka_dlq_topic} and "
                f"SCORER_KAFKA_SCORES_TOPIC={self.kafka_scores_topic} must be three different topics"
            )
        return self


class StoreSettings(_Room):
    """How to reach PostgreSQL."""

    database_url: SecretStr | None = None
    """postgresql://user:password@host:port/database"""
    statement_timeout_s: PositiveFloat = 30.0
    """A statement that runs longer is cancelled by the server and tried again."""

    @field_validator("database_url")
    @classmethod
    def _is_postgresql(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None and not url.get_secret_value().startswith(("postgresql://", "postgres://")):
            scheme, is_address, _ = url.get_secret_value().partition("://")
            begins = f" (it begins with {scheme[:20]}://)" if is_address else ""  # anything else may be a secret
            raise ValueError(f"must begin with postgresql://{begins}")
        return url


class FileSettings(_Room):
    """Folders of our own."""

    data_dir: Path = Field(default_factory=lambda: user_data_path("streamscorer"))
    """Where calibrations are kept, and the data of the embedded broker and database."""
    cache_dir: Path = Field(default_factory=lambda: user_cache_path("streamscorer"))
    """Where what can be made again is kept: fetched jars, converted networks, the measured choice of an engine."""


class LifeSettings(FileSettings):
    """Start, stop and memory of a process."""

    start_timeout_s: PositiveFloat = 60.0
    """How long a start waits for Kafka and PostgreSQL before it gives up with exit 4."""
    drain_timeout_s: PositiveFloat = 30.0
    """How long a stop may take to finish and commit what is in flight."""
    maven_mirror: str | None = None
    """Address of a Maven repository to fetch the embedded broker's jars from (default: Maven Central)."""
    memory_budget_mb: PositiveInt = Field(default=4096, ge=2048)
    """Resident memory that the process should stay within on a CPU; what may be in flight and buffered follows."""


class InferenceSettings(FileSettings):
    """Model and inference core."""

    weights: str = "IMAGENET1K_V2"
    """IMAGENET1K_V2, IMAGENET1K_V1, untrained, or the path of a ResNet50 state_dict (.pt .pth .safetensors)."""
    labels: Path | None = None
    """Text file with one label a line (default: ImageNet's)."""
    preprocessing: str | None = None
    """resize=232,crop=224,mean=0.485/0.456/0.406,std=0.229/0.224/0.225 (default: that of the weights)."""
    model_name: str = Field(default="resnet50", pattern=r"^[A-Za-z0-9._-]{1,64}$")
    """Name that model_version begins with."""
    model_version: str | None = Field(default=None, pattern=r"^[A-Za-z0-9._-]{1,128}$")
    """Overrides the derived <name>-<12 hex> of weights, preprocessing and labels."""
    top_k: int = Field(default=5, ge=1, le=1000)
    """How many classes an answer lists."""
    engine: Literal["auto", "torch", "openvino"] = "auto"
    """torch, openvino (a CPU's fast path), or auto: the fastest one here, measured once and remembered."""
    device: str = Field(default="auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$")
    """auto, cpu, cuda or cuda:N"""
    precision: Literal["auto", "fp32", "bf16", "fp16", "int8"] = "auto"
    """Arithmetic; int8 needs `streamscorer calibrate` first. auto: fp32, or with engine auto the fastest there is."""
    threads: NonNegativeInt = 0
    """Threads of one forward pass on the CPU (0: one for each core that the process may use)."""
    max_batch: PositiveInt = 32
    """Most images in one forward pass."""
    max_image_bytes: PositiveInt = 8 * 1024 * 1024
    """Largest encoded image that is accepted."""
    max_image_pixels: PositiveInt = 50_000_000
    """Largest picture, width x height, that is decoded."""
    decode: Literal["fast", "exact"] = "fast"
    """fast shrinks large JPEGs while they are read; exact is bit for bit what torchvision's transforms give."""
    cache_entries: NonNegativeInt = 1024
    """Answers that are kept by content, for requests and stream alike; 0: the same bytes are scored each time."""


class SourceSettings(_Room):
    """Where an image_uri may point to."""

    uri_file_roots: CommaList = ()
    """Folders that file:// may read from, separated by commas; none by default."""
    uri_http_hosts: CommaList = ()
    """Hosts (host or host:port; *.example.org for subdomains) that http(s):// may fetch from; none by default."""
    uri_s3_buckets: CommaList = ()
    """Buckets that s3:// may read from; none by default."""
    source_deadline_s: PositiveFloat = 300.0
    """How long a source may stay away before its record is dead-lettered as SourceUnavailable."""
    max_image_bytes: PositiveInt = 8 * 1024 * 1024
    """Largest encoded image that is accepted."""


class ConsumerSettings(KafkaSettings, SourceSettings, LifeSettings):
    """Kafka record to committed row."""

    stall_timeout_s: PositiveFloat = 120.0
    """The consumer ends, to be started again, after so long without progress though there is work and nothing waits."""
    id_fallback: Literal["coordinates", "sha256"] = "coordinates"
    """Identity of an event without an id: its Kafka coordinates, or the digest of its content."""
    dead_letter_limit_ratio: float = Field(default=0.5, gt=0, le=1)
    """Share of dead letters among the last decided records at which the consumer stops with exit 3."""
    dead_letter_limit_window: int = Field(default=1000, ge=10, le=100_000)
    """How many of the last decided records are looked at, none of them older than ten minutes."""


class ApiSettings(KafkaSettings, SourceSettings, LifeSettings):
    """The HTTP service."""

    host: str = "127.0.0.1"
    """Address to listen on."""
    port: Port = 8000
    """Port to listen on; 0 picks a free one and prints it."""
    insecure: bool = False
    """Listen beyond loopback without access control."""
    proxy_headers: bool = False
    """Trust X-Forwarded-* of the proxy in front."""
    cors_origins: CommaList = ()
    """Origins that browsers may call from, separated by commas."""
    max_wait_s: PositiveFloat = 30.0
    """Longest that a request waits: for its score (?wait_s=), or for a prediction while many are asked for."""
    health_port: Port | None = None
    """Port on which `consumer` and `monitor` serve /livez /readyz /metrics; off when not set."""

    @model_validator(mode="after")
    def _open_only_on_purpose(self) -> Self:
        if not self.insecure and not _is_loopback(self.host):
            raise ValueError(
                f"SCORER_HOST={self.host} is reachable from other machines and the service has no access control: "
                "set SCORER_INSECURE=true if that is meant, or SCORER_HOST=127.0.0.1"
            )
        return self


class MonitorSettings(KafkaSettings):
    """Watching the lag."""

    lag_interval_s: float = Field(default=5.0, ge=0.5)
    """Seconds from one look at the group's lag to the next."""


class LogSettings(_Room):
    """Logs."""

    log_format: Literal["auto", "console", "json"] = "auto"
    """console for people, json for machines; auto: console on a terminal."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severe line that is written."""


class Settings(
    ConsumerSettings, StoreSettings, InferenceSettings, ApiSettings, MonitorSettings, LogSettings, BaseSettings
):
    """All of them. Precedence: options, environment, secret files, .env, defaults."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_file=".env", frozen=True, use_attribute_docstrings=True, protected_namespaces=(),
        extra="ignore", env_ignore_empty=True,
    )  # fmt: skip

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003  (pydantic calls it by this name)
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, _SecretFiles(settings_cls), dotenv_settings


class _SecretFiles(PydanticBaseSettingsSource):
    """SCORER_X_FILE names a file that holds the secret X."""

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:
        variable = f"{PREFIX}{field_name.upper()}"
        path = os.environ.get(f"{variable}_FILE")
        if not path or not is_secret(field.annotation):
            return None, field_name, False
        if os.environ.get(variable):
            raise UsageError(f"{variable} and {variable}_FILE contradict each other: set one of them")
        try:
            return Path(path).read_text(encoding="utf-8").strip(), field_name, False
        except OSError as error:
            raise UsageError(f"{variable}_FILE={path}: {error.strerror}") from error
        except UnicodeDecodeError:
            raise UsageError(f"{variable}_FILE={path}: not a text in UTF-8") from None  # its message shows the bytes

    def __call__(self) -> dict[str, Any]:
        found = {name: self.get_field_value(field, name)[0] for name, field in self.settings_cls.model_fields.items()}
        return {name: value for name, value in found.items() if value is not None}


def load(options: Mapping[str, Any] | None = None) -> Settings:
    """Settings from `options` (command line), environment, secret files and .env. UsageError names what is wrong."""
    given = {name: value for name, value in (options or {}).items() if value is not None}
    try:
        return Settings(**given)
    except ValidationError as error:
        raise UsageError("; ".join(_explain(problem, given) for problem in error.errors())) from None


def origins(options: Collection[str] = ()) -> dict[str, str]:
    """Where the value of each setting comes from, given the names of the `options` that were used."""
    sources: dict[str, Collection[str]] = {
        "option": options,
        "environment": EnvSettingsSource(Settings)(),
        "file": _SecretFiles(Settings)(),
        ".env": DotEnvSettingsSource(Settings)(),
    }
    return {
        name: next((origin for origin, found in sources.items() if name in found), "default")
        for name in Settings.model_fields
    }


def known_variables() -> set[str]:
    """Every SCORER_ variable that a setting reads."""
    names = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
    return names | {
        f"{PREFIX}{name.upper()}_FILE" for name, f in Settings.model_fields.items() if is_secret(f.annotation)
    }


def unknown_variables() -> list[str]:
    """SCORER_ variables of the environment that no setting reads: most likely misspelt."""
    known = known_variables()
    return sorted(name for name in os.environ if name.startswith(PREFIX) and name not in known)


def _explain(problem: Any, given: Mapping[str, Any]) -> str:
    message = problem["msg"].removeprefix("Value error, ")
    if not problem["loc"]:
        return str(message)
    name = str(problem["loc"][0])
    where = f"--{name.replace('_', '-')}" if name in given else f"{PREFIX}{name.upper()}"
    secret = is_secret(Settings.model_fields[name].annotation)
    value = "" if secret else f"={problem['input']}"
    return f"{where}{value}: {message}"


def is_secret(annotation: Any) -> bool:
    """Whether a field of this type holds a secret."""
    return "SecretStr" in str(annotation)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
