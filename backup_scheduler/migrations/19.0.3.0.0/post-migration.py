def migrate(cr, version):
    """Let what the jobs promise count from when they were last switched on or changed.

    After the new field is there, which says that all of them were just now: a database without a
    good archive for weeks would not be late before its job's whole time is over once more.
    """
    if not version:
        return
    cr.execute(
        """
        UPDATE backup_job job
           SET promised_since = greatest(date_trunc('second', job.create_date), (
                SELECT max(message.date)
                  FROM mail_message message
                  JOIN mail_tracking_value change ON change.mail_message_id = message.id
                  JOIN ir_model_fields field ON field.id = change.field_id
                 WHERE message.model = 'backup.job' AND message.res_id = job.id
                   AND field.name IN ('cron_expression', 'timezone', 'enabled', 'instance_id')
               ))
        """
    )
