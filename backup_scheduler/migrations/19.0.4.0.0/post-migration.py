LOST = "The attempt ended with an update of this addon."


def migrate(cr, version):
    """Turn what runs, copies and alerts said of work to be done into tasks.

    After the table is there, and while the columns of the version before still are: they go at the
    end. Its worker was stopped for the update. What it was in the middle of is queued again, and
    the attempt does not count.
    """
    if not version:
        return
    if not has_column(cr, "backup_run", "lease_token"):
        return
    settle_discoveries(cr)
    plan_attempts(cr)
    plan_archives(cr)
    plan_restores(cr)
    plan_the_rest(cr)
    drop_columns(cr)


def has_column(cr, table, column):
    cr.execute(
        "SELECT 1 FROM information_schema.columns WHERE table_name = %s AND column_name = %s",
        (table, column),
    )
    return bool(cr.fetchone())


def settle_discoveries(cr):
    """A discovery places no copies any more; of one that was lost nothing is to be discarded."""
    cr.execute(
        """
        UPDATE backup_copy copy
           SET status = CASE WHEN run.status IN ('queued', 'running') THEN 'pending'
                             ELSE 'failed' END,
               next_attempt_at = NULL
          FROM backup_run run
         WHERE run.id = copy.run_id AND copy.status = 'uploading' AND copy.path IS NULL
        """
    )


def plan_attempts(cr):
    """A task for each run that waits or runs."""
    cr.execute(
        """
        INSERT INTO backup_task (kind, run_id, instance_id, company_id, due_at, priority, attempt,
                                 requested_at, error_code, create_date, write_date)
        SELECT CASE WHEN COALESCE(database_name, '') = '' THEN 'discover' ELSE 'backup' END,
               id, instance_id, company_id, COALESCE(retry_at, scheduled_at),
               CASE WHEN trigger = 'manual' THEN 20 ELSE 21 END,
               greatest(COALESCE(attempt, 0) - (status = 'running')::int, 0),
               create_date, error_code, create_date, create_date
          FROM backup_run
         WHERE status IN ('queued', 'running')
        """
    )
    cr.execute(
        """
        UPDATE backup_run
           SET status = 'queued', attempt = greatest(attempt - 1, 0), log = concat_ws(
                   E'\\n', log, to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS ') || %s
               )
         WHERE status = 'running'
        """,
        [LOST],
    )


def plan_archives(cr):
    """Verifications that were requested; deletions, replications and discards by the copies."""
    # What was on its way to a destination when the worker was stopped is tried again.
    cr.execute(
        """
        UPDATE backup_copy copy SET status = 'failed', next_attempt_at = now() AT TIME ZONE 'UTC'
          FROM backup_run run
         WHERE run.id = copy.run_id AND copy.status = 'uploading' AND run.stored_copies > 0
        """
    )
    cr.execute(
        """
        INSERT INTO backup_task (kind, run_id, instance_id, company_id, due_at, priority, attempt,
                                 requested_at, level, identity_sealed, create_date, write_date)
        SELECT 'verify', id, instance_id, company_id, verification_requested_at,
               CASE WHEN verification_awaited THEN 30 ELSE 40 END, 0, verification_requested_at,
               COALESCE(requested_level, wanted_level, '2'), identity_sealed,
               verification_requested_at, verification_requested_at
          FROM backup_run
         WHERE status NOT IN ('queued', 'running') AND verification_requested_at IS NOT NULL
        """
    )
    cr.execute(
        """
        INSERT INTO backup_task (kind, run_id, instance_id, company_id, due_at, priority, attempt,
                                 requested_at, create_date, write_date)
        SELECT due.kind, run.id, run.instance_id, run.company_id, min(due.moment), 40, 0,
               now() AT TIME ZONE 'UTC', now() AT TIME ZONE 'UTC', now() AT TIME ZONE 'UTC'
          FROM backup_run run
          JOIN LATERAL (
                SELECT 'delete' AS kind, greatest(
                           COALESCE(copy.next_attempt_at, copy.deletion_requested_at),
                           copy.immutable_until
                       ) AS moment
                  FROM backup_copy copy
                 WHERE copy.run_id = run.id AND copy.path IS NOT NULL
                   AND copy.status IN ('stored', 'failed')
                   AND copy.deletion_requested_at IS NOT NULL
                UNION ALL
                SELECT 'replicate', copy.next_attempt_at
                  FROM backup_copy copy
                 WHERE copy.run_id = run.id AND copy.status IN ('failed', 'pending')
                   AND copy.deletion_requested_at IS NULL AND copy.next_attempt_at IS NOT NULL
                   AND run.stored_copies > 0
                UNION ALL
                SELECT 'discard', COALESCE(copy.next_attempt_at, run.finished_at)
                  FROM backup_copy copy
                 WHERE copy.run_id = run.id AND copy.status = 'uploading'
                   AND run.status IN ('failed', 'cancelled')
               ) due ON due.moment IS NOT NULL
         WHERE run.status NOT IN ('queued', 'running')
         GROUP BY due.kind, run.id
        """
    )


def plan_restores(cr):
    """Restores that wait are tasks; one that ran has ended in the middle."""
    cr.execute(
        """
        UPDATE backup_restore SET status = 'failed', error_code = 'worker_lost', error = %s,
                                  identity_sealed = NULL, finished_at = now() AT TIME ZONE 'UTC'
         WHERE status = 'running'
        """,
        [LOST],
    )
    cr.execute(
        """
        INSERT INTO backup_task (kind, run_id, restore_id, instance_id, company_id, due_at,
                                 priority, attempt, requested_at, requested_by_id, create_date,
                                 write_date)
        SELECT 'restore', run.id, restore.id, run.instance_id, run.company_id, restore.create_date,
               10, 0, restore.create_date, restore.create_uid, restore.create_date,
               restore.create_date
          FROM backup_restore restore
          JOIN backup_run run ON run.id = restore.run_id
         WHERE restore.status = 'queued'
        """
    )


def plan_the_rest(cr):
    """What killed processes may have left on PostgreSQL, and alerts that wait."""
    cr.execute(
        """
        INSERT INTO backup_task (kind, due_at, priority, attempt, requested_at)
        SELECT 'sweep', now() AT TIME ZONE 'UTC', 40, 0, now() AT TIME ZONE 'UTC'
         WHERE EXISTS (SELECT 1 FROM backup_run WHERE scratch_at IS NOT NULL)
        UNION ALL
        SELECT 'notify', now() AT TIME ZONE 'UTC', 0, 0, now() AT TIME ZONE 'UTC'
         WHERE EXISTS (SELECT 1 FROM backup_alert WHERE state = 'pending' AND over_network)
        """
    )


def drop_columns(cr):
    for column in (
        "worker", "lease_token", "lease_until", "cancel_requested", "work", "work_at", "scratch_at",
        "verification_requested_at", "verification_awaited", "requested_level", "identity_sealed",
        "stage", "stage_at", "bytes_at", "progress", "received", "retry_at", "told_at",
    ):  # fmt: skip
        cr.execute(f'ALTER TABLE backup_run DROP COLUMN IF EXISTS "{column}"')
    cr.execute("ALTER TABLE backup_restore DROP COLUMN IF EXISTS progress")
    for column in ("lease_token", "lease_until"):
        cr.execute(f'ALTER TABLE backup_alert DROP COLUMN IF EXISTS "{column}"')
