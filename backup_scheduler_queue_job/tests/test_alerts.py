from odoo.addons.backup_scheduler.tests.common import failure

from .common import QueueCase


class TestAlerts(QueueCase):
    """Alerts that go over the network are sent by a queue job, in a channel of their own."""

    def setUp(self):
        super().setUp()
        channels = self.env["backup.alert.channel"]
        channels.search([]).active = False
        channels.create(
            {"name": "Hook", "kind": "webhook", "url": "https://hooks.example.com/hush"}
        )
        run = self._running(job=self._make_job(max_attempts=1))
        self._report(run, failure(retryable=False))

    def _notice_jobs(self):
        return self.env["queue.job"].search([("channel", "=", "root.backup_alert")])

    def test_what_waits_gets_one_queue_job_that_does_not_wait_behind_backups(self):
        self._dispatch()
        self._dispatch()
        job = self._notice_jobs()
        self.assertRecordValues(job, [{"channel": "root.backup_alert", "priority": 0}])
        self.assertNotIn("hush", str(job.read()))

    def test_the_queue_job_sends_it(self):
        sent = []

        def tell(order):
            sent.extend(order["notices"])
            return {"event": "notice", "id": order["notices"][0]["id"], "ok": True}

        self._with_engine(tell, {"event": "done", "notices": 1})
        self._dispatch()
        self._perform(self._notice_jobs())
        self.assertEqual(sent[0]["secret_url"], "https://hooks.example.com/hush")
        alert = self.env["backup.alert"].search([("channel_id.kind", "=", "webhook")])
        self.assertEqual(alert.state, "sent")
        self._dispatch()
        self.assertEqual(len(self._notice_jobs()), 1)
