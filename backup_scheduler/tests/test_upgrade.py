"""What an update of the addon makes of the rows that the version before left."""

import importlib.util

from odoo.tools import file_path

from .common import DIGEST, BackupCase, ago


class UpgradeCase(BackupCase):
    version = before = None
    script = "post-migration"

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
        self.assertEqual(self.Run._claim_work("reader"), self.archive)
        (order,) = self.archive._work_order()["copies"]
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
                self.assertRecordValues(
                    self.archive.sudo(),
                    [
                        {
                            "verification_requested_at": False, "lease_token": False,
                            "lease_until": False, "worker": False, "stage": False,
                            "status": "verified",
                        }
                    ],
                )  # fmt: skip
                self.assertIn("ask for it again", self.archive.log.splitlines()[-1])
                self.archive.verify()
                self.assertEqual(self.Run._claim_work("reader"), self.archive)
                self.archive._lose_work()

    def test_runs_that_are_made_go_on(self):
        running = self._running(job=self.job)
        token = running.sudo().lease_token
        self._upgrade()
        self.assertEqual((running.status, running.sudo().lease_token), ("running", token))

    def test_a_new_installation_is_left_alone(self):
        self._ask_as_before(self.archive)
        self._upgrade(version=None)
        self.assertTrue(self.archive.verification_requested_at)


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
