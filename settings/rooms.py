"""Every knob but those of the connection to Kafka: one frozen model a room."""

from ipaddress import ip_address
from pathlib import Path
from typing import Literal, Self

from platformdirs import user_cache_path, user_data_path
from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, SecretStr, field_validator, model_validator

from settings.fields import CommaList, Port, Room
from settings.kafka import KafkaSettings


class StoreSettings(Room):
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


class FileSettings(Room):
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


class SourceSettings(Room):
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


class LogSettings(Room):
    """Logs."""

    log_format: Literal["auto", "console", "json"] = "auto"
    """console for people, json for machines; auto: console on a terminal."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severe line that is written."""


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
