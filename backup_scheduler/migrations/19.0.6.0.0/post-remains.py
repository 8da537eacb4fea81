def migrate(cr, version):
    """Have removed what copies that failed may have left, of which no attempt is to come: the
    version before kept their paths and never went back there."""
    if not version:
        return
    cr.execute(
        """
        UPDATE backup_copy SET discard_at = COALESCE(next_attempt_at, now() AT TIME ZONE 'UTC')
         WHERE path IS NOT NULL
           AND (status = 'uploading'
                OR (status = 'failed' AND stored_at IS NULL AND deletion_requested_at IS NULL))
        """
    )
    cr.execute(
        """
        INSERT INTO backup_task (kind, run_id, instance_id, company_id, due_at, priority, attempt,
                                 requested_at)
        SELECT 'discard', run.id, run.instance_id, run.company_id,
               now() AT TIME ZONE 'UTC', 40, 0, now() AT TIME ZONE 'UTC'
          FROM backup_run run
         WHERE run.status NOT IN ('queued', 'running')
           AND EXISTS (
                SELECT 1 FROM backup_copy copy
                 WHERE copy.run_id = run.id AND copy.status = 'failed'
                   AND copy.discard_at IS NOT NULL AND copy.next_attempt_at IS NULL
           )
        ON CONFLICT DO NOTHING
        """
    )
