import json

from odoo import fields

from ..models.run.backup_run_live import NOTIFICATION
from ..models.task.backup_task import NOTIFY_PAUSE
from .common import BackupCase, ago


class TestLive(BackupCase):
    def setUp(self):
        super().setUp()
        self._heard()

    def _heard(self, notification=NOTIFICATION):
        """Return the channel and the payload of what was sent since the last call."""
        self.env.cr.flush()
        rows = self.env["bus.bus"].sudo().search([], order="id")
        sent = [(json.loads(row.channel), json.loads(row.message)) for row in rows]
        rows.unlink()
        return [(to, said["payload"]) for to, said in sent if said["type"] == notification]

    def _told(self):
        return [payload["ids"] for _channel, payload in self._heard()]

    def test_who_may_look_at_backups_is_told_of_a_new_run_by_its_id_alone(self):
        run = self._make_run()
        group = self.env.ref("backup_scheduler.group_backup_user")
        channel = [self.env.cr.dbname, "res.groups", group.id]
        self.assertEqual(self._heard(), [(channel, {"ids": run.ids})])

    def test_users_outside_the_group_are_not_on_its_channel(self):
        group = self.env.ref("backup_scheduler.group_backup_user")
        for name, hears in ((None, False), ("user", True), ("operator", True), ("manager", True)):
            with self.subTest(name):
                self.assertEqual(group in self._user(name).all_group_ids, hears)

    def test_a_transaction_tells_once_however_many_runs_it_makes(self):
        job = self._make_job()
        names = [f"db{number:03}" for number in range(50)]
        runs = self.Run._create_for(job, names, fields.Datetime.now(), "manual")
        self.assertEqual(self._told(), [sorted(runs.ids)])

    def test_each_change_that_is_seen_is_told(self):
        run = self._stored()
        self._told()
        changes = (
            lambda: run.pin(),
            lambda: run.verify(),
            lambda: self.assertEqual(self._take("tester"), run),
            lambda: self._report(run, {"event": "stage", "stage": "read", "done": 0}),
            lambda: run.copy_ids._mark_damaged("damaged", "Not the same."),
        )
        for number, change in enumerate(changes):
            with self.subTest(number):
                change()
                self.assertEqual(self._told(), [run.ids])

    def test_a_restore_that_is_asked_for_goes_on_and_ends_is_told_as_its_run(self):
        run = self._stored()
        values = {"run_id": run.id, "target": "server", "database_name": "again"}
        self._told()
        restore = self.env["backup.restore"].create(values)
        self.assertEqual(self._told(), [run.ids])
        restore._mark_running()
        self.assertEqual(self._told(), [run.ids])
        restore._mark_done({"checked": {}})
        self.assertEqual(self._told(), [run.ids])

    def test_what_nobody_sees_is_not_told(self):
        run = self._running()
        self._told()
        self.Task._renew_leases([self._held(run).lease_token])
        run._log("A line of the log.")
        self.assertEqual(self._told(), [])

    def test_progress_is_told_now_and_then(self):
        run = self._running()
        self._report(run, {"event": "stage", "stage": "download"})
        self._told()
        progress = {"event": "progress", "stage": "download", "done": 10, "total": 100}
        self._report(run, progress)
        self.assertEqual(self._told(), [], "It was told a moment ago")
        self._held(run).notified_at -= NOTIFY_PAUSE
        self._report(run, progress)
        self.assertEqual(self._told(), [run.ids])
        self._report(run, progress)
        self.assertEqual(self._told(), [])

    def test_a_change_of_status_is_told_at_once(self):
        run = self._running()
        self._told()
        self._report(run, self._done(run))
        self.assertEqual(self._told(), [run.ids])

    def test_a_run_that_is_ended_without_its_record_is_told_too(self):
        run = self._running()
        self._told()
        run._mark_unrecordable(ValueError("broken"))
        self.assertEqual(self._told(), [run.ids])

    def test_what_is_rolled_back_is_not_told(self):
        run = self._make_run()
        self._told()
        try:
            with self.env.cr.savepoint():
                run._mark_cancelled("Not really.")
                raise ValueError
        except ValueError:
            run.invalidate_recordset()
        self.assertEqual(self._told(), [])

    def test_all_that_a_dispatch_plans_is_told_at_once(self):
        moment = ago(minutes=1).replace(second=0)
        jobs = [self._make_due(self._make_job(name=f"Job {n}"), moment) for n in range(3)]
        self._told()
        self._plan(fields.Datetime.now())
        runs = self.Run.search([("job_id", "in", [job.id for job in jobs])])
        self.assertGreaterEqual(len(runs), 3)
        self.assertEqual(self._told(), [sorted(runs.ids)])
