"""Logs and metrics: how they are set up, and every metric by its name.

`Metrics` is made once by the command that runs and handed to the rooms; only the logging is the process's own.
"""

import logging
import sys
import time
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from contextvars import ContextVar
from typing import Literal, get_args

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.gc_collector import GCCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.samples import Exemplar

from errors import Invalid, InvalidImage
from settings import LogSettings

FAST_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
SLOW_S = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 14400, 86400)
SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
PROBABILITIES = tuple(step / 20 for step in range(1, 21))
TRACED: ContextVar[str | None] = ContextVar("TRACED", default=None)
"""Id of the trace that somebody keeps and that the work at hand belongs to: for exemplars."""


def logger(name: str) -> structlog.stdlib.BoundLogger:
    """A logger whose events are short phrases with fields: `log.info("batch committed", records=32)`."""
    return structlog.stdlib.get_logger(name)


def configure_logging(settings: LogSettings) -> None:
    """Send our logs and those of the libraries to stderr, in one format."""
    console = settings.log_format == "console" or (settings.log_format == "auto" and sys.stderr.isatty())
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="%H:%M:%S" if console else "iso", utc=not console),
    ]
    # Tracebacks go without local variables: these hold images, keys and tokens.
    render: list[structlog.typing.Processor] = (
        [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback)]
        if console
        else [
            structlog.processors.ExceptionRenderer(structlog.tracebacks.ExceptionDictTransformer(show_locals=False)),
            structlog.processors.JSONRenderer(),
        ]
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *render],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level.upper())
    chatty = ("uvicorn.access", "httpx", "httpcore", "urllib3", "alembic.runtime.plugins", "alembic.runtime.migration")
    for name in chatty:
        logging.getLogger(name).setLevel(logging.WARNING)
    debugging = settings.log_level == "debug"
    # A broker or database that is away makes its client log each attempt; our readiness and pause lines say it once.
    # Kafka's client is never let down to DEBUG: there it writes whole records, keys and headers included.
    logging.getLogger("psycopg").setLevel(logging.DEBUG if debugging else logging.ERROR)
    logging.getLogger("aiokafka").setLevel(logging.INFO if debugging else logging.ERROR)
    # These call each attempt an error, many a second.
    for noisiest in ("client", "consumer.fetcher", "consumer.group_coordinator", "producer.sender"):
        logging.getLogger(f"aiokafka.{noisiest}").setLevel(logging.INFO if debugging else logging.CRITICAL)
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )


class BatchHistogram(Histogram):
    """A histogram that takes many observations at the cost of one."""

    def observe_all(self, values: Sequence[float], exemplars: Iterable[tuple[float, str]] = ()) -> None:
        """Like `observe` for each of them. `exemplars` are those of the values, with trace ids, that are in a trace.

        Of each bucket the last one is shown, to those who ask for OpenMetrics.
        """
        if not values:
            return
        counts = [0] * len(self._upper_bounds)
        for value in values:
            counts[bisect_left(self._upper_bounds, value)] += 1
        self._sum.inc(sum(values))
        for bucket, count in zip(self._buckets, counts, strict=True):
            if count:
                bucket.inc(count)
        for value, trace_id in exemplars:
            shown = Exemplar(with_trace(trace_id), value, time.time())
            self._buckets[bisect_left(self._upper_bounds, value)].set_exemplar(shown)


def with_trace(trace_id: str | None) -> dict[str, str]:
    """What points to a trace: the label of an exemplar, the field of a log line; empty where there is no trace."""
    return {"trace_id": trace_id} if trace_id is not None else {}


class Metrics:
    """Every metric that the project exports, over one registry."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        GCCollector(registry=registry)

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(name, text, labels, registry=registry)

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(name, text, labels, registry=registry)

        def histogram(name: str, text: str, buckets: tuple[float, ...], *labels: str) -> BatchHistogram:
            return BatchHistogram(name, text, labels, registry=registry, buckets=buckets)

        # consumer
        self.records = counter("scorer_records", "Records decided, by outcome", "outcome")
        self.batch_records = histogram("scorer_batch_records", "Records in one batch of the consumer", SIZES)
        self.batch_seconds = histogram("scorer_batch_seconds", "Seconds of one hop for one batch", FAST_S, "hop")
        self.end_to_end = histogram("scorer_end_to_end_seconds", "Record timestamp to committed row", SLOW_S)
        self.inflight_records = gauge("scorer_inflight_records", "Records polled and not yet decided")
        self.inflight_bytes = gauge("scorer_inflight_bytes", "Bytes of records polled and not yet decided")
        self.rebalances = counter("scorer_rebalances", "Assignments of partitions that this member was given")
        self.commit_failures = counter("scorer_commit_failures", "Offset commits refused or timed out")
        self.paused = gauge("scorer_paused", "1 while the consumer waits, by reason", "reason")
        self.last_progress = gauge("scorer_last_progress_timestamp_seconds", "When a record was last decided")
        self.skipped = counter("scorer_skipped_records", "Records that were gone before they were polled", "reason")
        self.dead_letters = counter("scorer_dead_letters", "Records dead-lettered, by reason", "reason")
        # inference core
        self.images = counter("scorer_inference_images", "Images through the engine", "origin", "engine")
        self.batch_size = histogram("scorer_inference_batch_size", "Images in one forward pass", SIZES)
        self.inference_seconds = histogram("scorer_inference_seconds", "Seconds of one forward pass", FAST_S)
        self.queue_seconds = histogram(
            "scorer_queue_seconds", "Seconds of waiting, for a decode thread and for the device", FAST_S, "priority"
        )
        self.queue_depth = gauge("scorer_queue_depth", "Images waiting in the core", "priority")
        self.decode_seconds = histogram("scorer_decode_seconds", "Seconds to decode and preprocess one image", FAST_S)
        self.result_cache = counter("scorer_result_cache", "Images by whether their bytes were known", "result")
        self.refused = counter("scorer_refused", "Work refused, by reason", "reason")
        self.top1 = histogram("scorer_top1_probability", "Probability of the best class", PROBABILITIES)
        self.model_info = gauge(
            "scorer_model_info", "What scores here", "model_version", "engine", "precision", "device", "weights"
        )
        # store and API
        self.store_seconds = histogram("scorer_store_seconds", "Seconds of one store operation", FAST_S, "operation")
        self.http_seconds = histogram(
            "http_server_request_duration_seconds",
            "Seconds of one HTTP request",
            FAST_S,
            "http_request_method",
            "http_route",
            "http_response_status_code",
        )
        # Who counts over time sees no increase in a counter that first appears with its first event.
        for outcome in get_args(Outcome):
            self.records.labels(outcome)
        for reason in sorted({kind.reason for kind in (*Invalid.__subclasses__(), *InvalidImage.__subclasses__())}):
            self.dead_letters.labels(reason)
        for reason in get_args(Pause):
            self.paused.labels(reason)
        self.skipped.labels("trimmed")


Outcome = Literal["scored", "duplicate", "redelivered", "dead_lettered", "tombstone"]
Hop = Literal["poll", "decode", "skip", "score", "publish", "write", "commit"]
Pause = Literal["store", "broker", "source", "dead_letters", "operator"]
