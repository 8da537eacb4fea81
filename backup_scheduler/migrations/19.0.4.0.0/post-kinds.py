def migrate(cr, version):
    if not version:
        return
    # By its marker a folder is known again: without it, an empty mount point would be written to.
    cr.execute(
        """
        UPDATE backup_destination
           SET kept_values = jsonb_build_object('marker', folder_marker)
         WHERE folder_marker IS NOT NULL AND folder_marker <> '' AND kept_values IS NULL
        """
    )
    cr.execute("ALTER TABLE backup_destination DROP COLUMN folder_marker")
