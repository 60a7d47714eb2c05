"""A record's way, hop by hop."""

from deploy.grafana.panels import Json, dashboard, graph, line
from deploy.grafana.queries import mean, quantile, rate, steepest, total, worst


def page() -> Json:
    """The dashboard."""
    hop = "scorer_batch_seconds"
    return dashboard(
        "pipeline",
        "the way of a record",
        "Kafka record to committed row: poll, decode, skip, score, publish, write, commit.",
        [
            graph("Decided", "cps", line("{{outcome}}", rate("scorer_records_total", "outcome")), stacked=True),
            graph(
                "Record to row",
                "s",
                line("half of them", quantile(0.5, "scorer_end_to_end_seconds")),
                line("99 %", quantile(0.99, "scorer_end_to_end_seconds")),
                text="From the record's timestamp to its committed row.",
            ),
            graph(
                "Where a consumer's time goes",
                "short",
                line("{{hop}}", rate(f"{hop}_sum", "hop")),
                stacked=True,
                text="Seconds of each hop a second, all consumers together. Hops overlap: score runs beside write.",
            ),
            graph("A batch, 99 %", "s", line("{{hop}}", quantile(0.99, hop, "hop"))),
            graph("Records a batch", "short", line("mean", mean("scorer_batch_records"))),
            graph("In flight", "short", line("{{instance}}", worst("scorer_inflight_records", "instance"))),
            graph("In flight, bytes", "bytes", line("{{instance}}", worst("scorer_inflight_bytes", "instance"))),
            graph(
                "The group",
                "short",
                line("rebalances", steepest("scorer_rebalances_total", "5m")),
                line("failed commits", total("scorer_commit_failures_total", "5m")),
                line(
                    "records trimmed before they were polled",
                    total("scorer_skipped_records_total", "5m", where="reason='trimmed'"),
                ),
                text="In five minutes.",
            ),
        ],
    )
