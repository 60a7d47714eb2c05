"""The only place that builds Kafka clients: security, consumer, producer, admin, topics."""
