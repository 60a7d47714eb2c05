"""How to reach Kafka."""

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, PositiveFloat, SecretStr, model_validator

from settings.fields import Room


class KafkaSettings(Room):
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
