DROPPED = "The verification that waited was dropped by an update of this addon: ask for it again."


def migrate(cr, version):
    """Have the archives that exist take part in what is new, and let go of what the version before
    had begun in its own way.

    After the new fields are there. Archives were stored as they are, so that the bytes at rest are
    those of the archive; when one was last read is not known, and they are the first to be read.
    """
    if not version:
        return
    complete_copies(cr)
    drop_verifications(cr)


def complete_copies(cr):
    """Without a moment and a SHA-256 no round would ever read them again."""
    cr.execute(
        """
        UPDATE backup_copy copy
           SET stored_at = run.finished_at, checked_at = run.finished_at, sha256 = run.sha256
          FROM backup_run run
         WHERE run.id = copy.run_id AND copy.status = 'stored' AND copy.stored_at IS NULL
        """
    )
    # The pause of a discard that is done: now it would mean that the copy is to be made again.
    cr.execute("UPDATE backup_copy SET next_attempt_at = NULL WHERE status = 'failed'")


def drop_verifications(cr):
    """Without the kind of work that is new, nobody would take them, end them or give them back."""
    cr.execute(
        """
        UPDATE backup_run
           SET verification_requested_at = NULL, lease_token = NULL, lease_until = NULL,
               worker = NULL, stage = NULL, cancel_requested = false,
               log = concat_ws(
                   E'\\n', log, to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS ') || %s
               )
         WHERE status NOT IN ('queued', 'running')
           AND (verification_requested_at IS NOT NULL OR lease_token IS NOT NULL)
        """,
        [DROPPED],
    )
