import datetime
import re
import xmlrpc.client
from unittest.mock import patch

from odoo.exceptions import AccessError, ValidationError
from odoo.tests import Form

from ..engine.retention import PERIODS, Reason
from ..models.job.backup_job_retention import REASONS
from .test_retention import LAST_TWO, RetentionCase

WIZARD = "odoo.addons.backup_scheduler.wizard.backup_retention_preview"


class TestPreviewRetention(RetentionCase):
    def test_the_preview_is_what_xmlrpc_can_carry_and_changes_nothing(self):
        nights = self._nights(3)
        nights[0].pinned = True
        self.job.write({**LAST_TWO, "retention_value": 1, "timezone": "Europe/Paris"})
        preview = self.job.preview_retention()
        xmlrpc.client.dumps((preview,), methodresponse=True, allow_none=False)
        self.assertEqual([line["run_id"] for line in preview], nights[::-1].ids)
        self.assertEqual([line["keep"] for line in preview], [True, False, True])
        self.assertEqual([line["pinned"] for line in preview], [False, False, True])
        newest = preview[0]
        self.assertEqual(newest["database"], "sales")
        self.assertEqual(newest["reasons"], ["Among the newest: number 1 of 1."])
        self.assertEqual(newest["size"], 1000)
        moment = datetime.datetime.fromisoformat(newest["scheduled_at"])
        self.assertIn(moment.utcoffset(), [datetime.timedelta(hours=hours) for hours in (1, 2)])
        moment = moment.astimezone(datetime.timezone.utc).replace(tzinfo=None)
        self.assertEqual(moment, nights[2].scheduled_at)
        self.assertFalse(self._to_go(nights))

    def test_a_policy_that_is_not_saved_can_be_tried(self):
        self._nights(4)
        before = self.job._retention_values()
        preview = self.job.preview_retention({"retention_mode": "older_than_days",
                                              "retention_value": 2, "retention_floor": 3})
        self.assertEqual([line["keep"] for line in preview], [True, True, True, False])
        self.assertEqual(preview[3]["reasons"], ["Older than 2 days."])
        self.assertEqual(self.job._retention_values(), before)

    def test_what_is_wrong_is_told_with_its_field(self):
        cases = (
            ({"retention_mode": "burn"}, "Retention: choose one of .*retention_mode is 'burn'"),
            ({"retention_mode": False}, "retention_mode is False"),
            ({**LAST_TWO, "retention_value": "2"}, "retention_value is '2'"),
            ({**LAST_TWO, "retention_value": None}, "retention_value is None"),
            ({**LAST_TWO, "retention_value": 1.5}, "retention_value is 1.5"),
            ({"retention_floor": 0}, "retention_floor is 0"),
            ({"retention_days": 3}, "retention_days: no such field"),
            (["keep_all"], "policy: list is not a table of names and values"),
        )
        for policy, complaint in cases:
            with self.subTest(policy), self.assertRaisesRegex(ValidationError, complaint):
                self.job.preview_retention(policy)

    def test_what_is_previewed_is_what_is_applied(self):
        nights = self._nights(20) + self._nights(9, database="stock")
        self.job.write({"retention_mode": "gfs", "retention_daily": 3, "retention_weekly": 2})
        preview = self.job.preview_retention()
        self.job._apply_retention()
        gone = {line["run_id"] for line in preview if not line["keep"]}
        self.assertEqual(set(self._to_go(nights).ids), gone)
        self.assertTrue(gone)

    def test_each_reason_of_the_engine_has_its_sentence(self):
        self.job.write({"retention_mode": "gfs", "retention_hourly": 1, "retention_yearly": 1})
        self._archived(-5)
        self._archived(1)
        told = {code for line in self.job.preview_retention() for code in line["reasons"]}
        self.assertIn("Dated in the future: the clock was wrong.", told)
        documented = set(re.findall(r"``([a-z_]+)``", Reason.__doc__)) - {"code", "number", "limit"}
        # A range is documented by its ends.
        self.assertEqual(REASONS.keys(), documented | PERIODS.keys())

    def test_the_reasons_are_told_in_the_language_of_the_user(self):
        self.env["res.lang"]._activate_lang("fr_FR")
        self._archived(1)
        with patch("odoo.tools.translate.CodeTranslations.get_python_translations") as french:
            french.return_value = {"Everything is kept.": "Tout est gardé."}
            (line,) = self.job.with_context(lang="fr_FR").preview_retention()
        self.assertEqual(line["reasons"], ["Tout est gardé."])

    def test_users_may_ask_and_strangers_may_not(self):
        self._archived(1)
        user, stranger = self._user("user"), self._user("")
        self.assertEqual(len(self.job.with_user(user).preview_retention()), 1)
        with self.assertRaises(AccessError):
            self.job.with_user(stranger).preview_retention()


class TestRetentionScreen(RetentionCase):
    def _open(self, user="manager"):
        action = self.job.action_preview_retention()
        wizards = self.env[action["res_model"]].with_context(**action["context"])
        return wizards.with_user(self._user(user))

    def test_it_begins_with_the_policy_of_the_job_and_follows_each_change(self):
        self._nights(3)
        self.job.write({**LAST_TWO, "retention_floor": 2})
        form = Form(self._open())
        self.assertEqual((form.retention_value, form.retention_floor), (2, 2))
        self.assertEqual((form.kept_count, form.deleted_count), (2, 1))
        form.retention_floor = 1
        form.retention_value = 1
        self.assertEqual((form.kept_count, form.deleted_count), (1, 2))
        self.assertEqual((form.kept_size, form.deleted_size), (1000, 2000))
        self.assertEqual(self.job.retention_value, 2, "nothing is saved")
        lines = form.save().line_ids
        self.assertEqual(lines.mapped("decision"), ["keep", "delete", "delete"])
        self.assertEqual(lines[1].reason, "Newer ones fill the 1 that are kept.")

    def test_the_destination_is_named_where_one_decides_for_itself_and_only_there(self):
        self._nights(2)
        wizards = self._open()
        self.assertFalse(Form(wizards).has_own_retention)
        self.job.destination_ids[0].write(
            {"own_retention": True, "retention_mode": "keep_last_n", "retention_value": 1}
        )
        preview = Form(wizards).save()
        self.assertTrue(preview.has_own_retention)
        self.assertTrue(any(preview.line_ids.mapped("destination_name")))

    def test_thousands_of_archives_are_counted_and_not_all_shown(self):
        self._nights(3)
        with patch(f"{WIZARD}.LINES_LIMIT", 2):
            wizard = self._open().create(LAST_TWO)
            wizard.flush_recordset()
        self.assertEqual((len(wizard.line_ids), wizard.hidden_count), (2, 1))
        self.assertEqual((wizard.kept_count, wizard.deleted_count), (2, 1))
        self.assertEqual(wizard.line_ids[0].database_name, "sales")
        self.assertEqual(wizard.line_ids[0].scheduled_at, self.job.run_ids[0].scheduled_at)

    def test_the_policy_tried_can_be_used(self):
        self._nights(3)
        form = Form(self._open())
        form.retention_mode = "keep_last_n"
        form.retention_value = 7
        self.assertTrue(form.is_changed)
        wizard = form.save()
        self.assertEqual(len(wizard.line_ids), 3)
        wizard.action_use()
        self.assertEqual((self.job.retention_mode, self.job.retention_value), ("keep_last_n", 7))
        self.assertFalse(wizard.is_changed)

    def test_a_policy_that_cannot_be_is_told_and_not_used(self):
        self._nights(2)
        form = Form(self._open())
        form.retention_mode = "keep_last_n"
        form.retention_value = 0
        self.assertIn("enter 1 or more", form.problem)
        self.assertEqual(len(form.line_ids), 0)
        wizard = form.save()
        with self.assertRaises(ValidationError):
            wizard.action_use()

    def test_operators_may_look_and_not_use_it(self):
        self._nights(2)
        wizard = self._open("operator").create({"retention_mode": "keep_all"})
        self.assertEqual(len(wizard.line_ids), 2)
        with self.assertRaises(AccessError):
            wizard.action_use()

    def test_users_have_no_screen(self):
        with self.assertRaises(AccessError):
            self._open("user").create({})

    def test_the_screen_shows_nothing_of_other_companies(self):
        company = self.env["res.company"].create({"name": "Elsewhere"})
        self._nights(2)
        self.instance.company_id = company
        with self.assertRaises(AccessError):
            self._open("operator").create({"job_id": self.job.id}).line_ids.mapped("reason")
