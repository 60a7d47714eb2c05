"""What holds for all members of a group, and where a dead letter that came back stood first."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# `counted_from`: dead letters before it no longer count towards the limit; somebody has looked at them.
CONSUMER_GROUPS = """
CREATE TABLE consumer_groups (
  cluster text NOT NULL,
  topic text NOT NULL,
  group_id text NOT NULL,
  counted_from timestamptz,
  stopped_at timestamptz,
  stopped_why text,
  PRIMARY KEY (cluster, topic, group_id),
  CHECK ((stopped_at IS NULL) = (stopped_why IS NULL))
)
"""

ORIGIN = "ALTER TABLE dead_letters ADD COLUMN origin text"

# A record that was sent back twice by accident fails twice, and is one dead letter.
ORIGIN_INDEX = """
CREATE UNIQUE INDEX dead_letters_origin ON dead_letters (origin, delivery_count) WHERE origin IS NOT NULL
"""

# Operators name a dead letter by where it stood, without its cluster.
RECORD_INDEX = 'CREATE INDEX dead_letters_record ON dead_letters (topic, partition, "offset")'


def upgrade() -> None:
    """Adds the table, the column and the indexes; rows stay as they are."""
    for statement in (CONSUMER_GROUPS, ORIGIN, ORIGIN_INDEX, RECORD_INDEX):
        op.execute(statement)
