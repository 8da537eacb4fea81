"""What an update of the addon makes of the rows that the version before left."""

import importlib.util

from odoo.tools import file_path, mute_logger

from .common import DIGEST, RUN_LOGGER, BackupCase, ago

LOST = {"event": "lost", "exit_code": -9, "tail": ""}


class UpgradeCase(BackupCase):
    version = before = None
    script = "post-migration"

    # What has since become tasks, as the version before had it.
    old_columns = {
        "backup_run": {
            "worker": "varchar", "lease_token": "varchar", "lease_until": "timestamp",
            "cancel_requested": "boolean", "work": "varchar", "work_at": "timestamp",
            "scratch_at": "timestamp", "verification_requested_at": "timestamp",
            "verification_awaited": "boolean", "requested_level": "varchar",
            "identity_sealed": "varchar", "stage": "varchar", "stage_at": "timestamp",
            "bytes_at": "timestamp", "progress": "float8", "received": "float8",
            "retry_at": "timestamp", "told_at": "timestamp",
        },
        "backup_restore": {"progress": "float8"},
        "backup_alert": {"lease_token": "varchar", "lease_until": "timestamp"},
    }  # fmt: skip

    def setUp(self):
        super().setUp()
        for table, columns in self.old_columns.items():
            for name, kind in columns.items():
                self._sql(f"ALTER TABLE {table} ADD COLUMN {name} {kind}")  # noqa: S608

    def _old(self, run, *names):
        """Return the values of columns that the run had."""
        self.env.flush_all()
        columns = ", ".join(names)
        self.env.cr.execute(f"SELECT {columns} FROM backup_run WHERE id = %s", (run.id,))  # noqa: S608
        return self.env.cr.fetchone()

    def _upgrade(self, **options):
        """Update from the version ``before``; with ``version=None`` install."""
        path = file_path(f"backup_scheduler/migrations/{self.version}/{self.script}.py")
        spec = importlib.util.spec_from_file_location("post_migration", path)
        script = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(script)
        self.env.flush_all()
        script.migrate(self.env.cr, options.get("version", self.before))
        self.env.invalidate_all()


class TestUpgrade(UpgradeCase):
    """From 19.0.1.0.0, which knew of no reading at rest and of no kinds of work."""

    version = "19.0.2.0.0"
    before = "19.0.1.0.0"

    def setUp(self):
        super().setUp()
        self.job = self._make_job()
        self.archive = self._stored(job=self.job)
        self.archive.finished_at = ago(days=40)
        self._sql("UPDATE backup_copy SET stored_at = NULL, checked_at = NULL, sha256 = NULL")

    def _ask_as_before(self, run, lease=None):
        self._sql(
            """
            UPDATE backup_run
               SET verification_requested_at = now(), lease_token = %s, worker = %s, stage = %s,
                   lease_until = CASE WHEN %s IS NULL THEN NULL ELSE now() END
             WHERE id = %s
            """,
            lease,
            lease,
            lease and "verify",
            lease,
            run.id,
        )

    def test_stored_copies_get_what_is_known_of_them(self):
        self._upgrade()
        since = self.archive.finished_at
        self.assertRecordValues(
            self.archive.copy_ids,
            [{"sha256": DIGEST, "stored_at": since, "checked_at": since, "read_at": False}],
        )

    def test_stored_copies_are_read_again_by_the_rounds_of_their_destination(self):
        self.destination.write({"reread_interval": 30, "reread_budget": 1})
        self._upgrade()
        self._dispatch()
        self.assertTrue(self.archive.verification_requested_at)
        self.assertEqual(self._take("reader"), self.archive)
        (order,) = self._order(self.archive)["copies"]
        self.assertEqual(order["stored_sha256"], DIGEST)

    def test_copies_that_are_not_stored_get_nothing(self):
        self.archive.copy_ids.write({"status": "failed", "next_attempt_at": ago(days=1)})
        self._upgrade()
        self.assertRecordValues(
            self.archive.copy_ids, [{"stored_at": False, "sha256": False, "next_attempt_at": False}]
        )

    def test_verifications_that_waited_or_ran_are_dropped_and_can_be_asked_for_again(self):
        for lease in (None, "the-old-worker"):
            with self.subTest(lease=lease):
                self._ask_as_before(self.archive, lease)
                self._upgrade()
                columns = ("verification_requested_at", "lease_token", "worker", "stage")
                self.assertEqual(self._old(self.archive, *columns), (None,) * 4)
                self.assertEqual(self.archive.status, "verified")
                self.assertIn("ask for it again", self.archive.log.splitlines()[-1])
                self.archive.verify()
                self.assertEqual(self._take("reader"), self.archive)
                self._lose(self.archive)

    def test_runs_that_are_made_go_on(self):
        running = self._running(job=self.job)
        self._sql("UPDATE backup_run SET lease_token = 'held' WHERE id = %s", running.id)
        self._upgrade()
        self.assertEqual(running.status, "running")
        self.assertEqual(self._old(running, "lease_token"), ("held",))

    def test_a_new_installation_is_left_alone(self):
        self._ask_as_before(self.archive)
        self._upgrade(version=None)
        self.assertTrue(self._old(self.archive, "verification_requested_at")[0])


class TestUpgradeOfPromises(UpgradeCase):
    """From 19.0.2.0.0, which did not know what a job promises."""

    version = "19.0.3.0.0"
    before = "19.0.2.0.0"

    def setUp(self):
        super().setUp()
        self.job = self._make_job()
        self._stored(job=self.job).finished_at = ago(days=40)
        self._sql("UPDATE backup_database SET create_date = create_date - interval '90 days'")
        self._sql("UPDATE backup_job SET create_date = create_date - interval '90 days'")
        self.sales = self.instance.database_ids.filtered(lambda one: one.name == "sales")

    def _change(self, moment, **values):
        """Change the job at another time, with what the chatter keeps of it."""
        self.env.flush_all()
        self.cr.precommit.run()
        self.job.write(values)
        self.env.flush_all()
        self.cr.precommit.run()
        self.job.message_ids[:1].date = moment
        # What the version that is updated has not; the new field is full of the update's time.
        self.job.promised_since = ago(hours=0)

    def test_a_database_that_had_no_good_archive_for_weeks_is_late_at_once(self):
        self.assertEqual(self.sales.protection, "pending")
        self._upgrade()
        self.assertEqual(self.job.promised_since, self.job.create_date.replace(microsecond=0))
        self.assertEqual(self.sales.protection, "late")

    def test_a_job_that_was_changed_lately_has_its_time(self):
        moment = ago(hours=3)
        self._change(moment, cron_expression="0 3 * * *")
        self._upgrade()
        self.assertEqual(self.job.promised_since, moment)
        self.assertEqual(self.sales.protection, "pending")

    def test_what_promises_nothing_else_is_no_change(self):
        self._change(ago(hours=3), name="Renamed", max_attempts=9)
        self._upgrade()
        self.assertEqual(self.sales.protection, "late")

    def test_a_new_installation_is_left_alone(self):
        self._upgrade(version=None)
        self.assertEqual(self.sales.protection, "pending")


class TestUpgradeToTasks(UpgradeCase):
    """From 19.0.3.0.0, in the middle of work, which was kept on the records that it was about."""

    version = "19.0.4.0.0"
    before = "19.0.3.0.0"

    def setUp(self):
        super().setUp()
        second = self._make_destination("Second")
        self.job = self._make_job(destination_ids=[(6, 0, (self.destination + second).ids)])

    def _before(self, run, **columns):
        """Leave the run without tasks, and with columns of the version before."""
        self._sql("DELETE FROM backup_task WHERE run_id = %s", run.id)
        for name, value in columns.items():
            self._sql(f"UPDATE backup_run SET {name} = %s WHERE id = %s", value, run.id)  # noqa: S608
        return run

    def _tasks(self, run):
        return run.task_ids.sorted("kind").mapped("kind")

    def test_runs_that_wait_are_tasks_with_the_time_of_their_next_attempt(self):
        fresh = self._before(self._make_run("sales"))
        later = ago(hours=-2)
        retried = self._before(self._make_run("stock", attempt=1), retry_at=later)
        unknown = self._before(self._make_run(""))
        self._upgrade()
        self.assertRecordValues(
            (fresh + retried + unknown).task_ids.sorted(lambda task: task.run_id.id),
            [
                {"kind": "backup", "due_at": fresh.scheduled_at, "attempt": 0},
                {"kind": "backup", "due_at": later, "attempt": 1},
                {"kind": "discover", "due_at": unknown.scheduled_at, "attempt": 0},
            ],
        )
        self.assertEqual(self._claim(), fresh)

    def test_a_run_that_was_made_is_queued_again_and_its_attempt_does_not_count(self):
        run = self._before(self._running(job=self.job), lease_token="x", worker="gone")  # noqa: S106
        path = run.copy_ids[0].path
        self._upgrade()
        self.assertRecordValues(run, [{"status": "queued", "attempt": 0}])
        self.assertIn("update", run.log)
        self.assertEqual(self._claim(), run)
        self.assertEqual(run.copy_ids[0].path, path, "What lies there is replaced")
        self._report(run, self._done(run))
        self.assertEqual(run.status, "verified")

    def test_a_verification_keeps_who_waits_for_it_its_level_and_its_identity(self):
        run = self._before(
            self._stored(job=self.job),
            verification_requested_at=ago(hours=1),
            verification_awaited=True,
            requested_level="3",
            identity_sealed=self.env["backup.secret.mixin"]._seal("AGE-SECRET-KEY-1ABC"),
        )
        run.copy_ids.reading_requested = True
        self._upgrade()
        self.assertRecordValues(run.task_ids, [{"kind": "verify", "level": "3", "priority": 30}])
        self.assertEqual(self._take(), run)
        order = self._order(run)
        self.assertEqual(order["copies"][0]["identity"], "AGE-SECRET-KEY-1ABC")

    def test_what_is_to_become_of_copies_is_planned(self):
        deleted = self._stored("deleted", self.job)
        deleted.copy_ids.deletion_requested_at = ago(hours=1)
        missed = self._running("missed", self.job)
        self._report(missed, self._done(missed, failed=missed.copy_ids[1]))
        cases = (deleted, "delete"), (missed, "replicate")
        for run, _kind in cases:
            self._before(run, lease_token="x", work="replication")  # noqa: S106
        missed.copy_ids.filtered(lambda copy: copy.status == "failed")._mark_uploading()
        self._upgrade()
        for run, kind in cases:
            self.assertEqual(self._tasks(run), [kind])
        self.assertEqual(set(missed.copy_ids.mapped("status")), {"stored", "failed"})

    @mute_logger(RUN_LOGGER)
    def test_what_a_lost_attempt_left_is_discarded_and_a_discovery_left_nothing(self):
        lost = self._running(job=self._make_job(max_attempts=1))
        self._report(lost, LOST)
        discovery = self._make_run("", self._make_job(max_attempts=1))
        discovery.write({"status": "failed", "finished_at": ago(hours=1)})
        discovery.copy_ids.status = "uploading"
        self._before(lost)
        self._before(discovery)
        self._upgrade()
        self.assertEqual(self._tasks(lost), ["discard"])
        self.assertFalse(discovery.task_ids)
        self.assertEqual(discovery.copy_ids.status, "failed")

    def test_restores_that_wait_are_tasks_and_one_that_ran_has_ended(self):
        run = self._stored(job=self.job)
        restores = self.env["backup.restore"]
        waiting = restores.browse(run.restore("one"))
        running = restores.browse(run.restore("two"))
        running._mark_running()
        self._before(run, work="restore", lease_token="x", scratch_at=ago(hours=1))  # noqa: S106
        self._upgrade()
        self.assertRecordValues(run.task_ids, [{"kind": "restore", "restore_id": waiting.id}])
        self.assertRecordValues(running, [{"status": "failed", "error_code": "worker_lost"}])
        self.assertTrue(self.Task._of("sweep"), "A process may have left a database")

    def test_the_old_columns_go(self):
        self._upgrade()
        for table, columns in self.old_columns.items():
            self.env.cr.execute(
                "SELECT column_name FROM information_schema.columns "
                "WHERE table_name = %s AND column_name IN %s",
                (table, tuple(columns)),
            )
            self.assertEqual(self.env.cr.fetchall(), [])

    def test_a_second_time_changes_nothing(self):
        run = self._before(self._make_run())
        self._upgrade()
        self._upgrade()
        self.assertEqual(len(run.task_ids), 1)


class TestUpgradeOfKinds(UpgradeCase):
    """From 19.0.3.0.0, whose only kept value of a kind had a column of its own."""

    version = "19.0.4.0.0"
    before = "19.0.3.0.0"
    script = "post-kinds"

    def test_a_folder_that_was_known_is_known_again(self):
        other = self._make_destination("Never checked", path="/var/other")
        self._sql("ALTER TABLE backup_destination ADD COLUMN folder_marker varchar")
        self._sql("UPDATE backup_destination SET folder_marker = 'abc' WHERE id = %s",
                  self.destination.id)  # fmt: skip
        self._upgrade()
        self.assertRecordValues(
            self.destination + other,
            [
                {"folder_marker": "abc", "kept_values": {"marker": "abc"}},
                {"folder_marker": False, "kept_values": False},
            ],
        )
        self.assertEqual(self.destination._settings()["marker"], "abc")
        self.assertNotIn("marker", other._settings())


class TestUpgradeOfRemains(UpgradeCase):
    """From 19.0.5.0.0, which left alone what a copy had begun when it was tried no more."""

    version = "19.0.6.0.0"
    before = "19.0.5.0.0"
    script = "post-remains"

    def _missed(self, database, again):
        """Return a copy that failed beside a stored one, as the version before left it."""
        second = self._make_destination(f"Second of {database}")
        job = self._make_job(destination_ids=[(6, 0, (self.destination + second).ids)])
        run = self._running(database, job)
        bad = run.copy_ids.filtered(lambda copy: copy.destination_id == second)
        self._report(run, self._done(run, failed=bad))
        bad.next_attempt_at = again
        self._sql("DELETE FROM backup_task WHERE run_id = %s", run.id)
        return bad

    def test_what_a_copy_left_that_is_tried_no_more_is_removed(self):
        given_up = self._missed("sales", False)
        waiting = self._missed("shop", ago(hours=1))
        self._upgrade()
        self._upgrade()
        self.assertEqual(given_up.run_id.task_ids.mapped("kind"), ["discard"])
        self.assertFalse(waiting.run_id.task_ids)
        self.assertTrue(given_up.discard_at and waiting.discard_at)
        order = self._take_task("discard", given_up.run_id)._engine_order()
        self.assertEqual([copy["id"] for copy in order["copies"]], given_up.ids)

    def test_a_stored_archive_is_left_alone(self):
        run = self._stored()
        self._upgrade()
        self.assertFalse(run.copy_ids.discard_at or run.task_ids)
