from unittest.mock import patch

from odoo.tools import mute_logger

from .test_incidents import INCIDENT_LOGGER, IncidentCase


class TestLateIncidents(IncidentCase):
    def test_a_database_is_late_although_nothing_ran_at_all(self):
        self._make_late()
        self._look(late=True)
        incident = self._open(database_name="sales")
        self.assertEqual(incident.kind, "late")
        self.assertIn("The last good archive is of", incident.error)

    def _look_where(self, method, broken):
        """Look where one database's incident breaks in a method."""
        work = getattr(type(self.Incident), method)

        def break_for_one(incident, *arguments):
            if broken in (incident[:1].database_name, *(one.name for one in arguments[:1])):
                raise ValueError("broken")
            return work(incident, *arguments)

        with patch.object(type(self.Incident), method, break_for_one), mute_logger(
            INCIDENT_LOGGER
        ):
            self._look(late=True)

    def test_one_that_cannot_be_told_of_hides_no_other(self):
        self._make_late()
        self._make_late("stock")
        self._look_where("_see_late", "sales")
        self.assertEqual(self._open().mapped("database_name"), ["stock"])
        self.assertEqual(len(self.Alert.search([])), 1)
        self._look(late=True)
        self.assertEqual(len(self._open()), 2)

    def test_one_that_cannot_be_closed_comes_again_and_stops_no_other(self):
        self._make_late()
        self._look(late=True)
        self._send_all()
        sales = self._open(database_name="sales")
        stock = self._open(database_name="stock")
        self.assertTrue(sales and stock)
        new = self.env["backup.database"].create(
            {"instance_id": self.instance.id, "name": "new"}
        )
        self._sql("UPDATE backup_database SET create_date = now() - interval '90 days'")
        self._stored("sales", self.job)
        self._stored("stock", self.job)
        self._look_where("_end_activities", "sales")
        self.assertEqual((sales.state, stock.state), ("open", "recovered"))
        self.assertEqual(self._open(database_name=new.name).kind, "late")
        told = self.Alert.search([("event", "=", "recovered")])
        self.assertEqual(told.incident_ids, stock)
        self._look(late=True)
        self.assertEqual(sales.state, "recovered")

    def test_what_was_promised_is_told_in_hours_or_days(self):
        for hours, told in ((2, "2 hours"), (30, "30 hours"), (192, "8 days"), (60, "2.5 days")):
            self.assertEqual(self.Incident._span_in_words(hours * 3600), told)

    def test_it_is_told_once_and_ends_with_a_good_archive(self):
        self._make_late()
        for _count in range(3):
            self._look(late=True)
        self._send_all()
        incident = self._open(database_name="sales")
        self._stored(job=self.job)
        self._look(late=True)
        self.assertEqual(incident.state, "recovered")
        self.assertEqual(
            incident.alert_ids.mapped("event"), ["recovered", "opened"]
        )

    def test_a_good_run_has_the_stands_looked_at_at_once(self):
        cron = self.env.ref("backup_scheduler.ir_cron_watch")
        triggers = self.env["ir.cron.trigger"]
        self._succeed()
        self.assertNotIn(cron, triggers.search([]).cron_id)
        self._make_late()
        self._look(late=True)
        self._succeed()
        self.assertIn(cron, triggers.search([]).cron_id)

    def test_switching_the_jobs_off_ends_it_without_a_word(self):
        self._make_late()
        self._look(late=True)
        self._send_all()
        incident = self._open(database_name="sales")
        self.job.enabled = False
        self._look(late=True)
        self.assertEqual(incident.state, "withdrawn")
        self.assertEqual(incident.alert_ids.mapped("event"), ["opened"])

    def test_a_database_that_is_gone_ends_it_without_a_word(self):
        self._make_late()
        self._look(late=True)
        incident = self._open(database_name="sales")
        self.instance.database_ids.filtered(lambda one: one.name == "sales").present = False
        self._look(late=True)
        self.assertEqual(incident.state, "withdrawn")

    def test_a_job_that_begins_anew_leaves_it_open(self):
        self._make_late()
        self._look(late=True)
        self.job.cron_expression = "0 3 * * *"
        self._look(late=True)
        self.assertTrue(self._open(database_name="sales"))

    def test_the_look_costs_the_same_for_many_databases(self):
        def cost():
            self.env.flush_all()
            self.env.invalidate_all()
            before = self.env.cr.sql_log_count
            self.Incident._look_at_protection()
            return self.env.cr.sql_log_count - before

        few = cost()
        self.env["backup.database"].create(
            [{"instance_id": self.instance.id, "name": f"more-{n}"} for n in range(200)]
        )
        self.assertLessEqual(cost(), few + 2)
