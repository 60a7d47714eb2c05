"""What a decided batch leaves behind: metrics, its log line, and what budget and condition learn from it."""

import time

from consumer.budget import Budget
from consumer.condition import Condition
from consumer.items import Batch
from consumer.traces import Traces
from telemetry import Metrics, logger, with_trace

log = logger("consumer")


class Accounts:
    """Every decided batch is entered once, and gives back its share of the budget."""

    def __init__(self, metrics: Metrics, budget: Budget, condition: Condition, traces: Traces | None) -> None:
        self._metrics = metrics
        self._budget = budget
        self._condition = condition
        self._traces = traces

    def enter(self, batch: Batch) -> None:
        """All of its records have their outcome."""
        now = time.time()
        outcomes: dict[str, int] = {}
        waited_s, reasons, inferred = [], [], 0
        for item in batch.items:
            assert item.outcome is not None
            outcomes[item.outcome] = outcomes.get(item.outcome, 0) + 1
            if item.prediction is not None and not item.prediction.cached:
                inferred += 1
            if item.outcome == "scored":
                waited_s.append(max(0.0, now - item.record.at.timestamp_ms / 1000))
            elif item.outcome == "dead_lettered" and item.refusal is not None:
                reasons.append(item.refusal.reason)
                self._metrics.dead_letters.labels(reason=item.refusal.reason).inc()
        exemplars, trace_id = [], None
        if self._traces is not None:
            exemplars, trace_id = self._traces.decided(batch), self._traces.trace_id(batch)
        self._metrics.end_to_end.observe_all(waited_s, exemplars)
        for outcome, count in outcomes.items():
            self._metrics.records.labels(outcome=outcome).inc(count)
        self._metrics.last_progress.set(now)
        self._budget.decided(len(batch.items), batch.size, scored=inferred)
        self._condition.decided(len(batch.items), reasons)
        log.info("batch", offsets=batch.places(), records=len(batch.items), **outcomes, **with_trace(trace_id))
