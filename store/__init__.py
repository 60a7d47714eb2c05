"""The only SQL: idempotent writes, queries and migrations, on PostgreSQL."""
