def migrate(cr, version):
    """What was imported and never verified here counts as the last good archive no more."""
    if not version:
        return
    cr.execute(
        """
        UPDATE backup_run
           SET unverified_import = 'unsigned'
         WHERE catalogue_owner IS NOT NULL AND verified_at IS NULL AND status = 'success'
        """
    )
