import copy
import datetime
import xmlrpc.client
from unittest.mock import patch

import pytz

from odoo import fields
from odoo.api import Environment
from odoo.exceptions import AccessError, UserError
from odoo.tests import Form, freeze_time, tagged

from ..models.overview.backup_overview_days import start_of, window
from .common import BackupCase, ago, failure

HOUR = 3600
NOON = "2026-06-15 12:00:00"
at = fields.Datetime.to_datetime


class OverviewCase(BackupCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.env.user.tz = "UTC"
        cls.sales, cls.stock = cls.instance.database_ids.sorted("name")

    def _load(self, user=None, **context):
        self.env.flush_all()
        self.env.invalidate_all()
        overview = self.env["backup.overview"]
        return overview.with_user(user or self.env.user).with_context(**context).load()

    def _row(self, name="sales", answer=None):
        (instance,) = [
            one for one in (answer or self._load())["instances"] if one["id"] == self.instance.id
        ]
        return next(row for row in instance["databases"] if row["name"] == name)

    def _known_since(self, **duration):
        """Have the databases be known for so long, and what is promised count from then."""
        self._sql("UPDATE backup_database SET create_date = %s", ago(**duration))
        self._sql("UPDATE backup_job SET promised_since = %s", ago(**duration))

    def _run(self, status, scheduled_at, job, database="sales", **values):
        """Return a run that ended so, ten minutes after its fire."""
        run = self.Run._create_for(job, [database], scheduled_at, "manual")
        ended = {"finished_at": scheduled_at + datetime.timedelta(minutes=10)}
        run.write({"status": status, **(ended if status != "running" else {}), **values})
        if status in ("success", "verified"):
            run.copy_ids._mark_stored({"size": run.size, "sha256": "", "encryption": ""})
        return run


@tagged("post_install", "-at_install")
class TestOverview(OverviewCase):
    def test_each_database_is_told_with_its_state(self):
        job = self._make_job(database_scope="selected", database_ids=self.sales.ids)
        self.assertEqual(self._row()["state"], "pending")
        self.assertEqual(self._row("stock")["state"], "unprotected")
        run = self._stored(job=job)
        self._known_since(days=60)
        row = self._row()
        self.assertEqual((row["state"], row["last_good_run_id"]), ("protected", run.id))
        self.assertEqual(row["last_good_at"], fields.Datetime.to_string(run.finished_at))
        self.assertEqual((row["promise"], row["job_ids"]), (30 * HOUR, job.ids))
        run.finished_at = ago(hours=40)
        self.assertEqual(self._row()["state"], "late")
        self._gone("stock")
        self.assertEqual(self._row()["state"], "absent")

    def test_the_answer_is_what_xmlrpc_can_carry_also_of_archives_of_many_gigabytes(self):
        job = self._make_job()
        self._stored(job=job).size = 10e12
        self._run("verified", ago(days=1), job, size=9e12)
        answer = self._load()
        self.assertEqual(self._row(answer=answer)["sizes"], [9e12, 10e12])
        xmlrpc.client.dumps((answer,), methodresponse=True, allow_none=False)

    def test_the_totals_count_what_the_rows_say(self):
        before = self._load()["totals"]
        job = self._make_job(database_scope="selected", database_ids=self.sales.ids)
        self._stored(job=job)
        self._run("failed", ago(minutes=-1), job)
        totals = self._load()["totals"]
        changes = {key: totals[key] - before[key] for key in ("protected", "failing", "copies")}
        self.assertEqual(changes, {"protected": 1, "failing": 1, "copies": 1})
        self.assertEqual(totals["unprotected"], before["unprotected"] - 1)
        self.assertLessEqual(totals["next_run_at"], fields.Datetime.to_string(job.next_run_at))

    def test_a_server_of_which_nothing_is_known_is_named(self):
        empty = self._make_instance("Never Asked")
        self._make_job(instance_id=empty.id)
        gone = self._make_instance("Moved", ["old"])
        self.assertIn("Never Asked", self._load()["totals"]["empty"])
        self.assertNotIn("Moved", self._load()["totals"]["empty"])
        gone.database_ids.present = False
        self.assertIn("Moved", self._load()["totals"]["empty"])
        self.assertNotIn(self.instance.name, self._load()["totals"]["empty"])
        empty.active = False
        self.assertNotIn("Never Asked", self._load()["totals"]["empty"])

    def test_what_else_keeps_the_page_from_being_green_is_counted(self):
        before = self._load()["totals"]
        self.instance.check_status = "error"
        self.env["backup.incident"].create(
            {"kind": "failed", "instance_id": self.instance.id, "database_name": "sales",
             "opened_at": ago(hours=1)}
        )  # fmt: skip
        totals = self._load()["totals"]
        self.assertEqual(set(totals["unreachable"]) - set(before["unreachable"]),
                         {self.instance.name})  # fmt: skip
        self.assertEqual(totals["incidents"] - before["incidents"], 1)

    def test_a_database_fails_while_its_last_attempt_did_not_go_well(self):
        job = self._make_job()
        self.assertFalse(self._row()["failure"])
        run = self._make_run(job=job)
        run._mark_failed(failure("no_space", retryable=False))
        run.finished_at = ago(minutes=5)
        told = self._row()["failure"]
        self.assertEqual((told["run_id"], told["error_code"]), (run.id, "no_space"))
        self.assertEqual((told["error"], told["hint"]), ("It did not work.", "Mend it."))
        self.assertFalse(self._row("stock")["failure"])
        self._run("verified", ago(minutes=20), job).finished_at = ago(minutes=1)
        self.assertFalse(self._row()["failure"])

    def test_a_server_that_cannot_be_reached_fails_all_databases_of_the_job(self):
        job = self._make_job(database_scope="selected", database_ids=self.sales.ids)
        self._sql("UPDATE backup_database SET create_date = %s", ago(days=2))
        run = self._run("failed", ago(hours=1), job, "", error="It is down.")
        self.assertEqual(self._row()["failure"]["run_id"], run.id)
        self.assertEqual(self._row()["strip"]["kinds"][-2:].strip("-"), "f")
        self.assertFalse(self._row("stock")["failure"])
        self.assertNotIn("f", self._row("stock")["strip"]["kinds"])

    def test_a_failure_of_what_nobody_backs_up_any_more_is_none_of_today(self):
        job = self._make_job()
        self._run("failed", ago(minutes=20), job)
        self.assertTrue(self._row()["failure"])
        job.enabled = False
        self.assertFalse(self._row()["failure"])

    def test_the_trend_is_of_archives_made_alike_oldest_first(self):
        job = self._make_job()
        for days, size in ((3, 100), (2, 120), (1, 150)):
            self._run("verified", ago(days=days), job, size=size)
        self._run("verified", ago(days=2), job, size=7, archive_format="dump")
        self._run("failed", ago(days=2), job, size=9)
        self.assertEqual(self._row()["sizes"], [100, 120, 150])
        self.assertEqual(self._row()["size"], 150)
        self.assertEqual(self._row("stock")["sizes"], [])

    def test_what_goes_on_is_told_with_its_progress(self):
        run = self._running()
        run.write({"stage": "download", "progress": 42})
        self._make_run("sales", run.job_id)
        self._make_run("stock", run.job_id)
        self.env.flush_all()
        answer = self.env["backup.overview"].active()
        mine = {
            one["database"]: one
            for one in answer["active"]
            if one["instance_id"] == self.instance.id
        }
        self.assertEqual((mine["sales"]["id"], mine["sales"]["progress"]), (run.id, 42))
        self.assertEqual((mine["sales"]["stage"], mine["sales"]["status"]), ("download", "running"))
        self.assertEqual(mine["stock"]["status"], "queued")
        self.assertEqual((answer["running"], answer["queued"]), (1, 2))

    def test_destinations_are_told_with_what_they_hold(self):
        self._stored(job=self._make_job())
        (vault,) = [one for one in self._load()["destinations"] if one["id"] == self.destination.id]
        self.assertEqual((vault["copies"], vault["bytes"]), (1, 5000))
        self.destination.active = False
        self.assertIn(self.destination.id, [one["id"] for one in self._load()["destinations"]])

    def test_an_archived_instance_is_not_on_the_page(self):
        self._make_run(job=self._make_job())
        self.instance.active = False
        answer = self._load()
        self.assertNotIn(self.instance.id, [one["id"] for one in answer["instances"]])
        self.assertNotIn(self.instance.id, [one["instance_id"] for one in answer["active"]])

    def test_the_page_says_when_nothing_dispatches(self):
        cron = self.env.ref("backup_scheduler.ir_cron_dispatch")
        cron.active = False
        self.assertEqual([one["check"] for one in self._load()["health"]], ["cron"])

    def test_the_number_of_queries_does_not_grow(self):
        def queries():
            self._load()
            self.env.flush_all()
            self.env.invalidate_all()
            before = self.env.cr.sql_log_count
            self.env["backup.overview"].load()
            return self.env.cr.sql_log_count - before

        job = self._make_job()
        self._run("verified", ago(days=1), job)
        self._run("failed", ago(hours=1), job, "stock", error="It is down.")
        queries()
        few = queries()
        for number in range(10):
            instance = self._make_instance(f"S{number}", [f"d{count}" for count in range(5)])
            job = self._make_job(
                instance_id=instance.id,
                database_scope="selected",
                database_ids=instance.database_ids.ids,
            )
            for database in instance.database_ids.mapped("name"):
                self._run("verified", ago(days=2), job, database, size=5)
                self._run("failed", ago(days=1), job, database, error="It is down.")
        self.assertEqual(queries(), few)


@tagged("post_install", "-at_install")
@freeze_time(NOON)
class TestStrips(OverviewCase):
    def setUp(self):
        super().setUp()
        self.job = self._make_job()
        self._known_since(days=90)

    def _kinds(self, **context):
        return self._row(answer=self._load(**context))["strip"]["kinds"]

    def test_a_day_shows_what_counts_most(self):
        cases = (
            ((), "-"),
            (("verified",), "v"),
            (("success",), "s"),
            (("failed",), "f"),
            (("verify_failed",), "f"),
            (("cancelled",), "c"),
            (("skipped",), "k"),
            (("success", "verified", "failed"), "v"),
            (("failed", "success"), "s"),
            (("cancelled", "skipped", "failed"), "f"),
            (("verified", "running"), "r"),
            (("verified", "queued"), "r"),
        )
        for statuses, letter in cases:
            with self.subTest(statuses):
                self._sql("DELETE FROM backup_run")
                for status in statuses:
                    self._run(status, ago(days=2), self.job)
                self.assertEqual(self._kinds(), "-" * 27 + letter + "--")

    def test_the_runs_of_a_day_are_counted_where_there_are_several(self):
        for status in ("failed", "failed", "verified"):
            self._run(status, ago(days=1), self.job)
        self._run("verified", ago(hours=1), self.job)
        strip = self._row()["strip"]
        self.assertEqual(strip["kinds"][-2:], "vv")
        self.assertEqual(strip["counts"], {"28": {"failed": 2, "verified": 1}})

    def test_older_runs_and_those_of_other_databases_are_not_shown(self):
        self._run("verified", ago(days=31), self.job)
        self._run("verified", ago(days=1), self.job, "stock")
        self.assertEqual(self._kinds(), "-" * 30)

    def test_days_are_those_of_the_users_time_zone(self):
        self._run("verified", at("2026-06-13 23:30:00"), self.job)
        for zone, letters in (
            ("UTC", "-v--"),
            ("Europe/Berlin", "--v-"),
            ("Asia/Tokyo", "--v-"),
            ("America/New_York", "-v--"),
        ):
            with self.subTest(zone):
                # Noon in UTC is the 15th in all of them.
                kinds = self._kinds(tz=zone)
                self.assertEqual(kinds[-4:], letters)

    def test_a_zone_that_postgresql_does_not_know_by_name_is_no_obstacle(self):
        """Systems leave out old names such as Asia/Calcutta, which browsers still send."""
        zone = copy.copy(pytz.timezone("Asia/Kolkata"))
        zone.zone = "Asia/Nowhere"
        self._run("verified", ago(days=1), self._make_job())
        expected = self._kinds(tz="Asia/Kolkata")
        with patch.object(Environment, "tz", zone):
            self.assertEqual(self._kinds(), expected)
        self.assertIn("v", expected)

    def test_missed_fires_are_marked_on_each_day_on_which_the_job_was_due(self):
        self.job.write({"cron_expression": "0 2 * * *", "catch_up": False})
        self._known_since(days=90)
        self._make_due(self.job, at("2026-06-10 02:00:00"))
        self.job._plan_fire(fields.Datetime.now())
        self.assertEqual(self._kinds()[-8:], "--mmmmmm")

    def test_days_on_which_nothing_was_due_are_not_missed(self):
        # 10, 12 and 15 June 2026 were a Wednesday, a Friday and a Monday.
        self.job.write({"cron_expression": "0 2 * * mon,wed,fri", "catch_up": False})
        self._known_since(days=90)
        self._make_due(self.job, at("2026-06-10 02:00:00"))
        self.job._plan_fire(fields.Datetime.now())
        self.assertEqual(self._kinds()[-8:], "--m-m--m")

    def test_a_late_run_that_caught_up_leaves_the_days_before_it_missed(self):
        self.job.write({"cron_expression": "0 2 * * *", "catch_up": True})
        self._known_since(days=90)
        self._make_due(self.job, at("2026-06-12 02:00:00"))
        self.job._plan_fire(fields.Datetime.now())
        self.job.run_ids.write({"status": "verified", "finished_at": fields.Datetime.now()})
        self.assertEqual(self._kinds()[-5:], "-mmmv")

    def test_nothing_was_missed_before_the_database_was_known(self):
        self.job.write({"cron_expression": "0 2 * * *", "catch_up": False})
        self._known_since(days=2)
        self._make_due(self.job, at("2026-06-10 02:00:00"))
        self.job._plan_fire(fields.Datetime.now())
        self.assertEqual(self._kinds()[-8:], "------mm")


@tagged("post_install", "-at_install")
class TestDays(BackupCase):
    def test_a_day_lasts_from_its_first_moment_to_that_of_the_next(self):
        cases = (
            ("UTC", datetime.date(2026, 6, 15), "2026-06-15 00:00:00", 24),
            # Clocks go forward and back at night: 23 and 25 hours.
            ("Europe/Berlin", datetime.date(2026, 3, 29), "2026-03-28 23:00:00", 23),
            ("Europe/Berlin", datetime.date(2026, 10, 25), "2026-10-24 22:00:00", 25),
            # At midnight itself: the day begins at 01:00, or at the first of two midnights.
            ("America/Sao_Paulo", datetime.date(2018, 11, 4), "2018-11-04 03:00:00", 23),
            ("America/Havana", datetime.date(2020, 11, 1), "2020-11-01 04:00:00", 25),
            ("Asia/Kathmandu", datetime.date(2026, 6, 15), "2026-06-14 18:15:00", 24),
        )
        for name, date, start, hours in cases:
            with self.subTest(name, date=date):
                zone = pytz.timezone(name)
                first = start_of(date, zone)
                self.assertEqual(fields.Datetime.to_string(first), start)
                following = start_of(date + datetime.timedelta(days=1), zone)
                self.assertEqual(following - first, datetime.timedelta(hours=hours))

    @freeze_time("2026-06-15 22:30:00")
    def test_the_last_day_is_today_where_the_user_is(self):
        for name, date in (("UTC", (2026, 6, 15)), ("Europe/Berlin", (2026, 6, 16))):
            days = window(pytz.timezone(name))
            self.assertEqual((len(days), days[-1].date), (30, datetime.date(*date)))
            self.assertTrue(days[-1].start <= fields.Datetime.now() < days[-1].end)
            for day, following in zip(days, days[1:], strict=False):
                self.assertEqual(day.end, following.start)


@tagged("post_install", "-at_install")
class TestOverviewAccess(OverviewCase):
    def test_who_has_nothing_to_do_with_backups_learns_nothing(self):
        overview = self.env["backup.overview"].with_user(self._user(None))
        for method in ("load", "active"):
            with self.assertRaises(AccessError):
                getattr(overview, method)()

    def test_the_page_knows_what_its_user_may_do(self):
        for group, rights in (
            ("user", (False, False)),
            ("operator", (True, False)),
            ("manager", (True, True)),
        ):
            with self.subTest(group):
                answer = self._load(self._user(group))
                told = answer["rights"]
                self.assertEqual((told["operator"], told["manager"]), rights)

    def test_other_companies_are_not_told_of(self):
        other = self.env["res.company"].create({"name": "Other"})
        foreign = self._make_instance("Foreign", ["secret"], company_id=other.id)
        place = self._make_destination("Foreign Vault", company_id=other.id)
        job = self._make_job(instance_id=foreign.id, destination_ids=[(6, 0, place.ids)])
        self._running("secret", job=job)
        self._run("verified", ago(days=1), job, "secret", size=10)
        user = self._user("user")
        mine = self._load(user)
        self.assertNotIn(foreign.id, [one["id"] for one in mine["instances"]])
        self.assertNotIn(place.id, [one["id"] for one in mine["destinations"]])
        self.assertNotIn(foreign.id, [one["instance_id"] for one in mine["active"]])
        self.assertEqual(mine["running"], 0)
        user.company_ids = [(4, other.id)]
        both = self._load(user, allowed_company_ids=(self.env.company + other).ids)
        self.assertIn(foreign.id, [one["id"] for one in both["instances"]])
        self.assertIn(place.id, [one["id"] for one in both["destinations"]])
        self.assertEqual(both["running"], 1)
        self.assertEqual(both["totals"]["copies"] - mine["totals"]["copies"], 1)


@tagged("post_install", "-at_install")
class TestSetUp(OverviewCase):
    def test_only_managers_are_led_to_it(self):
        overview = self.env["backup.overview"]
        with self.assertRaises(AccessError):
            overview.with_user(self._user("operator")).action_set_up()
        self.assertTrue(overview.with_user(self._user("manager")).action_set_up()["res_model"])

    def test_it_begins_with_the_database_that_is_to_be_protected(self):
        action = self.env["backup.overview"].action_set_up(self.instance.id, self.sales.ids)
        self.assertEqual(action["context"]["default_database_names"], ["sales"])
        setup = Form(self.env[action["res_model"]].with_context(**action["context"]))
        self.assertEqual(setup.instance_id, self.instance)


@tagged("post_install", "-at_install")
class TestRunDatabaseNow(OverviewCase):
    def test_only_that_database_is_backed_up_by_each_job_that_covers_it(self):
        jobs = self._make_job() + self._make_job(name="Hourly", cron_expression="0 * * * *")
        self._make_job(name="Off", enabled=False)
        self._make_job(name="Other", database_scope="selected", database_ids=self.stock.ids)
        runs = self.Run.browse(self.sales.run_now())
        self.assertEqual(set(runs.mapped("database_name")), {"sales"})
        self.assertEqual(runs.job_id, jobs)
        self.assertEqual(set(runs.mapped("trigger")), {"manual"})

    def test_a_database_without_a_job_cannot_be_run(self):
        with self.assertRaises(UserError):
            self.sales.run_now()

    def test_only_operators_may_run_it(self):
        self._make_job()
        with self.assertRaises(AccessError):
            self.sales.with_user(self._user("user")).run_now()
        self.assertTrue(self.sales.with_user(self._user("operator")).run_now())
