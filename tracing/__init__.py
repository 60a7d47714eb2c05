"""Traces, opt-in: `opening` reads the OTEL_ variables and talks to the collector, `spans` makes the spans.

Nothing of OpenTelemetry is loaded where it is off: then the rooms get None for a `Tracing`.
"""
