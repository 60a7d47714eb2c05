# ruff: noqa: S608  (what is put together here are constants of this module: each one is a LiteralString)
"""Every statement that the store sends, by name; those about consumer groups are in group_queries.py.

Tables are never qualified: the search_path says which schema.
"""

from typing import LiteralString

# What is decided about one record `asked` (columns cluster, topic, partition, "offset", record_time, source, event_id,
# digest, model_version): NULL when nothing is. A row of another model version at the same coordinates says nothing
# about this version, and is no conflict either: it is the same record. Scalar subqueries, since EXISTS lets the planner
# read the whole table into a hash; each of these is one look-up in an index.
_DECISION: LiteralString = """
CASE
  WHEN (
    SELECT true FROM dead_letters d
    WHERE d.cluster = asked.cluster AND d.topic = asked.topic AND d.partition = asked.partition
      AND d."offset" = asked."offset" AND d.record_time = asked.record_time
  ) OR (
    SELECT true FROM scores s
    WHERE s.kafka_topic = asked.topic AND s.kafka_partition = asked.partition AND s.kafka_offset = asked."offset"
      AND s.kafka_cluster = asked.cluster AND s.record_time = asked.record_time
      AND s.model_version = asked.model_version
    LIMIT 1
  ) THEN 'redelivered'
  WHEN (
    SELECT true FROM scores s
    WHERE s.source = asked.source AND s.event_id = asked.event_id AND s.envelope_digest <> asked.digest
      AND (s.kafka_topic, s.kafka_partition, s.kafka_offset, s.kafka_cluster, s.record_time)
        <> (asked.topic, asked.partition, asked."offset", asked.cluster, asked.record_time)
    LIMIT 1
  ) THEN 'conflict'
  WHEN (
    SELECT true FROM scores s
    WHERE s.source = asked.source AND s.event_id = asked.event_id AND s.model_version = asked.model_version
  ) THEN 'duplicate'
END
"""

# Hop 3, and the judgement of what hop 6 could not insert: one decision a record, in the order asked.
DECIDE: LiteralString = f"""
SELECT {_DECISION} AS decision
FROM unnest(
  %(cluster)s::text[], %(topic)s::text[], %(partition)s::int[], %(offset)s::bigint[], %(record_time)s::timestamptz[],
  %(source)s::text[], %(event_id)s::text[], %(digest)s::text[], %(model_version)s::text[]
) WITH ORDINALITY AS asked (
  cluster, topic, partition, "offset", record_time, source, event_id, digest, model_version, place
)
ORDER BY place
"""

# Who writes for a Kafka partition says so until the end of its transaction: scores share the lock, dead letters take
# it alone. So of two consumers that hold the same record (one of them lost its partition and does not know yet), the
# second sees what the first one wrote, and no record gets a score and a dead letter. Ordered by slot: no deadlock.
LOCK_PARTITIONS: LiteralString = """
SELECT CASE WHEN lock.alone
  THEN pg_advisory_xact_lock(hashtext('streamscorer writes ' || current_schema()), lock.slot)
  ELSE pg_advisory_xact_lock_shared(hashtext('streamscorer writes ' || current_schema()), lock.slot) END
FROM unnest(%(slot)s::int[], %(alone)s::bool[]) AS lock (slot, alone)
"""

# The transaction's time, which `scored_at` and `failed_at` carry.
NOW: LiteralString = "SELECT now()"

# One dead letter; no row comes back when this record was dead-lettered or scored (by this model version) before, or is
# the second copy of a record that was sent back twice.
INSERT_DEAD_LETTER: LiteralString = """
INSERT INTO dead_letters (
  cluster, topic, partition, "offset", record_time, reason, message, key, value, value_size, headers, source,
  event_id, envelope_digest, delivery_count, dlq_topic, dlq_partition, dlq_offset, origin
)
SELECT
  %(cluster)s, %(topic)s, %(partition)s, %(offset)s, %(record_time)s, %(reason)s, %(message)s, %(key)s::bytea,
  %(value)s::bytea, %(value_size)s, %(headers)s::jsonb, %(source)s, %(event_id)s, %(digest)s, %(delivery_count)s,
  %(dlq_topic)s, %(dlq_partition)s::int, %(dlq_offset)s::bigint, %(origin)s
WHERE NOT EXISTS (
  SELECT FROM scores s
  WHERE s.kafka_topic = %(topic)s AND s.kafka_partition = %(partition)s AND s.kafka_offset = %(offset)s
    AND s.kafka_cluster = %(cluster)s AND s.record_time = %(record_time)s
    AND (%(model_version)s::text IS NULL OR s.model_version = %(model_version)s)
)
ON CONFLICT DO NOTHING
RETURNING 1
"""

# Hop 6: the scores that are still undecided. Comes back with whether all of them became rows, and the keys of those
# that did where some did not. An earlier dead letter of the same event is resolved by its score; a Conflict, which is
# about another picture, only by the score of that picture. Listeners are told on commit.
INSERT_SCORES: LiteralString = f"""
WITH inserted AS (
  INSERT INTO scores (
    kafka_cluster, kafka_topic, kafka_partition, kafka_offset, record_time, source, event_id, envelope_digest,
    model_version, event_time, traceparent, predicted_class, label, probability, top, sha256, format, width, height,
    bytes, engine, precision
  )
  SELECT
    cluster, topic, partition, "offset", record_time, source, event_id, digest, model_version, event_time,
    traceparent, predicted_class, label, probability, top::jsonb, sha256, format, width, height, bytes, engine,
    precision
  FROM unnest(
    %(cluster)s::text[], %(topic)s::text[], %(partition)s::int[], %(offset)s::bigint[],
    %(record_time)s::timestamptz[], %(source)s::text[], %(event_id)s::text[], %(digest)s::text[],
    %(model_version)s::text[], %(event_time)s::timestamptz[], %(traceparent)s::text[], %(predicted_class)s::int[],
    %(label)s::text[], %(probability)s::float8[], %(top)s::text[], %(sha256)s::text[], %(format)s::text[],
    %(width)s::int[], %(height)s::int[], %(bytes)s::bigint[], %(engine)s::text[], %(precision)s::text[]
  ) AS asked (
    cluster, topic, partition, "offset", record_time, source, event_id, digest, model_version, event_time,
    traceparent, predicted_class, label, probability, top, sha256, format, width, height, bytes, engine, precision
  )
  WHERE {_DECISION} IS NULL
  ON CONFLICT DO NOTHING
  RETURNING source, event_id, model_version, envelope_digest
), resolved AS (
  UPDATE dead_letters d SET resolved_at = now(), resolution = 'scored'
  FROM inserted i
  WHERE d.source = i.source AND d.event_id = i.event_id AND (d.resolution IS NULL OR d.resolution = 'redriven')
    AND (d.reason <> 'Conflict' OR d.envelope_digest = i.envelope_digest)
)
SELECT
  count(*) = %(asked)s AS all_of_them,
  CASE WHEN count(*) < %(asked)s THEN array_agg(ARRAY[source, event_id, model_version]) END AS keys,
  CASE WHEN count(*) > 0 THEN pg_notify(%(channel)s, '')::text END AS told
FROM inserted
"""

# The columns that make a StoredDeadLetter.
DEAD_LETTER_COLUMNS: LiteralString = """
cluster, topic, partition, "offset", record_time, reason, message, key, headers, value_size, source, event_id,
delivery_count, failed_at, resolved_at, resolution, origin, dlq_topic, dlq_partition, dlq_offset, seq AS place
"""
_ONE_DEAD_LETTER: LiteralString = """
cluster = %(cluster)s AND topic = %(topic)s AND partition = %(partition)s AND "offset" = %(offset)s
AND record_time = %(record_time)s
"""

# A dead letter's value as the row keeps it: NULL where it is large.
DEAD_LETTER_VALUE: LiteralString = f"SELECT value FROM dead_letters WHERE {_ONE_DEAD_LETTER}"

# Takes one dead letter alone; no row comes back while another has it.
LOCK_DEAD_LETTER: LiteralString = f"""
SELECT resolution FROM dead_letters WHERE {_ONE_DEAD_LETTER} FOR UPDATE SKIP LOCKED
"""

# What has become of a dead letter, by whom.
RESOLVE_DEAD_LETTER: LiteralString = f"""
WITH resolved AS (
  UPDATE dead_letters SET resolved_at = now(), resolution = %(resolution)s WHERE {_ONE_DEAD_LETTER}
)
INSERT INTO audit (actor, action, detail) VALUES (%(actor)s, %(action)s, %(detail)s::jsonb)
"""

# What a model version is; the first one to say so is kept.
INSERT_MODEL: LiteralString = """
INSERT INTO models (model_version, name, weights, weights_sha256, preprocessing, labels, untrained)
VALUES (
  %(model_version)s, %(name)s, %(weights)s, %(weights_sha256)s, %(preprocessing)s, %(labels)s::jsonb, %(untrained)s
)
ON CONFLICT DO NOTHING
"""

# Whether a model version means what it meant when it was first seen.
SAME_MODEL: LiteralString = """
SELECT weights_sha256 = %(weights_sha256)s AND preprocessing = %(preprocessing)s AND labels = %(labels)s::jsonb
FROM models
WHERE model_version = %(model_version)s
"""

# The columns that make a Score, and the two that a cursor needs (not under their own names: ORDER BY would sort texts).
SCORE_COLUMNS: LiteralString = """
source, event_id, model_version, predicted_class, label, probability, top, sha256, format, width, height, bytes,
engine, precision, event_time, scored_at, kafka_topic, kafka_partition, kafka_offset, traceparent,
seq AS place, xact::text AS transaction
"""

# One event by its id: the newest row of each source that has such an id.
FIND: LiteralString = f"""
SELECT DISTINCT ON (source) {SCORE_COLUMNS}
FROM scores
WHERE event_id = %(event_id)s
  AND (%(source)s::text IS NULL OR source = %(source)s)
  AND (%(model_version)s::text IS NULL OR model_version = %(model_version)s)
ORDER BY source, scored_at DESC, seq DESC
"""

# Where we are, and at which revision: NULL where the tables are not there.
SCHEMA: LiteralString = """
SELECT current_schema() AS name, to_regclass(quote_ident(current_schema()) || '.streamscorer_schema') AS versions
"""
REVISION: LiteralString = "SELECT version_num FROM streamscorer_schema"

# True after a dump was restored into another server: its transaction numbers say nothing here, and readers in order of
# commit would not see those rows. A row that we see can't be from a transaction that has not begun yet.
RESTORED: LiteralString = """
SELECT EXISTS (SELECT FROM scores WHERE xact >= pg_snapshot_xmax(pg_current_snapshot()))
    OR EXISTS (SELECT FROM dead_letters WHERE xact >= pg_snapshot_xmax(pg_current_snapshot()))
"""
RENUMBER_SCORES: LiteralString = "UPDATE scores SET xact = pg_current_xact_id()"
RENUMBER_DEAD_LETTERS: LiteralString = "UPDATE dead_letters SET xact = pg_current_xact_id()"
