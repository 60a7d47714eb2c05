"""What was refused, and why."""

from deploy.grafana.panels import Json, dashboard, graph, line, number, table
from deploy.grafana.queries import added, rate, total


def page() -> Json:
    """The dashboard."""
    return dashboard(
        "dead-letters",
        "dead letters",
        "`streamscorer dlq list` shows them one by one, `dlq redrive` sends them back once their cause is gone.",
        [
            number("Last hour", "short", total("scorer_dead_letters_total", "1h"), red=1),
            number("Last day", "short", total("scorer_dead_letters_total", "1d")),
            number(
                "Share of what is decided",
                "percentunit",
                f"{rate('scorer_dead_letters_total')} / {rate('scorer_records_total')}",
                red=0.1,
                text="At half of the last 1,000 records the consumers stop.",
            ),
            number(
                "Trimmed before they were polled, last day", "short", total("scorer_skipped_records_total", "1d"), red=1
            ),
            graph("By reason", "cps", line("{{reason}}", rate("scorer_dead_letters_total", "reason")), stacked=True),
            graph("Waiting for a source", "short", line("consumers", added("scorer_paused", where="reason='source'"))),
            table(
                "By reason, last day",
                [("records", "short", f"{total('scorer_dead_letters_total', '1d', 'reason')} > 0")],
            ),
        ],
    )
