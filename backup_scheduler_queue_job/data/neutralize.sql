-- a copy of this database must not execute what was queued in the original
UPDATE queue_job
   SET state = 'cancelled'
 WHERE model_name = 'backup.task'
   AND state IN ('wait_dependencies', 'pending', 'enqueued', 'started');
