"""From settings to a client's options."""

from pathlib import Path

import pytest

from broker.clients import connection_options
from errors import UsageError
from settings import KafkaSettings


def test_no_broker_named_is_one_clear_line() -> None:
    with pytest.raises(UsageError, match="SCORER_KAFKA_BOOTSTRAP_SERVERS is not set"):
        connection_options(KafkaSettings())


def test_sasl_over_tls_reaches_the_client() -> None:
    options = connection_options(
        KafkaSettings(
            kafka_bootstrap_servers="kafka:9093",
            kafka_security_protocol="SASL_SSL",
            kafka_sasl_mechanism="SCRAM-SHA-256",
            kafka_sasl_username="bob",
            kafka_sasl_password="builder",
        )
    )
    assert options["ssl_context"] is not None
    assert (options["sasl_mechanism"], options["sasl_plain_username"]) == ("SCRAM-SHA-256", "bob")
    assert options["sasl_plain_password"] == "builder"


def test_plain_text_has_no_tls() -> None:
    assert connection_options(KafkaSettings(kafka_bootstrap_servers="kafka:9092"))["ssl_context"] is None


def test_a_bad_certificate_is_named(tmp_path: Path) -> None:
    bad = tmp_path / "ca.pem"
    bad.write_text("no certificate")
    settings = KafkaSettings(kafka_bootstrap_servers="k:1", kafka_security_protocol="SSL", kafka_ssl_cafile=bad)
    with pytest.raises(UsageError, match=r"SCORER_KAFKA_SSL_CAFILE=.*ca\.pem"):
        connection_options(settings)
