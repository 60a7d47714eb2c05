"""An operator's pause of a consumer group."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

PAUSE = """
ALTER TABLE consumer_groups
  ADD COLUMN paused_at timestamptz,
  ADD COLUMN paused_by text,
  ADD COLUMN paused_why text,
  ADD CHECK ((paused_at IS NULL) = (paused_by IS NULL)),
  ADD CHECK (paused_at IS NOT NULL OR paused_why IS NULL)
"""


def upgrade() -> None:
    """Adds the columns; no group is paused."""
    op.execute(PAUSE)
