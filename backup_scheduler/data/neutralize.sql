-- a copy of this database must not back up production, nor touch its archives
UPDATE ir_cron
   SET active = false
 WHERE id IN (
    SELECT res_id
      FROM ir_model_data
     WHERE module = 'backup_scheduler' AND model = 'ir.cron'
);
UPDATE backup_job SET enabled = false, next_run_at = NULL;
UPDATE backup_run SET status = 'cancelled' WHERE status IN ('queued', 'running');
DELETE FROM backup_task;
UPDATE backup_copy SET status = 'failed' WHERE status = 'uploading';
UPDATE backup_copy
   SET deletion_requested_at = NULL, deletion_reason = NULL, deleted_by_retention = NULL,
       next_attempt_at = NULL, reading_requested = NULL
 WHERE deletion_requested_at IS NOT NULL OR next_attempt_at IS NOT NULL OR reading_requested;
UPDATE backup_restore SET status = 'cancelled', identity_sealed = NULL
 WHERE status IN ('queued', 'running');
UPDATE backup_destination SET reread_interval = 0;
DELETE FROM ir_config_parameter
 WHERE key IN ('backup_scheduler.scratch_password', 'backup_scheduler.restore_role_password');
UPDATE backup_instance SET active = false;
-- the secrets of each kind of source and destination, those of other addons included
DO $$
DECLARE
    sealed record;
BEGIN
    FOR sealed IN
        SELECT table_name, column_name
          FROM information_schema.columns
         WHERE table_schema = 'public' AND column_name LIKE '%\_sealed'
           AND table_name IN (
                'backup_instance', 'backup_destination', 'backup_setup', 'backup_alert_channel'
           )
    LOOP
        EXECUTE format('UPDATE public.%I SET %I = NULL', sealed.table_name, sealed.column_name);
    END LOOP;
END $$;
UPDATE res_config_settings
   SET backup_scratch_password_sealed = NULL, backup_restore_role_password_sealed = NULL;
UPDATE backup_restore_wizard SET identity_sealed = NULL;
UPDATE backup_verification SET identity_sealed = NULL;
UPDATE backup_alert_channel SET active = false, url_host = NULL, apprise_url_host = NULL;
DELETE FROM backup_alert WHERE state = 'pending';
UPDATE backup_job SET ping_url_sealed = NULL, ping_host = NULL;
UPDATE backup_run SET alert_due = NULL WHERE alert_due;
