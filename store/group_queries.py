"""Every statement about a consumer group: its stop by the dead-letter limit, its pause, and the audit of both."""

from typing import LiteralString

# Whether the limit on dead letters has stopped the group.
STOPPED: LiteralString = """
SELECT stopped_at, stopped_why
FROM consumer_groups
WHERE cluster = %(cluster)s AND topic = %(topic)s AND group_id = %(group_id)s AND stopped_at IS NOT NULL
"""

# Whether the group is stopped, and the last decided records of its topic within the horizon, newest first: the reason
# of each dead letter, NULL for a score. Those of one transaction share its time: dead letters are spread evenly among
# its scores.
RECENT: LiteralString = """
WITH counted AS MATERIALIZED (
  SELECT coalesce(max(counted_from), '-infinity') AS since, coalesce(bool_or(stopped_at IS NOT NULL), false) AS stopped
  FROM consumer_groups
  WHERE cluster = %(cluster)s AND topic = %(topic)s AND group_id = %(group_id)s
), decided AS (
  (
    SELECT failed_at AS at, seq, reason
    FROM dead_letters
    WHERE failed_at > now() - %(horizon)s::interval AND failed_at > (SELECT since FROM counted)
      AND cluster = %(cluster)s AND topic = %(topic)s
    ORDER BY failed_at DESC
    FETCH FIRST %(window)s ROWS WITH TIES
  )
  UNION ALL
  (
    SELECT scored_at, seq, NULL
    FROM scores
    WHERE scored_at > now() - %(horizon)s::interval AND scored_at > (SELECT since FROM counted)
      AND kafka_cluster = %(cluster)s AND kafka_topic = %(topic)s
    ORDER BY scored_at DESC
    FETCH FIRST %(window)s ROWS WITH TIES
  )
), spread AS (
  SELECT at, reason, percent_rank() OVER (PARTITION BY at, reason IS NULL ORDER BY seq DESC) AS place
  FROM decided
)
SELECT (SELECT stopped FROM counted), ARRAY(SELECT reason FROM spread ORDER BY at DESC, place LIMIT %(window)s)
"""

# Stops the group, unless it is stopped already; then no row comes back, and nothing has changed.
STOP_GROUP: LiteralString = """
WITH stopped AS (
  INSERT INTO consumer_groups AS g (cluster, topic, group_id, stopped_at, stopped_why)
  VALUES (%(cluster)s, %(topic)s, %(group_id)s, now(), %(why)s)
  ON CONFLICT (cluster, topic, group_id) DO UPDATE SET stopped_at = now(), stopped_why = EXCLUDED.stopped_why
  WHERE g.stopped_at IS NULL
  RETURNING 1
)
INSERT INTO audit (actor, action, detail)
SELECT 'consumer', 'dlq limit', %(detail)s::jsonb FROM stopped
RETURNING 1
"""

# Lets the group go on, counting from zero; no row comes back where it was not stopped.
RESUME_GROUP: LiteralString = """
WITH resumed AS (
  UPDATE consumer_groups SET stopped_at = NULL, stopped_why = NULL, counted_from = now()
  WHERE cluster = %(cluster)s AND topic = %(topic)s AND group_id = %(group_id)s AND stopped_at IS NOT NULL
  RETURNING 1
)
INSERT INTO audit (actor, action, detail)
SELECT %(actor)s, 'dlq resume', %(detail)s::jsonb FROM resumed
RETURNING 1
"""

# An operator's pause; no row where there is none.
PAUSED: LiteralString = """
SELECT paused_at, paused_by, paused_why
FROM consumer_groups
WHERE cluster = %(cluster)s AND topic = %(topic)s AND group_id = %(group_id)s AND paused_at IS NOT NULL
"""

# Pauses the group, unless it is paused already; then no row comes back, and nothing has changed.
PAUSE_GROUP: LiteralString = """
WITH paused AS (
  INSERT INTO consumer_groups AS g (cluster, topic, group_id, paused_at, paused_by, paused_why)
  VALUES (%(cluster)s, %(topic)s, %(group_id)s, now(), %(actor)s, %(why)s)
  ON CONFLICT (cluster, topic, group_id) DO UPDATE
  SET paused_at = now(), paused_by = EXCLUDED.paused_by, paused_why = EXCLUDED.paused_why
  WHERE g.paused_at IS NULL
  RETURNING 1
)
INSERT INTO audit (actor, action, detail)
SELECT %(actor)s, 'pause', %(detail)s::jsonb FROM paused
RETURNING now()
"""

# Ends an operator's pause; no row comes back where there was none.
UNPAUSE_GROUP: LiteralString = """
WITH resumed AS (
  UPDATE consumer_groups SET paused_at = NULL, paused_by = NULL, paused_why = NULL
  WHERE cluster = %(cluster)s AND topic = %(topic)s AND group_id = %(group_id)s AND paused_at IS NOT NULL
  RETURNING 1
)
INSERT INTO audit (actor, action, detail)
SELECT %(actor)s, 'resume', %(detail)s::jsonb FROM resumed
RETURNING 1
"""

# What somebody does that no table of ours shows.
INSERT_AUDIT: LiteralString = """
INSERT INTO audit (actor, action, detail) VALUES (%(actor)s, %(action)s, %(detail)s::jsonb)
"""
