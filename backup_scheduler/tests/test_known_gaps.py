"""Known gaps: from the run that found them to the database that has them no more."""

from odoo.exceptions import AccessError, UserError
from odoo.tools import mute_logger

from .common import RUN_LOGGER, BackupCase, ago

LOST, ROTTEN, OTHER = (f"{pair}/{pair}" + "0" * 38 for pair in ("aa", "bb", "cc"))
FINDING = {
    "error_code": "inconsistent",
    "error": "2 files of the filestore are missing: …",
    "hint": "Look at that server.",
    "retryable": True,
}


class GapCase(BackupCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.job = cls._make_job()
        cls.database = cls.instance.database_ids.filtered(lambda found: found.name == "sales")
        cls.Gap = cls.env["backup.known.gap"]

    def setUp(self):
        super().setUp()
        self.enterContext(mute_logger(RUN_LOGGER))
        self.manager = self._user("manager")

    def _lacking(self, missing=(LOST,), damaged=(), days=0, database="sales", job=None, **gaps):
        """Return a run whose archive lacks files."""
        run = self._running(database, job or self.job)
        run.started_at = ago(days=days)
        self._report(run, self._found(run, missing, damaged, **gaps))
        self.assertEqual(run.status, "verify_failed")
        run.finished_at = ago(days=days)
        return run

    def _found(self, run, missing=(LOST,), damaged=(), only=True, listed=True, files=100, **gaps):
        """Return the last word of an engine that stored an archive which lacks files."""
        names = {"missing": list(missing), "damaged": list(damaged), "only": only}
        done = self._done(run)
        report = {
            "level": 2, "filestore_files": files, "missing_files": len(missing),
            "damaged_files": len(damaged),
        }  # fmt: skip
        return {
            **done,
            "report": report,
            "finding": FINDING,
            "gaps": {**(names if listed else {}), **gaps},
        }

    def _good(self, days=0, known_gaps=0, **gaps):
        """Return a run whose archive lacks nothing new."""
        run = self._running("sales", self.job)
        run.started_at = ago(days=days)
        report = {"level": 3, "filestore_files": 100, "known_gaps": known_gaps}
        self._report(run, {**self._done(run), "report": report, "gaps": gaps})
        self.assertEqual(run.status, "verified")
        return run

    def _names(self):
        return {(gap.name, gap.kind) for gap in self.database.known_gap_ids}

    def _told(self):
        return self.instance.message_ids[0].body


class TestAcceptGaps(GapCase):
    def test_what_a_manager_accepts_is_known_of_the_database(self):
        run = self._lacking([LOST, OTHER], [ROTTEN])
        done = run.with_user(self.manager).accept_gaps()
        self.assertEqual(done, {"missing": 2, "damaged": 1, "good_run_ids": run.ids})
        self.assertEqual(
            self._names(), {(LOST, "missing"), (OTHER, "missing"), (ROTTEN, "damaged")}
        )
        gap = self.database.known_gap_ids[0]
        self.assertEqual((gap.accepted_by_id, gap.run_id), (self.manager, run))
        self.assertEqual(gap.found_at, run.started_at)
        self.assertEqual(self.database.known_gap_count, 3)

    def test_the_run_that_found_them_is_good_at_once(self):
        run = self._lacking([LOST], [ROTTEN])
        self.assertEqual(run.gap_count, 2)
        self.assertFalse(self.database.last_good_run_id)
        run.with_user(self.manager).accept_gaps()
        self.assertRecordValues(
            run,
            [
                {
                    "status": "verified", "verification_level": "3", "finding": False,
                    "error": False, "open_gaps": False, "gap_count": 0, "known_gap_count": 2,
                }
            ],
        )  # fmt: skip
        report = run.verification_report
        self.assertEqual((report["missing_files"], report["damaged_files"]), (0, 0))
        self.assertIn("2 known gaps", report["notes"][-1])
        self.database.invalidate_recordset()
        self.assertEqual(self.database.last_good_run_id, run)
        self.assertFalse(self._take(), "Nothing is read again")

    def test_it_is_told_in_the_chatter_and_in_the_log(self):
        run = self._lacking([LOST])
        run.with_user(self.manager).accept_gaps()
        self.assertIn("accepted files as known gaps", self._told())
        self.assertIn(f"1 missing, 0 damaged ({LOST})", self._told())
        self.assertIn(self.manager.name, self._told())
        self.assertIn("are known gaps now: verified", run.log)

    def test_earlier_archives_that_lack_no_more_are_good_too(self):
        earlier = self._lacking([LOST], days=2)
        worse = self._lacking([LOST, OTHER], days=1)
        mixed = self._lacking([LOST], days=1, only=False)
        stock = self._lacking([LOST], database="stock")
        run = self._lacking([LOST])
        done = run.with_user(self.manager).accept_gaps()
        self.assertEqual(sorted(done["good_run_ids"]), (earlier + run).ids)
        self.assertEqual((earlier + run).mapped("status"), ["verified"] * 2)
        self.assertEqual((worse + mixed + stock).mapped("status"), ["verify_failed"] * 3)

    def test_what_is_accepted_twice_is_known_once(self):
        worse = self._lacking([LOST, OTHER])
        self._lacking([LOST]).with_user(self.manager).accept_gaps()
        done = worse.with_user(self.manager).accept_gaps()
        self.assertEqual((done["missing"], worse.status), (1, "verified"))
        self.assertEqual(len(self.database.known_gap_ids), 2)

    def test_what_several_runs_lack_is_accepted_at_once(self):
        runs = self._lacking([LOST]) + self._lacking([LOST, OTHER]) + self._lacking([LOST])
        done = runs.with_user(self.manager).accept_gaps()
        self.assertEqual((done["missing"], sorted(done["good_run_ids"])), (2, runs.ids))
        self.assertFalse(any(runs.mapped("verification_requested_at")))

    def test_what_is_accepted_while_a_backup_is_made_is_known_when_it_ends(self):
        running = self._running("sales", self.job)
        self._lacking([LOST]).accept_gaps()
        self._report(running, self._found(running))
        self.assertRecordValues(running, [{"status": "verified", "known_gap_count": 1}])

    def test_what_is_accepted_while_an_archive_is_read_is_known_when_it_ends(self):
        run = self._lacking([LOST])
        run.verify()
        self._take("reader")
        run.accept_gaps()
        found = self._found(run)
        result = {"id": run.copy_ids.id, "ok": True, "read": "archive"}
        result.update({name: found[name] for name in ("report", "finding", "gaps")})
        self._report(run, {"event": "done", "copies": [result]})
        self.assertRecordValues(run, [{"status": "verified", "known_gap_count": 1}])

    def test_where_more_is_wrong_the_archive_stays_bad_and_is_verified_again(self):
        run = self._lacking([LOST], only=False)
        done = run.with_user(self.manager).accept_gaps()
        self.assertEqual((done["missing"], done["good_run_ids"]), (1, []))
        self.assertEqual(run.status, "verify_failed")
        self.assertTrue(run.verification_requested_at)

    def test_orders_carry_what_is_known_of_the_database(self):
        run = self._lacking([LOST], [ROTTEN])
        run.with_user(self.manager).accept_gaps()
        known = {"missing": [LOST], "damaged": [ROTTEN]}
        self.assertEqual(self._order(self._running("sales", self.job))["known_gaps"], known)
        nothing = {"missing": [], "damaged": []}
        self.assertEqual(self._order(self._running("stock", self.job))["known_gaps"], nothing)
        run.verify()
        self._take("reader")
        self.assertEqual(self._order(run)["known_gaps"], known)

    def test_what_cannot_be_accepted_is_said_in_words(self):
        cases = (
            (self._good(), "no file is missing or damaged"),
            (self._lacking(listed=False), "Verify the archive again"),
            (self._lacking(files=0), "no file of the filestore at all"),
        )
        many = self._lacking(listed=False)
        many.verification_report = {**many.verification_report, "missing_files": 12_345}
        for run, words in (*cases, (many, "at most 10000 of a database")):
            for method in ("accept_gaps", "action_accept_gaps"):
                with self.subTest(words, method=method):
                    words = "[Nn]o file is missing" if run == cases[0][0] else words
                    with self.assertRaisesRegex(UserError, words):
                        getattr(run.with_user(self.manager), method)()
        self.assertFalse(self.database.known_gap_ids)

    def test_a_database_has_no_more_known_gaps_than_an_order_can_carry(self):
        self._lacking([f"aa/aa{number:038x}" for number in range(1, 10_000)]).accept_gaps()
        with self.assertRaisesRegex(UserError, "more than 10000 known gaps"):
            self._lacking([LOST, OTHER]).accept_gaps()
        self._lacking([LOST]).accept_gaps()
        self.assertEqual(self.database.known_gap_count, 10_000)

    def test_nobody_but_managers_accepts(self):
        run = self._lacking()
        for group in ("user", "operator"):
            with self.subTest(group), self.assertRaises(AccessError):
                run.with_user(self._user(group)).accept_gaps()
        self.assertFalse(self.database.known_gap_ids)

    def test_a_manager_of_another_company_accepts_nothing(self):
        run = self._lacking()
        self.instance.company_id = self.env.company
        other = self.env["res.company"].create({"name": "Other"})
        stranger = self._user("manager", company_id=other.id, company_ids=[(6, 0, other.ids)])
        with self.assertRaises(AccessError):
            run.with_user(stranger).accept_gaps()
        self.instance.company_id = False
        with self.assertRaises(AccessError):
            # All companies share it: its good archives are no matter of one of them.
            run.with_user(stranger).accept_gaps()
        self.assertFalse(self.database.known_gap_ids)

    def test_the_wizard_names_the_files_and_accepts_them(self):
        run = self._lacking([LOST], [ROTTEN])
        action = run.with_user(self.manager).action_accept_gaps()
        wizard = (
            self.env[action["res_model"]]
            .with_user(self.manager)
            .with_context(**action["context"])
            .create({})
        )
        self.assertEqual((wizard.missing_count, wizard.damaged_count), (1, 1))
        self.assertEqual(wizard.file_names, f"Missing  {LOST}\nDamaged  {ROTTEN}")
        self.assertTrue(wizard.is_first)
        wizard.action_accept()
        self.assertEqual(run.status, "verified")

    def test_a_verification_finds_gaps_too(self):
        run = self._stored(job=self.job)
        run.verify()
        self._take("reader")
        found = self._found(run)
        result = {"id": run.copy_ids.id, "ok": True, "read": "archive"}
        result.update({name: found[name] for name in ("report", "finding", "gaps")})
        self._report(run, {"event": "done", "copies": [result]})
        self.assertEqual((run.status, run.gap_count), ("verify_failed", 1))
        run.accept_gaps()
        self.assertEqual(run.status, "verified")

    def test_an_imported_archive_is_verified_with_the_gaps_of_its_database(self):
        self._lacking([LOST]).accept_gaps()
        run = self._stored(job=self.job)
        run.write(
            {"job_id": False, "catalogue_owner": "elsewhere/1", "unverified_import": "signed"}
        )
        run.verify()
        self._take("reader")
        self.assertEqual(self._order(run)["known_gaps"]["missing"], [LOST])


class TestGapsThatEnd(GapCase):
    def setUp(self):
        super().setUp()
        self.run_of_gaps = self._lacking([LOST, OTHER], [ROTTEN], days=5)
        self.run_of_gaps.with_user(self.manager).accept_gaps()

    def test_a_file_that_is_back_in_a_later_archive_is_no_gap_any_more(self):
        run = self._good(back=[LOST], unlisted=[OTHER])
        self.assertEqual(self._names(), {(ROTTEN, "damaged")})
        ended = self.Gap.with_context(active_test=False).search([("active", "=", False)])
        self.assertEqual(set(ended.mapped("end")), {"back", "unlisted"})
        self.assertEqual(ended.ended_run_id, run)
        told = " ".join(self.instance.message_ids.mapped("body"))
        self.assertIn("the files are back", told)
        self.assertIn("no attachment lists the files any more", told)
        self.assertIn("the files are back", run.log)

    def test_an_earlier_archive_that_had_the_file_withdraws_nothing(self):
        self._good(days=9, back=[LOST])
        self.assertEqual(len(self._names()), 3)

    def test_archives_of_before_still_lack_what_is_back_now(self):
        self._good(days=1, back=[LOST])
        self.run_of_gaps.verify()
        self._take("reader")
        self.assertEqual(self._order(self.run_of_gaps)["known_gaps"]["missing"], [LOST, OTHER])
        new = self._order(self._running("sales", self.job))["known_gaps"]
        self.assertEqual(new["missing"], [OTHER])

    def test_a_file_that_is_lost_again_is_new(self):
        self._good(days=1, back=[LOST])
        run = self._lacking([LOST])
        run.accept_gaps()
        self.assertEqual(run.status, "verified")
        self.assertEqual(len(self._names()), 3)

    def test_what_was_missing_and_is_damaged_now_is_accepted_anew(self):
        run = self._lacking([], [LOST])
        self.assertEqual(run.status, "verify_failed")
        run.accept_gaps()
        self.assertEqual(
            self._names(), {(LOST, "damaged"), (OTHER, "missing"), (ROTTEN, "damaged")}
        )
        self.assertEqual(run.status, "verified")
        known = self.run_of_gaps._known_gaps()
        self.assertIn(LOST, known["missing"], "The earlier archive lacks it as it did")

    def test_a_manager_withdraws_what_was_accepted(self):
        good = self._good(known_gaps=3)
        gap = self.database.known_gap_ids.filtered(lambda gap: gap.name == LOST)
        gap.with_user(self.manager).withdraw()
        self.assertRecordValues(
            gap, [{"active": False, "end": "withdrawn", "ended_by_id": self.manager.id}]
        )
        self.assertIn("withdrew known gaps", self._told())
        self.assertTrue(good.verification_requested_at, "It is good only with known gaps")
        self.assertNotIn(LOST, self.run_of_gaps._known_gaps()["missing"])

    def test_nobody_but_managers_withdraws(self):
        for group in ("user", "operator"):
            with self.subTest(group), self.assertRaises(AccessError):
                self.database.known_gap_ids.with_user(self._user(group)).withdraw()
        self.assertEqual(len(self._names()), 3)


class TestGapsAtSetUp(GapCase):
    def setUp(self):
        super().setUp()
        self.job.gaps_accepted_by_id = self.manager

    def _ended(self, database="sales", **found):
        run = self._running(database, self.job)
        self._report(run, self._found(run, **found))
        return run

    def test_what_the_first_archive_lacks_is_accepted_in_the_name_of_the_manager(self):
        run = self._ended()
        self.assertEqual(run.status, "verified")
        self.assertEqual(self.database.known_gap_ids.accepted_by_id, self.manager)
        self.assertIn("accepted files as known gaps", self._told())

    def test_what_later_ones_lack_is_not(self):
        self._ended()
        self.assertEqual(self._ended(missing=[LOST, OTHER]).status, "verify_failed")

    def test_what_is_too_much_is_not(self):
        self.assertEqual(self._ended(files=0, listed=False).status, "verify_failed")

    @mute_logger("odoo.addons.backup_scheduler.models.run.backup_run_status")
    def test_who_is_no_manager_any_more_accepts_nothing(self):
        self.manager.group_ids = [(6, 0, self.env.ref("base.group_user").ids)]
        self.assertEqual(self._ended().status, "verify_failed")
        self.assertFalse(self.database.known_gap_ids)

    def test_databases_that_came_later_are_asked_about(self):
        self._sql("UPDATE backup_job SET create_date = create_date - interval '1 day'")
        self.assertEqual(self._ended().status, "verify_failed")


class TestRetentionOfIssues(GapCase):
    """Archives with issues are counted by a rule of their own."""

    def _marked(self):
        return self.Run.search([("copy_ids.deletion_requested_at", "!=", False)])

    def test_archives_with_issues_do_not_pile_up(self):
        self.job.write({"retention_mode": "keep_last_n", "retention_value": 3})
        runs = self.Run.concat(*(self._lacking([LOST], days=days) for days in range(9, 0, -1)))
        self.assertEqual(self._marked().sorted("id"), runs[:6])
        reason = "Has issues: it is counted beside the good ones, and replaces none."
        self.assertIn(reason, runs[0].copy_ids.deletion_reason)

    def test_no_good_archive_goes_for_one_with_issues(self):
        good = self.Run.concat(*(self._good(days=days) for days in (9, 8, 7)))
        self.job.write({"retention_mode": "keep_last_n", "retention_value": 1})
        self._lacking([LOST], days=1)
        self.assertFalse(self._marked() & good, "A bad archive deletes no good one")
        self._lacking([LOST])
        self.assertEqual(len(self._marked()), 1)
        self.assertFalse(self._marked() & good)

    def test_those_whose_parts_do_not_belong_together_lack_the_most(self):
        self.job.write({"retention_mode": "keep_last_n", "retention_value": 1})
        best = self._lacking([LOST], days=4)
        self._lacking([LOST], days=3, only=False)
        self._lacking([], days=2, only=False)
        self._lacking([LOST, OTHER], days=1)
        self.assertNotIn(best, self._marked())

    def test_those_that_cannot_be_read_are_left_alone(self):
        self.job.write({"retention_mode": "keep_last_n", "retention_value": 1})
        runs = self.Run.concat(*(self._lacking([LOST], days=days) for days in (3, 2, 1)))
        runs.finding = {**FINDING, "error_code": "restore_failed", "level": 4}
        self._good()
        self.assertFalse(self._marked() & runs[2:])
        self.job._reconsider_deletions()
        self.assertFalse(self._marked() & runs)

    def test_a_pinned_one_stays(self):
        self.job.write({"retention_mode": "keep_last_n", "retention_value": 1})
        first = self._lacking([LOST, OTHER], days=4)
        first.pin()
        self._lacking([LOST], days=3)
        self._lacking([LOST], days=2)
        self.assertNotIn(first, self._marked())

    def test_the_preview_says_that_they_are_counted_apart(self):
        self._good(days=2)
        self._lacking([LOST], days=1)
        lines = self.job.preview_retention({"retention_mode": "keep_last_n", "retention_value": 1})
        self.assertEqual([line["has_issues"] for line in lines], [True, False])
        self.assertTrue(all(line["keep"] for line in lines))
        self.assertIn("counted beside the good ones", lines[0]["reasons"][0])

    def test_one_that_became_good_is_decided_on_as_a_good_one(self):
        self.job.write({"retention_mode": "keep_last_n", "retention_value": 2})
        runs = self.Run.concat(*(self._lacking([LOST], days=days) for days in (4, 3, 2, 1)))
        self.assertEqual(len(self._marked()), 2)
        runs[3].accept_gaps()
        self.assertEqual(set(runs.mapped("status")), {"verified"})
        self.job.retention_value = 30
        self.job._reconsider_deletions()
        self.assertFalse(self._marked())
