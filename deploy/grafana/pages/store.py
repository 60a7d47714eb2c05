"""PostgreSQL, as we see it."""

from deploy.grafana.panels import Json, dashboard, graph, line
from deploy.grafana.queries import added, quantile, rate


def page() -> Json:
    """The dashboard."""
    seconds = "scorer_store_seconds"
    return dashboard(
        "store",
        "PostgreSQL",
        "How long the store takes, by what it is asked for.",
        [
            graph("Operations", "ops", line("{{operation}}", rate(f"{seconds}_count", "operation")), stacked=True),
            graph("Half of them", "s", line("{{operation}}", quantile(0.5, seconds, "operation"))),
            graph("99 % of them", "s", line("{{operation}}", quantile(0.99, seconds, "operation"))),
            graph(
                "Connections busy",
                "short",
                line("{{operation}}", rate(f"{seconds}_sum", "operation")),
                stacked=True,
                text="Seconds of work a second.",
            ),
            graph(
                "Rows",
                "cps",
                line("scores", rate("scorer_records_total", where="outcome='scored'")),
                line("dead letters", rate("scorer_dead_letters_total")),
            ),
            graph(
                "Consumers that wait for the store",
                "short",
                line("waiting", added("scorer_paused", where="reason='store'")),
            ),
        ],
    )
