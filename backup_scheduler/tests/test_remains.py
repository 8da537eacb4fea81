"""What attempts leave in a destination that dies under them: the path stays recorded until its
removal is confirmed."""

import datetime
from unittest.mock import patch

from odoo import fields
from odoo.tools import mute_logger

from ..models.run.backup_copy import DISCARD_PAUSE, DISCARD_PAUSE_LIMIT, RETRY_ATTEMPTS
from .common import AT_REST, RUN_LOGGER, BackupCase, ago, failure

LOST = {"event": "lost", "exit_code": -9, "tail": ""}


class TestRemains(BackupCase):
    def setUp(self):
        super().setUp()
        self.enterContext(mute_logger(RUN_LOGGER))

    def _attempt(self, run, event):
        """Let the next attempt at the run end with ``event``."""
        run.task_ids.due_at = fields.Datetime.now()
        self._take(ordered=True, task_id=run.task_ids.id)
        self._report(run, event)

    def _with_two(self, **values):
        second = self._make_destination("Second")
        destinations = [(6, 0, (self.destination + second).ids)]
        return self._running(job=self._make_job(destination_ids=destinations, **values))

    def _discarded(self, run, **result):
        task = self._take_task("discard", run)
        copies = [{**copy, "ok": True, **result} for copy in task._engine_order()["copies"]]
        task._record({"event": "done", "copies": copies})
        return [copy["id"] for copy in copies]

    def test_an_attempt_that_ends_in_order_settles_nothing_of_the_one_before(self):
        run = self._running(job=self._make_job(max_attempts=2))
        self._report(run, LOST)
        path = run.copy_ids.path
        self._attempt(run, failure())
        self.assertRecordValues(run, [{"status": "failed"}])
        self.assertRecordValues(run.copy_ids, [{"status": "uploading", "path": path}])
        self.assertEqual(self._abandoned(), run)

    def test_what_an_attempt_could_not_remove_is_kept_in_mind_over_the_next_ones(self):
        run = self._running(job=self._make_job(max_attempts=3))
        copy = run.copy_ids
        self._report(run, failure(remains=[{"id": copy.id, "path": copy.path}]))
        self._attempt(run, failure())
        self._attempt(run, failure())
        self.assertEqual((run.status, self._abandoned()), ("failed", run))
        self.assertEqual(self._discarded(run), copy.ids)
        self.assertRecordValues(
            copy, [{"status": "failed", "path": False, "discard_at": False}]
        )
        self.assertFalse(self._abandoned())

    def test_an_attempt_that_was_interrupted_may_have_left_something(self):
        run = self._running(job=self._make_job(max_attempts=1))
        self._held(run)._give_back()
        self._attempt(run, failure())
        self.assertEqual((run.status, self._abandoned()), ("failed", run))

    def test_a_run_that_is_queued_again_and_cancelled_forgets_no_path(self):
        run = self._running(job=self._make_job(max_attempts=1))
        self._report(run, LOST)
        run.retry()
        run.cancel()
        self.assertTrue(run.copy_ids.path)
        self.assertEqual(self._abandoned(), run)

    def test_only_the_destinations_that_are_named_have_to_be_visited_again(self):
        run = self._with_two(max_attempts=1)
        first, second = run.copy_ids.sorted("id")
        self._report(run, failure(remains=[{"id": second.id, "path": second.path}]))
        self.assertRecordValues(
            first + second,
            [{"status": "failed", "path": False}, {"status": "uploading", "path": second.path}],
        )
        self.assertEqual(self._discarded(run), second.ids)

    def test_the_next_good_archive_of_the_database_settles_nothing_of_an_earlier_run(self):
        run = self._running(job=self._make_job(max_attempts=1))
        self._report(run, LOST)
        self._discarded(run, ok=False, error="No answer.")
        good = self._stored()
        self.assertEqual(good.status, "verified")
        task = self.Task._of("discard", run)
        self.assertGreater(task.due_at, fields.Datetime.now())
        task.due_at = fields.Datetime.now()
        self.assertEqual(self._discarded(run), run.copy_ids.ids)
        self.assertRecordValues(run.copy_ids, [{"path": False, "discard_at": False}])
        self.assertRecordValues(good.copy_ids, [{"status": "stored"}])

    def test_a_destination_that_lets_nothing_be_removed_is_asked_less_and_less_often(self):
        run = self._running(job=self._make_job(max_attempts=1))
        self._report(run, LOST)
        for age, pause in (
            ({"minutes": 1}, DISCARD_PAUSE),
            ({"hours": 4}, datetime.timedelta(hours=2)),
            ({"days": 30}, DISCARD_PAUSE_LIMIT),
        ):
            with self.subTest(age):
                run.finished_at = ago(**age)
                run.task_ids.due_at = fields.Datetime.now()
                self._discarded(run, ok=False, error="Access denied.")
                waits = self.Task._of("discard", run).due_at - fields.Datetime.now()
                self.assertAlmostEqual(waits / pause, 1, delta=0.05)

    # --- of an archive that is at rest elsewhere ---

    def _missed(self, attempt=1, **result):
        """Return a copy that failed while the archive came to rest in another destination."""
        run = self._with_two()
        bad = run.copy_ids.sorted("id")[1]
        bad.attempt = attempt
        event = self._done(run, failed=bad)
        event["copies"][-1].update(result)
        self._report(run, event)
        self.assertRecordValues(bad, [{"status": "failed", "error": "Disk full."}])
        return bad

    def test_a_copy_that_is_tried_again_replaces_what_its_failure_left(self):
        copy = self._missed(may_remain=True)
        self.assertTrue(copy.path and copy.discard_at)
        self.assertEqual(copy.run_id.task_ids.mapped("kind"), ["replicate"])
        copy._mark_stored(AT_REST)
        self.assertFalse(copy.discard_at)

    def test_what_a_copy_that_is_tried_no_more_left_is_removed_and_it_may_still_be_retried(self):
        copy = self._missed(RETRY_ATTEMPTS, may_remain=True)
        run, path = copy.run_id, copy.path
        self.assertEqual(run.task_ids.mapped("kind"), ["discard"])
        self._discarded(run, ok=False, error="No answer.")
        self.assertRecordValues(copy, [{"path": path, "next_attempt_at": False}])
        self.assertGreater(self.Task._of("discard", run).due_at, fields.Datetime.now())
        self.Task._of("discard", run).due_at = fields.Datetime.now()
        self.assertEqual(self._discarded(run), copy.ids)
        self.assertRecordValues(
            copy, [{"status": "failed", "path": False, "error": "Disk full.", "can_retry": True}]
        )
        self.assertFalse(run.task_ids)

    def test_a_copy_of_which_nothing_is_left_is_not_visited(self):
        copy = self._missed(RETRY_ATTEMPTS, may_remain=False)
        self.assertFalse(copy.run_id.task_ids)

    def test_a_retry_that_was_requested_takes_the_place_of_the_clean_up(self):
        copy = self._missed(RETRY_ATTEMPTS, may_remain=True)
        copy.retry()
        self.assertEqual(copy.run_id.task_ids.mapped("kind"), ["replicate"])

    def test_a_replication_that_fails_or_is_lost_may_leave_something(self):
        for event in (failure(), LOST):
            with self.subTest(event["event"]):
                copy = self._missed(RETRY_ATTEMPTS)
                copy.retry()
                copy.attempt = RETRY_ATTEMPTS
                run = copy.run_id
                self._take_task("replicate", run)._engine_order()
                self._report(run, event)
                self.assertEqual(run.task_ids.mapped("kind"), ["discard"])
                self.assertEqual(self._discarded(run), copy.ids)
                self.assertRecordValues(run, [{"status": "verified"}])

    def test_a_damaged_archive_is_not_removed_where_there_is_no_whole_one(self):
        run = self._stored()
        run.copy_ids._mark_damaged("damaged", "SHA-256")
        run.copy_ids.write({"next_attempt_at": False, "discard_at": fields.Datetime.now()})
        run._plan_tasks()
        self.assertFalse(self._abandoned())

    def test_an_imported_archive_that_may_be_another_companys_is_not_removed(self):
        copy = self._missed(RETRY_ATTEMPTS, may_remain=True)
        self.assertTrue(copy._is_to_be_discarded())
        copy.run_id.catalogue_owner = "another-installation/7"
        self.assertTrue(copy._is_to_be_discarded())
        with patch.object(type(copy.destination_id), "_is_shared_with_strangers",
                          return_value=True):  # fmt: skip
            self.assertFalse(copy._is_to_be_discarded())
            copy.run_id._plan_tasks()
        self.assertFalse(self._abandoned())

    def test_a_stored_archive_is_never_discarded(self):
        run = self._stored()
        run.copy_ids.discard_at = fields.Datetime.now()
        run._plan_tasks()
        self.assertFalse(self._abandoned())

    def test_an_engine_that_lost_its_task_still_tells_what_it_left(self):
        run = self._running(job=self._make_job(max_attempts=1))
        path = run.copy_ids.path
        self._report(run, LOST)
        self._discarded(run)
        self.assertFalse(run.copy_ids.path)
        self.Run._discard_orphans([{"id": run.copy_ids.id, "path": path}])
        self.assertEqual((run.copy_ids.path, self._abandoned()), (path, run))

    def test_a_replication_beyond_its_own_record_leaves_a_clean_up(self):
        copy = self._missed()
        run = copy.run_id
        copy.retry()
        self._take_task("replicate", run)._engine_order()
        self.env.flush_all()
        with mute_logger("odoo.addons.backup_scheduler.models.task.backup_task_execution"):
            self._held(run)._end_unrecordable(KeyError("x"))
        self.env.invalidate_all()
        self.assertRecordValues(copy, [{"status": "failed"}])
        self.assertEqual(run.task_ids.mapped("kind"), ["discard"])
        run.task_ids.due_at = fields.Datetime.now()
        self.assertEqual(self._discarded(run), copy.ids)
