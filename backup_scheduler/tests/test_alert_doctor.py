from unittest.mock import patch

from .common import ago
from .test_incidents import IncidentCase


class TestAlertDoctor(IncidentCase):
    def _problems(self):
        return [
            one["problem"]
            for one in self.env["backup.doctor"]._examine_channels()
            if one["check"] == "alerts"
        ]

    def test_a_channel_that_works_is_no_problem(self):
        self.assertEqual(self._problems(), [])

    def test_a_failing_channel_is_one(self):
        self.channel.last_error = "404 Not Found\nCheck."
        self.assertEqual(self._problems(), ["Alert channel “Hook”: 404 Not Found"])

    def test_a_channel_that_is_sent_elsewhere_is_neither_working_nor_failing(self):
        for result in ({"last_sent_at": ago(hours=1)}, {"last_error": "404 Not Found"}):
            self.channel.write({"last_sent_at": False, "last_error": False, **result})
            self.channel.name = "Another name"
            self.assertNotEqual(self.channel.status, "new")
            self.channel.url = "https://hooks.example.com/elsewhere"
            self.assertEqual(self.channel.status, "new")

    def test_failing_pings_are_one(self):
        self.job.ping_error = "Refused.\nCheck."
        self.assertIn("Refused.", self._problems()[0])

    def test_pings_of_a_job_that_makes_no_backups_any_more_are_none(self):
        self.job.ping_error = "Refused.\nCheck."
        self.job.enabled = False
        self.assertEqual(self._problems(), [])
        self.job.enabled = True
        self.instance.active = False
        self.assertEqual(self._problems(), [])

    def test_no_channel_at_all_is_one(self):
        self.channel.active = False
        self.assertIn("there is no alert channel", self._problems()[0])

    def test_scheduled_actions_that_are_off_or_deleted_are_each_one(self):
        doctor = self.env["backup.doctor"]
        mail = self.channel.create({"name": "Mail", "kind": "mail", "weekly_digest": True})
        self.assertEqual(doctor._examine_watch(), [])
        for name, words in (("ir_cron_watch", "late backups"), ("ir_cron_digest", "digest")):
            action = self.env.ref(f"backup_scheduler.{name}")
            for change in (lambda action: action.write({"active": False}), type(action).unlink):
                change(action)
                self.assertIn(words, doctor._examine_watch()[-1]["problem"])
        self.assertEqual(len(doctor._examine_watch()), 2)
        mail.weekly_digest = False
        self.assertEqual(len(doctor._examine_watch()), 1)

    def test_mails_that_could_not_be_sent_are_one(self):
        alert = self.Alert._make_test(self.channel)
        self.env["mail.mail"].create(
            {
                "model": "backup.alert",
                "res_id": alert.id,
                "state": "exception",
                "body_html": "x",
            }
        )
        self.assertIn("“Hook”: 1 of its mails", self._problems()[0])


class TestBanner(IncidentCase):
    """What pages say of alerts that do not get through, while every backup goes on."""

    def _shown(self, group="user", **values):
        doctor = self.env["backup.doctor"].with_user(self._user(group, **values))
        health = doctor.health()
        return [one for one in health["problems"] if one["check"] == "alerts"]

    def test_a_failing_channel_is_shown_to_whoever_looks_with_the_way_to_it(self):
        self.assertEqual(self._shown(), [])
        self.channel.last_error = "404 Not Found\nCheck the address."
        (found,) = self._shown(email="a@example.com")
        self.assertEqual(found["problem"], "Alert channel “Hook”: 404 Not Found")
        self.assertEqual(found["hint"], "Check the address.")
        self.assertEqual(
            found["record"],
            {"model": "backup.alert.channel", "id": self.channel.id, "name": "Hook"},
        )

    def test_the_overview_shows_it_and_the_dispatcher_is_none_the_worse(self):
        self.channel.last_error = "404 Not Found"
        doctor = self.env["backup.doctor"]
        with patch.object(type(doctor), "_examine_cron", return_value=[]):
            self.assertTrue(doctor.health()["ok"])
        shown = self.env["backup.overview"].load()["health"]
        self.assertIn("404 Not Found", str(shown))

    def test_channels_of_other_companies_and_those_switched_off_are_not_shown(self):
        self.channel.last_error = "404 Not Found"
        self.channel.company_id = self.env["res.company"].create({"name": "Other"})
        self.assertEqual(self._shown(), [])
        self.channel.write({"company_id": False, "active": False, "last_error": "404"})
        self.assertEqual(self._shown(email="a@example.com"), [])

    def test_many_failing_channels_are_counted(self):
        for number in range(5):
            self.Channel.create({"name": f"Channel {number}"}).last_error = "Gone."
        shown = self._shown()
        self.assertEqual(len(shown), 4)
        self.assertIn("channels that fail: 2", shown[-1]["problem"])

    def test_pings_of_all_jobs_that_fail_are_one_line(self):
        second = self._make_job(name="Hourly", cron_expression="0 * * * *")
        (self.job + second).ping_error = "Refused.\nCheck."
        (found,) = self._shown()
        self.assertIn("Pings of 2 jobs fail", found["problem"])
        self.assertEqual(found["record"]["model"], "backup.job")

    def test_mails_that_were_refused_are_shown_on_their_channel_for_a_week(self):
        alert = self.Alert._make_test(self.channel)
        values = {"model": "backup.alert", "res_id": alert.id, "state": "exception"}
        mails = self.env["mail.mail"].create([values, values])
        (found,) = self._shown()
        self.assertIn("2 of its mails could not be sent", found["problem"])
        self.assertEqual(found["record"]["id"], self.channel.id)
        mails.date = ago(days=8)
        self.assertEqual(self._shown(email="a@example.com"), [])
