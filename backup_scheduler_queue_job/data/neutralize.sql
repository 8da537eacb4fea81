-- a copy of this database must not execute what was queued in the original
UPDATE queue_job
   SET state = 'cancelled'
 WHERE model_name IN ('backup.run', 'backup.alert')
   AND state IN ('wait_dependencies', 'pending', 'enqueued', 'started');
