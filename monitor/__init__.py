"""Consumer lag: sample what Kafka knows of a group, judge it, explain it, export it."""
