"""What callers see."""

from deploy.grafana.panels import Json, dashboard, graph, line, number
from deploy.grafana.queries import quantile, rate

SECONDS = "http_server_request_duration_seconds"
ASKED = "http_route!~'/(livez|readyz|health|metrics)'"
FAILED = f"{ASKED}, http_response_status_code=~'5..'"


def page() -> Json:
    """The dashboard."""
    asked, failed = rate(f"{SECONDS}_count", where=ASKED), rate(f"{SECONDS}_count", where=FAILED)
    return dashboard(
        "api",
        "HTTP",
        "Requests, without those of probes and Prometheus.",
        [
            number("Requests", "reqps", asked),
            number(
                "5xx",
                "percentunit",
                f"({failed} or 0 * {asked}) / {asked}",
                red=0.05,
            ),
            number("99 % within", "s", quantile(0.99, SECONDS, where=ASKED)),
            graph(
                "Requests by route",
                "reqps",
                line(
                    "{{http_request_method}} {{http_route}}",
                    rate(f"{SECONDS}_count", "http_request_method, http_route", ASKED),
                ),
                stacked=True,
            ),
            graph(
                "Requests by status",
                "reqps",
                line("{{http_response_status_code}}", rate(f"{SECONDS}_count", "http_response_status_code", ASKED)),
                stacked=True,
            ),
            graph(
                "99 % of requests, by route", "s", line("{{http_route}}", quantile(0.99, SECONDS, "http_route", ASKED))
            ),
            graph(
                "Refused",
                "reqps",
                line("{{reason}}", rate("scorer_refused_total", "reason")),
                text="By the core: a full queue, a deadline, an image that cannot be read.",
            ),
            graph(
                "Waiting in the core",
                "s",
                line("half of them", quantile(0.5, "scorer_queue_seconds", where="priority='interactive'")),
                line("99 %", quantile(0.99, "scorer_queue_seconds", where="priority='interactive'")),
            ),
        ],
    )
