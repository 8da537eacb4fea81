def migrate(cr, version):
    """Let go of the queue jobs that the version before made for runs: tasks get their own."""
    if not version:
        return
    cr.execute(
        """
        UPDATE queue_job SET state = 'cancelled'
         WHERE model_name IN ('backup.run', 'backup.alert')
           AND state IN ('wait_dependencies', 'pending', 'enqueued', 'started')
        """
    )
    cr.execute(
        """
        DELETE FROM queue_job_function
         WHERE id IN (
                SELECT res_id FROM ir_model_data
                 WHERE module = 'backup_scheduler_queue_job' AND model = 'queue.job.function'
                   AND name IN ('job_function_execute_ticket', 'job_function_execute_discards',
                                'job_function_execute_notices')
               )
        """
    )
