"""Kafka's failures in our words: what passes becomes BrokerUnavailable, the rest propagates."""

from collections.abc import Iterator
from contextlib import contextmanager

from aiokafka.errors import KafkaConnectionError, KafkaError, KafkaTimeoutError, ProducerClosed, RequestTimedOutError

from errors import BrokerUnavailable
from settings import KafkaSettings

_PASSING = (KafkaConnectionError, KafkaTimeoutError, RequestTimedOutError, ProducerClosed, TimeoutError, OSError)


@contextmanager
def kafka_failures(settings: KafkaSettings) -> Iterator[None]:
    """Turn connection trouble, time-outs and retriable errors into BrokerUnavailable with the address in it."""
    try:
        yield
    except _PASSING as error:
        raise BrokerUnavailable(explain(settings, error)) from error
    except KafkaError as error:
        if error.retriable:
            raise BrokerUnavailable(explain(settings, error)) from error
        raise


def explain(settings: KafkaSettings, error: BaseException) -> str:
    """One line on why Kafka does not answer. A refused login reaches us as a failed connection, so name both."""
    where = f"Kafka at {settings.kafka_bootstrap_servers} (SCORER_KAFKA_BOOTSTRAP_SERVERS)"
    text = f"{where} does not answer ({type(error).__name__}: {error})"
    if settings.kafka_security_protocol != "PLAINTEXT":
        text += (
            f"; {settings.kafka_security_protocol} is on: a wrong user, password or certificate looks the same, "
            "check SCORER_KAFKA_SASL_* and SCORER_KAFKA_SSL_*"
        )
    return text
