"""The composition root: every command, and the one place that wires rooms together."""
