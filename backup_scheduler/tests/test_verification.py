from odoo.tools import mute_logger

from .common import AT_REST, RUN_LOGGER, BackupCase, ago, failure

READING_LOGGER = "odoo.addons.backup_scheduler.models.run.backup_run_reading"


class TestVerification(BackupCase):
    def setUp(self):
        super().setUp()
        self.enterContext(mute_logger(READING_LOGGER))

    def _asked(self, level=1):
        """Return a run with an archive that somebody asked to read again, claimed."""
        run = self._stored(level=level)
        run.verify()
        self.assertEqual(self._take("reader"), run)
        run.flush_recordset()
        return run

    def _read(self, run, ok, **values):
        result = {"id": run.copy_ids[0].id, "ok": ok, **values}
        return {"event": "done", "copies": [result]}

    def _bad(self, run, error):
        return self._read(run, False, bad=True, error_code="damaged", error=error)

    def _assert_over(self, run):
        self.assertRecordValues(
            run,
            [
                {
                    "verification_requested_at": False,
                    "stage": False, "work": False,
                }
            ],
        )  # fmt: skip
        self.assertFalse(self._take("reader"))

    def test_only_what_was_asked_for_is_claimed(self):
        self._stored()
        self.assertFalse(self._take("reader"))

    def test_what_was_asked_for_is_claimed_once_under_a_lease(self):
        run = self._asked()
        self.assertEqual(run.work, "verify")
        self.assertRecordValues(self._held(run), [{"worker": "reader", "level": "3"}])
        self.assertFalse(self._take("other"))

    def test_the_one_who_asked_first_comes_first(self):
        first, second = self._stored(), self._stored("stock")
        (first + second).verify()
        second.task_ids.due_at = "2026-01-01 00:00:00"
        self.assertEqual(self._take("reader"), second)

    def test_what_somebody_waits_for_comes_before_a_round_of_the_destination(self):
        reread = self._stored("stock")
        reread._request_verification(reread.copy_ids)
        for whole in (True, False):
            with self.subTest(whole=whole):
                run = self._stored()
                (run if whole else run.copy_ids).verify()
                reread.task_ids.due_at = ago(hours=1)
                self.assertEqual(self._take("reader"), run)
        self.assertEqual(self._take("reader"), reread)

    def test_the_order_names_the_archive_and_its_digest(self):
        order = self._order(self._asked())
        self.assertEqual((order["action"], order["database"]), ("verify", "sales"))
        self.assertEqual(order["sha256"], "ab" * 32)
        self.assertEqual([copy["kind"] for copy in order["copies"]], ["local"])
        self.assertNotIn("source", order, "It needs no secret of the server")

    def test_an_intact_archive_makes_the_run_verified(self):
        run = self._asked()
        self.assertEqual(run.status, "success")
        self._report(run, self._read(run, True, report={"level": 2}))
        self.assertRecordValues(run, [{"status": "verified", "verification_level": "2"}])
        self._assert_over(run)

    def test_a_damaged_archive_makes_the_run_verify_failed(self):
        run = self._asked()
        self._report(run, self._bad(run, "Bad CRC."))
        self.assertRecordValues(
            run, [{"status": "verify_failed", "error_code": "damaged", "error": "Bad CRC."}]
        )
        self.assertRecordValues(run.copy_ids, [{"status": "failed", "error_code": "damaged"}])
        self.assertTrue(run.copy_ids.path, "It can be looked for, and read again")
        self._assert_over(run)

    def test_a_damaged_archive_is_no_longer_the_last_good_one(self):
        run = self._asked()
        self._report(run, self._bad(run, "Bad CRC."))
        self.assertFalse(self.instance.database_ids[0].last_good_run_id)

    def test_a_copy_that_is_readable_again_makes_the_run_good_again(self):
        run = self._asked()
        self._report(run, self._bad(run, "Gone."))
        run.verify()
        self._take("reader")
        self._report(run, self._read(run, True, report={"level": 2}))
        self.assertRecordValues(run, [{"status": "verified", "error": False}])
        self.assertRecordValues(run.copy_ids, [{"status": "stored", "error": False}])

    def test_one_good_copy_of_two_is_enough_and_the_other_is_repaired_from_it(self):
        second = self._make_destination("Second")
        job = self._make_job(destination_ids=[(6, 0, (self.destination + second).ids)])
        run = self._stored(job=job)
        good, bad = run.copy_ids
        run.verify()
        self._take("reader")
        damaged = {"ok": False, "bad": True, "error_code": "damaged", "error": "Bad."}
        self._report(run,
            {
                "event": "done",
                "copies": [
                    {"id": bad.id, **damaged},
                    {"id": good.id, "ok": True, "report": {"level": 2}},
                ],
            }
        )
        self.assertEqual((run.status, good.status, bad.status), ("verified", "stored", "failed"))
        self.assertEqual(self._take("repairer").work, "replicate")
        order = self._order(run)
        self.assertEqual([each["id"] for each in order["candidates"]], good.ids)
        self.assertEqual([each["id"] for each in order["destinations"]], bad.ids)
        self.assertEqual(order["destinations"][0]["archive_path"], bad.path)
        self._report(run,
            {"event": "done", "copies": [{"id": bad.id, "stored": True, **AT_REST}]}
        )
        self.assertRecordValues(bad, [{"status": "stored", "error": False}])
        self.assertFalse(run.task_ids)

    def test_a_copy_that_cannot_be_reached_is_as_good_as_it_was(self):
        run = self._asked(level=2)
        self._report(run,
            self._read(
                run, False, bad=False, error_code="destination_failed", error="Not mounted."
            )
        )
        self.assertEqual((run.status, run.copy_ids.status), ("verified", "stored"))
        self.assertIn("Not mounted.", run.log)
        self._assert_over(run)

    def test_a_verification_that_was_not_done_changes_nothing_but_the_log(self):
        events = (failure("no_space"), {"event": "lost", "exit_code": -9, "tail": ""})
        for event in events:
            with self.subTest(event["event"]):
                run = self._asked(level=2)
                self._report(run, event)
                self.assertEqual((run.status, run.copy_ids.status), ("verified", "stored"))
                self.assertIn("erification", run.log.splitlines()[-1])
                self._assert_over(run)

    def test_a_lost_reader_leaves_the_run_as_good_as_it_was(self):
        run = self._asked(level=2)
        self._expire_lease(run)
        self.assertEqual(self.Task._reap(), 1)
        self.assertEqual((run.status, run.attempt), ("verified", 1))
        self.assertIn("ask again", run.log)
        self._assert_over(run)

    def test_a_verification_that_is_given_back_is_claimed_again(self):
        run = self._asked()
        self._held(run)._give_back()
        self.assertEqual(self._take("other"), run)

    def test_a_verification_shows_how_far_it_is_and_leaves_the_run_as_it_is(self):
        run = self._asked()
        self._report(run, {"event": "progress", "stage": "verify", "done": 1, "total": 2})
        self.assertRecordValues(run, [{"stage": "verify", "progress": 50, "status": "success"}])

    @mute_logger(RUN_LOGGER)
    def test_a_run_that_failed_has_nothing_to_read(self):
        run = self._running()
        self._report(run, failure(retryable=False))
        self.assertFalse(run.copy_ids._readable())
