"""Are we keeping up; if not, which partition, and when are we done?"""

from deploy.grafana.panels import GREEN, ORANGE, RED, Json, dashboard, graph, line, number, table, verdict
from deploy.grafana.queries import added, chosen, rate, total, worst

STATUSES = (("OK", GREEN), ("WARN", ORANGE), ("STALL", RED), ("STOP", RED), ("REWIND", RED))


def page() -> Json:
    """The dashboard."""
    statuses = (chosen("scorer_consumer_lag_status", f"status='{word}'") for word, _ in STATUSES)
    status = " or ".join(f"{rank} * {one}" for rank, one in enumerate(statuses))
    decided, seconds, waiting = (
        rate("scorer_records_total"),
        "scorer_consumer_lag_seconds",
        "scorer_consumer_lag_records",
    )
    firing = chosen("ALERTS", "alertstate='firing'")
    return dashboard(
        "overview",
        "are we keeping up",
        "The group's lag, and what keeps it. `streamscorer lag` says why in a sentence; docs/runbook.md what to do.",
        [
            verdict("The group", f"max({status})", STATUSES, text="As bad as its worst partition."),
            number("Behind", "s", worst(seconds), red=60, text="Age of the oldest unscored record."),
            number("Records waiting", "short", added(waiting)),
            number(
                "Done in", "s", worst("scorer_consumer_lag_eta_seconds"), text="Nothing while the lag does not shrink."
            ),
            number("Dead letters, last hour", "short", total("scorer_dead_letters_total", "1h"), red=1),
            number(
                "Minutes within the objective, 30 days",
                "percentunit",
                f"1 - avg_over_time({chosen('scorer:lag_objective_missed')}[30d])",
                text="99 % is the objective: every partition less than 60 s behind.",
            ),
            graph(
                "Behind, by partition",
                "s",
                line("{{topic}}/{{partition}}", worst(seconds, "topic, partition")),
                limit=60,
            ),
            graph(
                "Waiting, by partition",
                "short",
                line("{{topic}}/{{partition}}", worst(waiting, "topic, partition")),
                stacked=True,
            ),
            graph(
                "Arriving and decided",
                "cps",
                line("arriving", f"{decided} + sum(deriv({chosen(waiting)}[$__rate_interval]))"),
                line("decided", decided),
                text="Arriving is what was decided and what the lag grew by.",
            ),
            graph(
                "Waiting for",
                "short",
                line("{{reason}}", worst("scorer_paused", "reason")),
                text="1 while a consumer waits.",
            ),
            table(
                "Partitions",
                [
                    ("behind", "s", worst(seconds, "topic, partition")),
                    ("records", "short", worst(waiting, "topic, partition")),
                    ("is", "short", f"{worst('scorer_consumer_lag_status', 'topic, partition, status')} == 1"),
                ],
            ),
            table(
                "Alerts",
                [
                    (
                        "number",
                        "short",
                        f"count by (severity, alertname, topic, partition, reason) ({firing})",
                    )
                ],
            ),
        ],
    )
