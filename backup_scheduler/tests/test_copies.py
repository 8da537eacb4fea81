import posixpath

from freezegun import freeze_time

from odoo import fields
from odoo.tools import mute_logger

from .common import AT_REST, RUN_LOGGER, BackupCase, failure

LOST = {"event": "lost", "exit_code": -9, "tail": ""}


class TestPaths(BackupCase):
    def _path(self, database, job=None, **values):
        run = self._make_run(database, job, **values)
        self.assertEqual(self._claim(), run)
        return run.copy_ids.path

    def test_the_path_names_instance_database_and_utc_time(self):
        path = self._path("sales", scheduled_at="2026-03-10 12:00:00")
        self.assertEqual(path, "Shop/sales/2026-03-10T12-00-00Z.zip")

    def test_the_path_of_a_dump_ends_so(self):
        path = self._path("sales", self._make_job(archive_format="dump"))
        self.assertTrue(path.endswith(".dump"))

    def test_no_name_of_a_database_escapes_or_collides(self):
        names = ("..", ".", "/etc/passwd", "../../x", "a/b", "a_b", "a b", "a\nb", "ä", "A" * 300,
                 "A" * 301, "-rf", ".hidden", "CON", "a\\b", "%2e%2e", "$(reboot)")  # fmt: skip
        job = self._make_job()
        paths = [self._path(name, job, scheduled_at="2026-03-10 12:00:00") for name in names]
        self.assertEqual(len(set(paths)), len(names))
        for path in paths:
            with self.subTest(path):
                self.assertEqual(posixpath.normpath(path), path)
                self.assertRegex(path, r"^Shop/[A-Za-z0-9_][A-Za-z0-9._-]*/[0-9TZ-]+\.zip$")

    def test_two_instances_of_one_name_do_not_share_a_path(self):
        job = self._make_job(instance_id=self._make_instance("Shop").id)
        moment = "2026-03-10 12:00:00"
        paths = [self._path("sales", each, scheduled_at=moment) for each in (None, job)]
        self.assertEqual(
            paths,
            ["Shop/sales/2026-03-10T12-00-00Z.zip", "Shop/sales/2026-03-10T12-00-00Z-2.zip"],
        )

    def test_two_destinations_may_have_the_same_path(self):
        job = self._make_job(
            destination_ids=[(6, 0, (self.destination + self._make_destination("Second")).ids)]
        )
        run = self._running(job=job)
        self.assertEqual(len(set(run.copy_ids.mapped("path"))), 1)

    def test_a_later_attempt_keeps_the_path_to_replace_what_was_left_there(self):
        run = self._running()
        path = run.copy_ids.path
        self._report(run, LOST)
        self.assertEqual(self._claim(), run)
        self.assertRecordValues(run.copy_ids, [{"path": path, "attempt": 2}])

    def test_a_run_without_destinations_gains_those_of_its_job(self):
        job = self._make_job()
        self._sql("DELETE FROM backup_destination_backup_job_rel WHERE backup_job_id = %s", job.id)
        run = self._make_run(job=job)
        self.assertFalse(run.copy_ids)
        job.destination_ids = self.destination
        self._claim()
        self.assertEqual(run.copy_ids.destination_id, self.destination)


class TestOrder(BackupCase):
    def test_the_order_has_what_the_engine_needs(self):
        run = self._running(job=self._make_job(time_limit=2))
        order = self._order(run)
        self.assertEqual(order["source"]["master_password"], "correct horse battery staple")
        self.assertEqual(order["time_limit"], 120)
        self.assertEqual(order["verify_level"], 3)
        self.assertEqual(order["destinations"][0]["archive_path"], run.copy_ids.path)
        self.assertNotIn("master_password", order["catalogue"])
        self.assertNotIn("correct horse", str(order["catalogue"]))

    def test_the_expected_size_is_that_of_the_last_good_archive(self):
        with freeze_time("2026-03-10 12:00:00"):
            self._stored().size = 700
        with freeze_time("2026-03-11 12:00:00"):
            self._stored().size = 800
        self.assertEqual(self._order(self._running())["expected_size"], 800)
        self.assertEqual(self._order(self._running("stock"))["expected_size"], 0)

    def test_an_archive_may_be_ten_times_the_largest_of_the_last_good_ones_and_5_gb_more(self):
        for day, size in enumerate((9, 800, 7), 10):
            with freeze_time(f"2026-03-{day} 12:00:00"):
                self._stored().size = size
        with freeze_time("2026-03-20 12:00:00"):
            self._stored(job=self._make_job(include_filestore=False)).size = 90_000
        self.assertEqual(self._order(self._running())["size_limit"], 8000 + 5 * 10**9)
        self.assertEqual(self._order(self._running("stock"))["size_limit"], 0, "Nothing is known")

    def test_an_archive_may_be_as_large_as_its_job_says(self):
        run = self._running(job=self._make_job(size_limit=0.5))
        self.assertEqual(self._order(run)["size_limit"], 500_000_000)

    def test_each_attempt_has_a_spool_file_of_its_own(self):
        run = self._running()
        first = self._order(run)["token"]
        self._report(run, LOST)
        self._claim()
        self.assertNotEqual(self._order(run)["token"], first)

    def test_what_is_stored_already_is_not_sent_again(self):
        job = self._make_job(
            destination_ids=[(6, 0, (self.destination + self._make_destination("Second")).ids)]
        )
        run = self._make_run(job=job)
        run.copy_ids[0]._mark_stored(AT_REST)
        self._claim()
        sent = [order["id"] for order in self._order(run)["destinations"]]
        self.assertEqual(sent, run.copy_ids[1].ids)


class TestAbandoned(BackupCase):
    def setUp(self):
        super().setUp()
        self.enterContext(mute_logger(RUN_LOGGER))

    def _lost(self, **values):
        run = self._running(job=self._make_job(max_attempts=1), **values)
        self._report(run, LOST)
        self.assertEqual((run.status, run.copy_ids.status), ("failed", "uploading"))
        return run

    def test_what_a_lost_attempt_may_have_left_is_found_once_the_run_has_ended(self):
        run = self._running()
        self._report(run, LOST)
        self.assertEqual(run.status, "queued")
        self.assertFalse(self._abandoned(), "The next attempt replaces it")
        run.cancel()
        self.assertEqual(self._abandoned(), run)

    def test_the_order_to_discard_names_place_and_owner(self):
        run = self._lost()
        order = self._take_task("discard", run)._engine_order()
        self.assertEqual(order["action"], "discard")
        self.assertEqual(order["copies"][0]["archive_path"], run.copy_ids.path)
        self.assertTrue(order["owner"].endswith(f"/{run.id}"))

    def test_what_was_discarded_is_not_found_again(self):
        run = self._lost()
        self._take_task("discard", run)._record(
            {"event": "done", "copies": [{"id": run.copy_ids.id, "ok": True}]}
        )
        self.assertRecordValues(run.copy_ids, [{"status": "failed", "path": False}])
        self.assertFalse(self._abandoned())

    def test_what_cannot_be_discarded_is_tried_again_later(self):
        events = (
            lambda run: failure(error="No answer."),
            lambda run: LOST,
            lambda run: {
                "event": "done",
                "copies": [{"id": run.copy_ids.id, "ok": False, "error": "No answer."}],
            },
        )
        for event in events:
            run = self._lost()
            with self.subTest(event(run)["event"]):
                self._take_task("discard", run)._record(event(run))
                self.assertEqual(run.copy_ids.status, "uploading")
                self.assertGreater(self.Task._of("discard", run).due_at, fields.Datetime.now())
                run.copy_ids._mark_failed("x", "x")
                run._plan_tasks()
                self.assertFalse(self._abandoned())

    def test_a_run_that_is_tried_again_meanwhile_keeps_what_it_has(self):
        run = self._lost()
        path = run.copy_ids.path
        discard = self._take_task("discard", run)
        run.retry()
        self.assertFalse(self._claim(), "Not while what the lost attempt left is removed")
        discard._record({"event": "done", "copies": [{"id": run.copy_ids.id, "ok": True}]})
        self.assertRecordValues(run.copy_ids, [{"status": "uploading", "path": path}])
        self.assertEqual(self._claim(), run)

    def test_a_discard_that_waits_is_withdrawn_by_the_next_attempt(self):
        run = self._lost()
        run.retry()
        self.assertFalse(self._abandoned())
        self.assertEqual(self._claim(), run)

    def test_a_discovery_that_is_lost_leaves_nothing_to_be_discarded(self):
        run = self._make_run("", self._make_job(max_attempts=1))
        self.assertEqual(self._claim(), run)
        self._report(run, LOST)
        self.assertRecordValues(run, [{"status": "failed", "task_ids": []}])
        self.assertEqual(run.copy_ids.status, "failed")

    def test_an_archive_that_was_stored_for_a_run_given_up_is_discarded(self):
        run = self._lost()
        path = run.copy_ids.path
        run.copy_ids._mark_failed("worker_lost", "Forgotten already.")
        self.Run._discard_orphans([{"id": run.copy_ids.id, "stored": True, "path": path}])
        self.assertEqual(self._abandoned(), run)
        self.assertEqual(run.copy_ids.path, path)

    def test_an_archive_of_a_good_run_is_never_discarded(self):
        run = self._stored()
        self.Run._discard_orphans(
            [{"id": run.copy_ids.id, "stored": True, "path": run.copy_ids.path}]
        )
        self.assertEqual(run.copy_ids.status, "stored")
        self.assertFalse(self._abandoned())
