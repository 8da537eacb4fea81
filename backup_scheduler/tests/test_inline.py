from unittest.mock import patch

from odoo.tools import mute_logger

from ..engine.errors import ConnectionFailed, WrongMasterPassword
from ..inline import execute_all
from .common import AT_REST, RUN_LOGGER, BackupCase, archive

INLINE_LOGGER = "odoo.addons.backup_scheduler.inline"


class TestInline(BackupCase):
    """The executor of hosts that forbid processes, with what it does put in."""

    def _execute(self, **actions):
        """Execute all that is queued; ``actions`` stand for those of the engine."""
        with (
            patch.dict("odoo.addons.backup_scheduler.inline.transfer.ACTIONS", actions),
            self.enter_registry_test_mode(),
        ):
            return execute_all(self.registry)

    def _make_only_run(self):
        """Return a queued run whose fire gains no others."""
        sales = self.instance.database_ids[0]
        return self._make_run(
            job=self._make_job(database_scope="selected", database_ids=sales.ids)
        )

    def _backup(self, order, control):
        """Do as the engine does, without moving a byte."""
        control.enter("connect")
        control.tell("source", version="19.0", databases=["sales", "stock"])
        control.enter("download")
        control.ask_permission(**archive())
        copies = [
            {"id": copy["id"], "stored": True, **AT_REST, "path": copy["archive_path"]}
            for copy in order["destinations"]
        ]
        return {**archive(), "copies": copies}

    def test_what_is_queued_is_executed_until_nothing_is_left(self):
        runs = self.Run.browse(self._make_job().run_now())
        self.assertEqual(self._execute(backup=self._backup), 2)
        self.assertEqual(set(runs.mapped("status")), {"verified"})
        self.assertEqual(set(runs.copy_ids.mapped("status")), {"stored"})

    def test_a_server_that_is_not_known_is_discovered_and_then_backed_up(self):
        job = self._make_job(instance_id=self._make_instance("New").id)
        job.run_now()
        self._execute(
            backup=self._backup,
            discover=lambda order, control: {"version": "19.0", "databases": ["sales", "stock"]},
        )
        self.assertEqual(job.run_ids.mapped("status"), ["verified", "verified"])

    @mute_logger(RUN_LOGGER)
    def test_a_failure_is_recorded_with_its_kind_and_traceback(self):
        def fail(order, control):
            raise WrongMasterPassword("The master password is wrong.")

        run = self._make_run()
        self._execute(backup=fail)
        self.assertRecordValues(
            run,
            [{"status": "failed", "error_code": "wrong_master_password", "attempt": 1}],
        )
        self.assertEqual(run.error, "The master password is wrong.")
        self.assertIn("WrongMasterPassword", run.traceback)

    def test_a_failure_that_may_pass_waits_for_its_next_attempt(self):
        def fail(order, control):
            raise ConnectionFailed("Refused.")

        run = self._make_run()
        self.assertEqual(self._execute(backup=fail), 1)
        self.assertRecordValues(run, [{"status": "queued", "error_code": "connection_failed"}])

    @mute_logger(RUN_LOGGER)
    def test_whatever_else_goes_wrong_is_recorded_too(self):
        def fail(order, control):
            raise ZeroDivisionError("division by zero")

        run, after = self._make_run(), self._make_run("stock")
        self._execute(backup=fail)
        self.assertRecordValues(
            run + after, [{"status": "failed", "error_code": "internal"}] * 2
        )
        self.assertIn("ZeroDivisionError: division by zero", run.error)

    def test_a_run_that_was_lost_meanwhile_is_not_written_to(self):
        run = self._make_only_run()

        def lose(order, control):
            self._sql("UPDATE backup_task SET lease_token = 'another' WHERE run_id = %s", run.id)
            control.enter("download")
            return self._backup(order, control)

        with mute_logger(INLINE_LOGGER):
            self._execute(backup=lose)
        self.assertRecordValues(
            run, [{"status": "running", "stage": False, "sha256": False}]
        )
        self.assertNotIn("stored", run.copy_ids.mapped("status"))

    def test_a_run_that_was_cancelled_meanwhile_gets_no_archive(self):
        run = self._make_only_run()

        def cancel(order, control):
            self._sql("UPDATE backup_task SET cancel_requested = TRUE WHERE run_id = %s", run.id)
            return self._backup(order, control)

        self._execute(backup=cancel)
        self.assertRecordValues(run, [{"status": "cancelled", }])
        self.assertNotIn("stored", run.copy_ids.mapped("status"))

    def test_an_archive_that_was_stored_for_a_run_given_up_is_removed_again(self):
        run = self._make_only_run()

        def stored_too_late(order, control):
            result = self._backup(order, control)
            self._sql("UPDATE backup_run SET status = 'cancelled' WHERE id = %s", run.id)
            self._sql("DELETE FROM backup_task WHERE run_id = %s", run.id)
            self._sql("UPDATE backup_copy SET status = 'pending' WHERE run_id = %s", run.id)
            return result

        def discard(order, control):
            discarded.extend(copy["archive_path"] for copy in order["copies"])
            return {"copies": [{"id": copy["id"], "ok": True} for copy in order["copies"]]}

        discarded = []
        with mute_logger(INLINE_LOGGER):
            self._execute(backup=stored_too_late, discard=discard)
        self.assertEqual((run.status, run.copy_ids.status), ("cancelled", "failed"))
        self.assertEqual(len(discarded), 1)

    def test_stored_archives_are_read_again(self):
        run = self._stored(level=1)
        run.verify()
        self._execute(
            verify=lambda order, control: {
                "copies": [{"id": order["copies"][0]["id"], "ok": True, "report": {"level": 2}}]
            }
        )
        self.assertEqual(run.status, "verified")

    @mute_logger(RUN_LOGGER)
    def test_remains_of_lost_attempts_are_discarded_first(self):
        run = self._running(job=self._make_job(max_attempts=1))
        self._report(run, {"event": "lost", "exit_code": -9, "tail": ""})
        self._execute(
            discard=lambda order, control: {"copies": [{"id": run.copy_ids.id, "ok": True}]}
        )
        self.assertEqual(run.copy_ids.status, "failed")

    def test_the_cron_executes_only_where_the_settings_say_so(self):
        self._make_run()
        for executor, calls in (("process", 0), ("inline", 1)):
            self.env["ir.config_parameter"].set_param("backup_scheduler.executor", executor)
            with (
                self.subTest(executor),
                patch("odoo.addons.backup_scheduler.inline.execute_all") as execute,
            ):
                self.dispatcher._cron_execute()
                self.assertEqual(execute.call_count, calls)
