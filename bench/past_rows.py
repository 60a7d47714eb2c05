"""Rows of earlier days, so many that the indexes no longer fit where they did; PostgreSQL makes them itself."""

import time

from bench.ground import execute

_AT_ONCE = 250_000
_MAKE = """
INSERT INTO scores (
  source, event_id, model_version, predicted_class, label, probability, top, sha256, format, width, height, bytes,
  engine, precision, event_time, scored_at, kafka_topic, kafka_partition, kafka_offset, kafka_cluster, record_time,
  envelope_digest
)
SELECT
  '/past/' || n %% 20, 'event-' || n, 'instant-000000000000', n %% 1000, 'class ' || n %% 1000, 0.5,
  '[{"class_id": 1, "label": "class 1", "probability": 0.5}, {"class_id": 2, "label": "class 2", "probability": 0.2}]',
  encode(sha256(n::text::bytea), 'hex'), 'jpeg', 640, 480, 10000, 'instant', 'fp32', at, at, 'past', n %% 12, n, 'past',
  at, encode(sha256(('e' || n)::text::bytea), 'hex')
FROM (
  SELECT n, now() - interval '1 day' - make_interval(secs => n / 100.0) AS at
  FROM generate_series(%s::bigint, %s::bigint) AS n
) AS numbered
"""


async def fill(url: str, rows: int) -> float:
    """Make so many scores in the schema of `url`, with all indexes; seconds that it took."""
    begun = time.monotonic()
    for first in range(0, rows, _AT_ONCE):
        await execute(url, _MAKE, first, min(first + _AT_ONCE, rows) - 1)
    await execute(url, "ANALYZE scores")
    await execute(url, "CHECKPOINT")
    return time.monotonic() - begun
