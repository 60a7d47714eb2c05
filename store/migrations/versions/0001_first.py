"""Scores, dead letters, models and audit."""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# `xact` and `seq` order rows by commit: below the oldest running transaction nothing new can appear. `record_time` and
# cluster are part of a record's name, because a topic that was deleted and made again starts at offset 0.
SCORES = """
CREATE TABLE scores (
  source text NOT NULL,
  event_id text NOT NULL,
  model_version text NOT NULL,
  predicted_class integer NOT NULL CHECK (predicted_class >= 0),
  label text NOT NULL,
  probability double precision NOT NULL CHECK (probability BETWEEN 0 AND 1),
  top jsonb NOT NULL CHECK (jsonb_typeof(top) = 'array'),
  sha256 text NOT NULL,
  format text NOT NULL,
  width integer NOT NULL CHECK (width >= 0),
  height integer NOT NULL CHECK (height >= 0),
  bytes bigint NOT NULL CHECK (bytes >= 0),
  engine text NOT NULL,
  precision text NOT NULL,
  event_time timestamptz NOT NULL,
  scored_at timestamptz NOT NULL DEFAULT now(),
  kafka_topic text NOT NULL,
  kafka_partition integer NOT NULL,
  kafka_offset bigint NOT NULL,
  traceparent text,
  kafka_cluster text NOT NULL,
  record_time timestamptz NOT NULL,
  envelope_digest text NOT NULL,
  xact xid8 NOT NULL DEFAULT pg_current_xact_id(),
  seq bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
  PRIMARY KEY (source, event_id, model_version)
)
"""

# Filters that page through many rows carry the order of the page; the cluster is left out of the coordinates, since
# topic, partition and offset name one record, or the few of topics made again.
SCORES_INDEXES = (
    "CREATE INDEX scores_newest ON scores (scored_at, seq)",
    "CREATE INDEX scores_committed ON scores (xact, seq)",
    "CREATE INDEX scores_label ON scores (label, scored_at, seq)",
    "CREATE INDEX scores_source ON scores (source, scored_at, seq)",
    "CREATE INDEX scores_model ON scores (model_version, scored_at, seq)",
    "CREATE INDEX scores_event ON scores (event_id)",
    "CREATE INDEX scores_record ON scores (kafka_topic, kafka_partition, kafka_offset)",
)

# No newer row of the same event: a condition on any column reaches the table's indexes, which DISTINCT ON would hide.
SCORES_LATEST = """
CREATE VIEW scores_latest AS
SELECT s.*
FROM scores s
WHERE NOT EXISTS (
  SELECT FROM scores newer
  WHERE newer.source = s.source AND newer.event_id = s.event_id AND (newer.scored_at, newer.seq) > (s.scored_at, s.seq)
)
"""

# `value` is NULL where the record had none or a large one; `value_size` tells which, and dlq_* where it is.
DEAD_LETTERS = """
CREATE TABLE dead_letters (
  cluster text NOT NULL,
  topic text NOT NULL,
  partition integer NOT NULL,
  "offset" bigint NOT NULL,
  record_time timestamptz NOT NULL,
  reason text NOT NULL CHECK (reason <> ''),
  message text NOT NULL,
  key bytea,
  value bytea,
  value_size bigint CHECK (value_size >= 0),
  headers jsonb NOT NULL CHECK (jsonb_typeof(headers) = 'array'),
  source text,
  event_id text,
  envelope_digest text,
  delivery_count integer NOT NULL CHECK (delivery_count >= 1),
  failed_at timestamptz NOT NULL DEFAULT now(),
  resolved_at timestamptz,
  resolution text CHECK (resolution IN ('scored', 'redriven', 'discarded', 'erased')),
  dlq_topic text,
  dlq_partition integer,
  dlq_offset bigint,
  xact xid8 NOT NULL DEFAULT pg_current_xact_id(),
  seq bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
  PRIMARY KEY (cluster, topic, partition, "offset", record_time),
  CHECK ((resolved_at IS NULL) = (resolution IS NULL))
)
"""

DEAD_LETTERS_INDEXES = (
    "CREATE INDEX dead_letters_newest ON dead_letters (failed_at, seq)",
    "CREATE INDEX dead_letters_committed ON dead_letters (xact, seq)",
    "CREATE INDEX dead_letters_event ON dead_letters (source, event_id)",
)

# Pictures do not compress: store them as they are.
DEAD_LETTERS_STORAGE = "ALTER TABLE dead_letters ALTER COLUMN value SET STORAGE EXTERNAL"

MODELS = """
CREATE TABLE models (
  model_version text PRIMARY KEY,
  name text NOT NULL,
  weights text NOT NULL,
  weights_sha256 text NOT NULL,
  preprocessing text NOT NULL,
  labels jsonb NOT NULL CHECK (jsonb_typeof(labels) = 'array'),
  untrained boolean NOT NULL,
  first_seen timestamptz NOT NULL DEFAULT now()
)
"""

AUDIT = """
CREATE TABLE audit (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  at timestamptz NOT NULL DEFAULT now(),
  actor text NOT NULL,
  action text NOT NULL,
  detail jsonb NOT NULL DEFAULT '{}'
)
"""


def upgrade() -> None:
    """Creates everything."""
    for statement in (SCORES, *SCORES_INDEXES, SCORES_LATEST, DEAD_LETTERS, *DEAD_LETTERS_INDEXES):
        op.execute(statement)
    for statement in (DEAD_LETTERS_STORAGE, MODELS, AUDIT):
        op.execute(statement)
