"""Kafka record to committed row: poll, decode, skip, score, publish, write, commit, drain."""
