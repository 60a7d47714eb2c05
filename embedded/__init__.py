"""A real Kafka broker and a real PostgreSQL on one machine, for trying it out and for tests."""
