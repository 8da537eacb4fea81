def migrate(cr, version):
    """Have the jobs that exist keep everything: an update deletes nothing.

    Before the new fields are there, since they would fill the column with the default of new jobs.
    """
    if not version:
        return
    cr.execute("ALTER TABLE backup_job ADD COLUMN IF NOT EXISTS retention_mode varchar")
    cr.execute("UPDATE backup_job SET retention_mode = 'keep_all' WHERE retention_mode IS NULL")
