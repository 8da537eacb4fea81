from odoo.tools import SQL, file_open, mute_logger

from .common import RUN_LOGGER, BackupCase


class TestNeutralize(BackupCase):
    """A copy of this database must not back up production, nor touch its archives."""

    def setUp(self):
        super().setUp()
        self.job = self._make_job()
        self.queued = self._make_run(job=self.job)
        self.good = self._stored(job=self.job)
        self.asked = self._stored("stock", self.job)
        self.asked.verify()
        self.running = self._running(job=self.job)
        lost = self._running(job=self._make_job(max_attempts=1))
        with mute_logger(RUN_LOGGER):
            self._report(lost, {"event": "lost", "exit_code": -9, "tail": ""})
        self.assertTrue(self._abandoned())
        self.copied, self.copy = self._in_the_middle_of_a_copy()
        self.pending = self._missing_a_copy()
        self.pending.copy_ids.sorted("id")[1]._mark_pending()
        self._keep_secrets()
        self.job.ping_url = "https://a.example/secret"
        self.env.flush_all()
        with file_open("backup_scheduler/data/neutralize.sql") as file:
            self.env.cr.execute(file.read())
        self.env.invalidate_all()

    def _missing_a_copy(self):
        """Return a run whose archive did not get to its second destination yet."""
        second = self._make_destination("Second")
        job = self._make_job(destination_ids=[(6, 0, (self.destination + second).ids)])
        run = self._running("copied", job)
        self._report(run, self._done(run, failed=run.copy_ids.sorted("id")[1]))
        self.assertTrue(run.copy_ids.sorted("id")[1].next_attempt_at)
        return run

    def _in_the_middle_of_a_copy(self):
        run = self._missing_a_copy()
        copy = run.copy_ids.sorted("id")[1]
        copy.retry()
        self._take_task("replicate", run)
        self._order(run)
        # What a copy under way leaves where somebody has asked for it once more.
        copy.next_attempt_at = self.env.cr.now()
        self.assertEqual(copy.status, "uploading")
        return run, copy

    def _keep_secrets(self):
        run = {"run_id": self.good.id, "identity": "AGE-SECRET-KEY-1ABC"}
        self.secrets = [
            self.env["backup.restore.wizard"].create(run),
            self.env["backup.verification"].create(run),
            self.env["res.config.settings"].create(
                {"backup_scratch_password": "hidden", "backup_restore_role_password": "hidden"}
            ),
            self.env["backup.setup"].create({"url": "https://a.example", "master_password": "x"}),
            self.env["backup.alert.channel"].create(
                {
                    "name": "Hook", "kind": "webhook", "url": "https://a.example/secret",
                    "telegram_token": "123:abc",
                }
            ),
        ]

    def test_no_job_is_enabled_or_due(self):
        self.assertFalse(self.Job.search([("enabled", "=", True)]))
        self.assertFalse(self.Job.search([("next_run_at", "!=", False)]))

    def test_no_cron_is_active(self):
        for name in ("dispatch", "execute", "watch", "notify", "digest"):
            with self.subTest(name):
                self.assertFalse(self.env.ref(f"backup_scheduler.ir_cron_{name}").active)

    def test_no_run_is_queued_or_running_or_held(self):
        self.assertEqual((self.queued + self.running).mapped("status"), ["cancelled"] * 2)
        self.assertFalse(self.Run.search([("status", "in", ("queued", "running"))]))
        self.assertFalse(self.Task.search([]))

    def test_no_archive_is_read_or_removed(self):
        self.assertFalse(self.Run.search([("verification_requested_at", "!=", False)]))
        self.assertFalse(self._take("worker"))
        self.assertFalse(self._abandoned())

    def test_no_archive_is_copied_to_a_destination_of_production(self):
        for run in (self.copied, self.pending):
            run._plan_tasks()
            self.assertFalse(run.task_ids)
        self.assertRecordValues(self.copy, [{"status": "failed", "next_attempt_at": False}])
        self.assertFalse(self._take("worker"))

    def test_no_column_that_holds_a_secret_was_forgotten(self):
        for model in self.env.registry.models.values():
            sealed = [name for name, field in model._fields.items() if name.endswith("_sealed")]
            for name in sealed if model._auto and not model._abstract else ():
                with self.subTest(f"{model._name}.{name}"):
                    query = SQL(
                        "SELECT count(*) FROM %s WHERE %s IS NOT NULL",
                        SQL.identifier(model._table),
                        SQL.identifier(name),
                    )
                    self.assertEqual(self.env.execute_query(query), [(0,)])

    def test_no_secret_is_left(self):
        for record in self.secrets:
            sealed = [name for name in record._fields if name.endswith("_sealed")]
            with self.subTest(record._name):
                self.assertTrue(sealed)
                self.assertFalse([record.sudo()[name] for name in sealed if record.sudo()[name]])
        self.assertFalse(self.instance.has_master_password)
        self.assertEqual(self.instance._source_order()["master_password"], "")

    def test_a_worker_that_is_started_by_hand_has_nothing_to_do(self):
        self.assertFalse(self.Task._places_due())
        self.assertFalse(self._claim("worker"))

    def test_the_history_stays(self):
        self.assertEqual(self.good.status, "verified")
        self.assertEqual(self.asked.status, "verified")
        self.assertEqual(self.good.copy_ids.status, "stored")
