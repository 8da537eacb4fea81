import datetime
from unittest.mock import patch

from odoo import fields
from odoo.tools import file_open, mute_logger

from ..executor import Executor
from ..inline import execute_all
from ..models.alert.backup_alert import LIFETIME
from ..models.task.kinds import ASIDE, BACKUP, SPARE
from .common import BackupCase, failure
from .test_incidents import IncidentCase

ALERT_LOGGER = "odoo.addons.backup_scheduler.models.alert.backup_alert"
DELIVERY_LOGGER = "odoo.addons.backup_scheduler.models.alert.backup_alert_delivery"
EXECUTOR_LOGGER = "odoo.addons.backup_scheduler.executor"
OK = {"event": "notice", "ok": True}
BUSY = {
    "event": "notice", "ok": False, "error_code": "notice_delayed", "error": "Busy.", "hint": "",
    "retryable": True, "retry_after": 0,
}  # fmt: skip
REFUSED = {**BUSY, "error": "Gone.", "hint": "Check.", "retryable": False}


class DeliveryCase(IncidentCase):
    def setUp(self):
        super().setUp()
        self._fail()
        self.alert = self.Alert.search([])
        told = mute_logger(ALERT_LOGGER)
        told.__enter__()
        self.addCleanup(told.__exit__, None, None, None)

    def _send(self, event):
        """Take what waits, and report ``event`` of each."""
        task = self._take_notify()
        for notice in task._engine_order()["notices"]:
            task._record({**event, "id": notice["id"]})
        task._record({"event": "done", "notices": 1})

    def _executor(self):
        return Executor(self.registry, "seat")

    def _make_due(self):
        self.alert.next_attempt_at = fields.Datetime.now() - datetime.timedelta(seconds=1)

    def _lose(self):
        """Let whoever sends it be killed."""
        self._sql("UPDATE backup_task SET lease_until = lease_until - interval '1 day'")
        self.Task._reap()


class TestDelivery(DeliveryCase):
    def test_what_is_taken_is_taken_by_one(self):
        self.assertTrue(self._take_notify())
        self.assertFalse(self._take_notify())

    def test_a_message_that_waits_for_an_executor_wakes_the_dispatcher_once(self):
        cron = self.env.ref("backup_scheduler.ir_cron_dispatch")
        self._dispatch()
        self.assertTrue(self.Task._of("notify"))
        self.env["ir.cron.trigger"].search([]).unlink()
        self._dispatch()
        self.assertFalse(self.env["ir.cron.trigger"].search([("cron_id", "=", cron.id)]))

    def test_what_was_sent_is_said_on_the_message_and_on_the_channel(self):
        self._send(OK)
        self.assertRecordValues(self.alert, [{"state": "sent", "attempts": 1, "error": False}])
        self.assertEqual(self.channel.status, "ok")
        self.assertIn("Backup failed: Shop / sales", self.alert.subject)

    def test_what_may_pass_is_tried_again_later_each_time(self):
        pauses = []
        for _attempt in range(4):
            self._send(BUSY)
            pauses.append(self.alert.next_attempt_at - fields.Datetime.now())
            self._make_due()
        minutes = [round(pause.total_seconds() / 60) for pause in pauses]
        self.assertEqual(minutes, [1, 2, 4, 8])
        self.assertRecordValues(self.channel, [{"status": "error", "last_error": "Busy."}])
        self._send(OK)
        self.assertRecordValues(self.channel, [{"status": "ok", "last_error": False}])

    def test_a_busy_receiver_is_left_alone_for_as_long_as_it_asks(self):
        before = fields.Datetime.now()
        self._send({**BUSY, "retry_after": 1800})
        earliest = before + datetime.timedelta(seconds=1800)
        self.assertGreaterEqual(self.alert.next_attempt_at, earliest)

    def test_what_is_refused_is_not_tried_again_and_told(self):
        self._send(REFUSED)
        self.assertRecordValues(
            self.alert, [{"state": "failed", "error": "Gone.", "hint": "Check."}]
        )
        self.assertEqual(self.channel.last_error, "Gone.\nCheck.")

    def test_after_a_day_it_is_given_up(self):
        self.alert.expires_at = fields.Datetime.now() + datetime.timedelta(seconds=30)
        self._send(BUSY)
        self.assertEqual(self.alert.state, "failed")

    def test_what_was_kept_too_long_is_not_sent_any_more(self):
        self.alert.expires_at = fields.Datetime.now() - LIFETIME
        self.assertEqual(self._order_alerts()[1], [])
        self.assertEqual(self.alert.state, "dropped")

    def test_whoever_is_killed_with_it_has_it_sent_once_more_and_then_no_more(self):
        for state in ("pending", "failed"):
            self._take_notify()._engine_order()
            self._lose()
            self.assertEqual(self.alert.state, state)
            self._make_due()
        self.assertFalse(self._take_notify())
        self.assertRecordValues(self.alert, [{"attempts": 2, "lost": 2, "sending": False}])

    def test_an_engine_that_is_killed_counts_the_same(self):
        for state in ("pending", "failed"):
            task = self._take_notify()
            task._engine_order()
            task._record({"event": "lost", "exit_code": -9, "tail": ""})
            self.assertEqual(self.alert.state, state)
            self._make_due()

    def test_whoever_lost_it_writes_nothing_on_it(self):
        with self.enter_registry_test_mode():
            executor = self._executor()
            task = executor.claim()
            task.token = "0" * 32
            self.assertFalse(executor.record(task, {**OK, "id": self.alert.id}))
        self.assertEqual(self.alert.state, "pending")

    def test_a_message_that_was_deleted_meanwhile_does_not_stop_the_others(self):
        self._fail(database="stock")
        self._make_all_due()
        first, second = self._order_alerts()[0]
        first.unlink()
        for number in (second.id + 1000, second.id):
            self.Task._of("notify")._record({**OK, "id": number})
        self.assertEqual(second.state, "sent")

    def test_what_is_sent_twice_has_the_same_key(self):
        first = self._order_alerts()[1]
        self._lose()
        self._make_due()
        self.assertEqual(self._order_alerts()[1][0]["key"], first[0]["key"])

    def test_one_without_words_does_not_stop_the_others(self):
        other = self.Channel.create({"name": "Other", "kind": "slack"})
        other.url = "https://hooks.example.com/other"
        self.channel.sudo().url_sealed = False
        self._fail(database="stock")
        notices = self._order_alerts()[1]
        self.assertEqual([notice["kind"] for notice in notices], ["slack"])
        self.assertIn("Enter the address", self.channel.last_error)

    def test_a_channel_that_was_archived_sends_nothing_any_more(self):
        self.channel.active = False
        self.assertEqual(self._order_alerts()[1], [])
        self.assertEqual(self.alert.state, "dropped")

    def test_programs_get_the_incident_as_it_is_when_it_is_sent(self):
        self._fail()
        incident = self.alert._facts()["incidents"][0]
        self.assertEqual(incident["runs"], 2)
        self.assertEqual((incident["instance"], incident["database"]), ("Shop", "sales"))
        self.assertEqual(incident["error_code"], "connection_failed")
        self.assertIsNone(incident["last_good_at"])
        self.assertTrue(incident["link"].endswith(f"/odoo/backup-incidents/{incident['id']}"))

    def test_old_messages_are_forgotten_and_those_that_wait_are_not(self):
        self._fail(database="stock")
        self.alert._mark_sent()
        self._sql("UPDATE backup_alert SET create_date = create_date - interval '91 days'")
        self.Alert._gc_alerts()
        self.assertEqual(self.Alert.search([]).state, "pending")


class TestExecutorsSend(DeliveryCase):
    """What every executor does with messages: the same for a worker, inline and queue_job."""

    def _notify(self, **result):
        def notify(order, control):
            for notice in order["notices"]:
                control.tell("notice", id=notice["id"], **{"ok": True, **result})
            return {"notices": len(order["notices"])}

        return patch.dict(
            "odoo.addons.backup_scheduler.inline.transfer.ACTIONS", {"notify": notify}
        )

    def test_inline_sends_what_waits(self):
        with self._notify(), self.enter_registry_test_mode():
            self.assertEqual(execute_all(self.registry, (ASIDE,)), 1)
        self.assertEqual(self.alert.state, "sent")

    def test_the_backups_of_inline_do_not_send_and_its_other_cron_does(self):
        self.env["ir.config_parameter"].set_param("backup_scheduler.executor", "inline")
        with self._notify(), self.enter_registry_test_mode():
            execute_all(self.registry, (BACKUP, SPARE))
            self.assertEqual(self.alert.state, "pending")
            self.dispatcher._cron_notify()
        self.env.invalidate_all()
        self.assertEqual(self.alert.state, "sent")

    def test_the_dispatcher_starts_a_worker_for_a_message_alone(self):
        self._dispatch()
        self.launched.assert_called_once()

    def test_a_heart_that_beats_meanwhile_does_not_end_it(self):
        with self.enter_registry_test_mode():
            executor = self._executor()
            task = executor.claim()
            self.assertEqual(executor.renew_leases([task]), [task])
            self.assertTrue(executor.record(task, {"event": "done", "notices": 1}))

    def test_a_worker_that_is_stopped_gives_it_back(self):
        with self.enter_registry_test_mode():
            executor = self._executor()
            executor.give_back(executor.claim())
        self.env.invalidate_all()
        self.assertRecordValues(self.alert, [{"state": "pending", "attempts": 0, "lost": 0}])
        self.assertTrue(self._take_notify())

    @mute_logger(EXECUTOR_LOGGER)
    def test_what_cannot_be_recorded_ends_nothing_else(self):
        with self.enter_registry_test_mode():
            executor = self._executor()
            task = executor.claim()
            with patch.object(
                type(self.Alert), "_mark_sent", side_effect=ValueError("broken")
            ):
                held = executor.record(task, {**OK, "id": self.alert.id})
        self.assertFalse(held)
        self.env.invalidate_all()
        self.assertEqual(self.alert.state, "pending")


class TestMailsAndActivities(IncidentCase):
    def setUp(self):
        super().setUp()
        self.user = self._user("user")
        self.channel.active = False
        told = mute_logger(ALERT_LOGGER)
        told.__enter__()
        self.addCleanup(told.__exit__, None, None, None)

    def _make_channel(self, kind, **values):
        return self.Channel.create(
            {"name": kind, "kind": kind, "user_ids": [(6, 0, self.user.ids)], **values}
        )

    def _mails(self):
        return self.env["mail.mail"].search([("model", "=", "backup.alert")], order="id")

    def test_a_mail_is_put_into_the_queue_and_tells_what_to_do(self):
        self._make_channel("mail")
        self._fail()
        # At once: a message that was made after the look began is delivered in it too.
        mail = self._mails()
        self.assertEqual(mail.recipient_ids, self.user.partner_id)
        self.assertEqual((mail.state, mail.subject), ("outgoing", "Backup failed: Shop / sales"))
        incident = self._open()
        for part in ("It did not work.", "Mend it.", f"/odoo/backup-incidents/{incident.id}"):
            self.assertIn(part, mail.body_html)
        self._fail()
        self.assertEqual(len(self._mails()), 1)
        self._succeed()
        self.assertEqual(self._mails()[1].subject, "Backed up again: Shop / sales")

    def test_a_mail_about_a_name_of_several_lines_has_a_subject_of_one(self):
        """Recorded before names were made one line where they come in."""
        self._make_channel("mail")
        hostile = "shop\nBcc: evil@example.com\r\n\r\n\u202ebody\u2028x"
        self._fail(database=hostile)
        mail = self._mails()
        self.assertEqual(len(mail.subject.splitlines()), 1)
        self.assertNotIn("\u202e", mail.subject)
        built = self.env["ir.mail_server"]._build_email__(
            "backup@example.com", [self.user.email], mail.subject, mail.body_html
        )
        self.assertFalse(built["Bcc"])
        self.assertIn("shop", str(built["Subject"]))
        alert = self.Alert.search([("event", "=", "opened")])
        self.assertEqual(len(alert.subject.splitlines()), 1)
        self.assertFalse([line for line in alert._lines() if len(line.splitlines()) != 1])

    def test_a_message_takes_no_markup_from_a_server(self):
        self._make_channel("mail")
        self._fail(error="<script>alert(1)</script>")
        self.assertNotIn("<script>", self._mails().body_html)

    def test_an_activity_is_put_on_the_instance_and_done_when_it_is_over(self):
        self._make_channel("activity")
        self._fail()
        activity = self.instance.activity_ids
        self.assertRecordValues(
            activity, [{"user_id": self.user.id, "summary": "Backup failed: Shop / sales"}]
        )
        self.assertIn("It did not work.", activity.note)
        self.assertFalse(self.env["mail.mail"].search([("res_id", "=", self.instance.id),
                                                       ("model", "=", "backup.instance")]))
        self._succeed()
        self.assertFalse(self.instance.activity_ids)
        self.assertIn("good again", str(self.instance.message_ids.mapped("body")))

    def test_an_activity_of_two_incidents_is_done_with_the_second(self):
        self._make_channel("activity")
        self._fail(look=False)
        self._fail(database="stock", look=False)
        self._look()
        self.assertEqual(len(self.instance.activity_ids), 1)
        self._succeed()
        self.assertEqual(len(self.instance.activity_ids), 1)
        self._succeed(database="stock")
        self.assertFalse(self.instance.activity_ids)

    def test_a_template_that_was_deleted_is_named_with_what_brings_it_back(self):
        channel = self._make_channel("mail")
        self.env.ref("backup_scheduler.mail_template_alert").unlink()
        with mute_logger(DELIVERY_LOGGER):
            self._fail()
        self.assertIn("template of these messages was deleted", channel.last_error)

    def test_a_channel_that_breaks_fails_neither_the_run_nor_the_others(self):
        self._make_channel("mail")
        self._make_channel("activity")
        with patch.object(
            type(self.Alert), "_make_mail", side_effect=ValueError("broken")
        ), mute_logger(DELIVERY_LOGGER):
            run = self._fail()
        self.assertEqual(run.status, "failed")
        self.assertTrue(self.instance.activity_ids)
        broken = self.Alert.search([("channel_id.kind", "=", "mail")])
        self.assertRecordValues(broken, [{"state": "pending", "error": "ValueError: broken"}])
        self.assertEqual(broken.channel_id.status, "error")

    def test_the_digest_tells_how_all_instances_stand(self):
        channel = self._make_channel("mail", weekly_digest=True)
        self._succeed()
        self._fail(database="stock")
        self._mails().unlink()
        self.Channel._cron_digest()
        self._look()
        mail = self._mails().filtered(lambda one: one.subject.startswith("Backups since"))
        self.assertEqual(len(mail), 1)
        for part in ("Shop", "Open incidents", "It did not work.", "5.0 kB"):
            self.assertIn(part, mail.body_html)
        digest = channel._digest(self.instance.company_id)
        row = next(row for row in digest["rows"] if row["instance"] == "Shop")
        self.assertEqual((row["good"], row["failed"], row["protected"]), (1, 1, 1))

    def test_the_digest_names_servers_of_which_no_database_is_known(self):
        self._make_instance("Never Asked", company_id=self.instance.company_id.id)
        self._make_channel("mail", weekly_digest=True)
        self._mails().unlink()
        self.Channel._cron_digest()
        self._look()
        self.assertRegex(
            self._mails().body_html, r"(?s)Never Asked\s*<div[^>]*>No database is known"
        )
        self.assertEqual(self._mails().body_html.count("No database is known"), 1)

    def test_a_digest_goes_to_channels_alone_that_have_it_switched_on(self):
        self._make_channel("mail")
        self.Channel._cron_digest()
        self.assertFalse(self.Alert.search([("event", "=", "digest")]))

    def test_the_digest_costs_the_same_for_many_databases(self):
        channel = self._make_channel("mail")

        def cost():
            self.env.flush_all()
            self.env.invalidate_all()
            before = self.env.cr.sql_log_count
            channel._digest(self.instance.company_id)
            return self.env.cr.sql_log_count - before

        cost()
        few = cost()
        self.env["backup.database"].create(
            [{"instance_id": self.instance.id, "name": f"more-{n}"} for n in range(200)]
        )
        self.assertLessEqual(cost(), few + 2)


class TestNeutralizedAlerts(BackupCase):
    def test_a_copy_of_this_database_tells_nobody(self):
        job = self._make_job(max_attempts=1)
        job.ping_url = "https://hc-ping.com/hush"
        channel = self.env["backup.alert.channel"].create(
            {"name": "Hook", "kind": "webhook", "url": "https://hooks.example.com/hush"}
        )
        run = self._running(job=job)
        self._report(run, failure(retryable=False))
        self.dispatcher._watch_runs()
        self.assertTrue(self.env["backup.alert"].search([("state", "=", "pending")]))
        self.env.flush_all()
        with file_open("backup_scheduler/data/neutralize.sql") as file:
            self.env.cr.execute(file.read())
        self.env.invalidate_all()
        self.assertFalse(self.env["backup.alert"].search([("state", "=", "pending")]))
        self.assertFalse(self.env["backup.alert.channel"].search([]))
        self.assertFalse(channel.sudo().url_sealed)
        self.assertFalse(job.sudo().ping_url_sealed)
        self.assertFalse(self.env.ref("backup_scheduler.ir_cron_digest").active)
