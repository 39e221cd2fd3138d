"""Whoever deletes live sessions past us, by SQL of their own, by a cascade or TRUNCATE, closes the fence with it: within a fence period no process believes
the cache's copies of them any more. What we delete ourselves is over already and closes nothing."""

from alembic import op

revision = "0006"
down_revision = "0005"

_ON_POSTGRES = (
    """
    CREATE FUNCTION close_cache_fence() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
    BEGIN
      IF TG_OP = 'DELETE' THEN
        IF NOT EXISTS (SELECT 1 FROM gone WHERE ended_at IS NULL) THEN
          RETURN NULL;
        END IF;
      END IF;
      UPDATE cache_fence SET number = number + 1, nonce = substr(md5(gen_random_uuid()::text), 1, 12), is_open = FALSE,
        raised_at = (extract(epoch FROM clock_timestamp()) * 1000000)::bigint;
      RETURN NULL;
    END $$
    """,
    "CREATE TRIGGER sessions_deleted_by_hand AFTER DELETE ON sessions REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION close_cache_fence()",
    "CREATE TRIGGER sessions_truncated AFTER TRUNCATE ON sessions FOR EACH STATEMENT EXECUTE FUNCTION close_cache_fence()",
)
_ON_SQLITE = (
    """
    CREATE TRIGGER sessions_deleted_by_hand AFTER DELETE ON sessions WHEN OLD.ended_at IS NULL
    BEGIN
      UPDATE cache_fence SET number = number + 1, nonce = lower(hex(randomblob(6))), is_open = 0,
        raised_at = CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER);
    END
    """,
)


def upgrade() -> None:
    is_postgres = op.get_bind().dialect.name == "postgresql"
    for statement in _ON_POSTGRES if is_postgres else _ON_SQLITE:
        op.execute(statement)
