"""What the engine says, in the language of who reads it, and in English in the log."""

import ast
import html
import json
from pathlib import Path
from unittest.mock import patch

from odoo import fields
from odoo.exceptions import ValidationError
from odoo.tools import mute_logger
from odoo.tools.misc import file_path
from odoo.tools.translate import TranslationModuleReader, code_translations

from ..engine.archive.levels import LEVELS
from ..engine.errors import ConnectionFailed, NotConsistent, UnknownDatabase
from ..engine.messages import _ as said  # Odoo exports what is called “_”, also in tests.
from ..engine.messages import carried, received
from ..executor import storable
from .common import RUN_LOGGER, BackupCase, archive, discovering

UNKNOWN = "The server has no database %(name)r."
CATALOGUE = {
    UNKNOWN: "Le serveur n'a pas de base %(name)r.",
    "Lower the wall to %(limit)d m.": "Abaissez le mur à %(limit)d m.",
    "%(count)d files are missing: %(names)s": "%(names)s : %(count)d fichiers manquants",
    "The dump was restored by %(who)s.": "La base a été restaurée par %(who)s.",
    "a superuser": "un super-utilisateur",
    ConnectionFailed.hint: "Vérifiez l'adresse.",
    NotConsistent.hint: "Voyez ce serveur.",
}


class MessageCase(BackupCase):
    listens = True

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.env["res.lang"]._activate_lang("fr_FR")

    def setUp(self):
        super().setUp()
        known = {("backup_scheduler", "fr_FR"): CATALOGUE}
        self.startPatcher(patch.dict(code_translations.python_translations, known))
        self.french = self._user("manager", lang="fr_FR")
        self.english = self._user("operator", lang="en_US")

    def _as(self, user, records):
        """Return the records as the user's browser asks for them."""
        return records.with_user(user).with_context(lang=user.lang)

    def _read(self, user, records, *names):
        return self._as(user, records).read(names)[0]

    def _told(self, event):
        """Return the event as an executor records it: it came as a line of JSON."""
        return storable(received(json.loads(json.dumps(carried(event)))))

    def _failed(self, error):
        run = self._running()
        self._report(run, self._told({"event": "failed", **error.as_dict(), "traceback": ""}))
        return run


class TestMessages(MessageCase):
    def test_an_error_is_read_in_the_language_of_the_reader_and_logged_in_english(self):
        with self.assertLogs(RUN_LOGGER, "WARNING") as logged:
            hint = said("Lower the wall to %(limit)d m.", limit=3)
            run = self._failed(UnknownDatabase(said(UNKNOWN, name="sales"), hint))
        english = "The server has no database 'sales'."
        names = ("error", "hint", "error_summary", "error_code")
        told = self._read(self.french, run, *names)
        self.assertEqual(told["error"], "Le serveur n'a pas de base 'sales'.")
        self.assertEqual(told["hint"], "Abaissez le mur à 3 m.")
        self.assertEqual(told["error_summary"], told["error"])
        told = self._read(self.english, run, *names)
        self.assertEqual(told["error"], english)
        self.assertEqual(told["hint"], "Lower the wall to 3 m.")
        self.assertEqual(told["error_summary"], english)
        self.assertEqual(told["error_code"], "unknown_database")
        self.assertIn(english, "\n".join(logged.output))
        self.assertIn(english, run.log)
        self.assertEqual(self._as(self.french, run).error, english, "Python reads English")
        self.assertIn(run, run.search([("error", "like", "has no database 'sales'")]))

    @mute_logger(RUN_LOGGER)
    def test_lists_and_exports_are_translated_too(self):
        run = self._as(self.french, self._failed(UnknownDatabase(said(UNKNOWN, name="sales"))))
        domain = [("id", "=", run.id)]
        found = run.web_search_read(domain, {"error": {}, "error_summary": {}})["records"][0]
        self.assertEqual(found["error"], "Le serveur n'a pas de base 'sales'.")
        self.assertEqual(found["error_summary"], found["error"])
        self.assertEqual(run.sudo().export_data(["error"])["datas"], [[found["error"]]])

    @mute_logger(RUN_LOGGER)
    def test_a_list_asks_once_for_what_is_beside_the_errors_and_in_english_not_at_all(self):
        runs = self.Run.union(
            *(self._failed(UnknownDatabase(said(UNKNOWN, name=name))) for name in "abc")
        )
        for user, queries in ((self.english, 1), (self.french, 2)):
            records = self._as(user, runs)
            records.read(["error"])
            self.env.flush_all()
            records.invalidate_recordset(["error", "error_message"])
            with self.subTest(user.lang), self.assertQueryCount(queries):
                records.read(["error"])

    @mute_logger(RUN_LOGGER)
    def test_a_text_that_was_written_since_is_not_taken_for_the_message_before(self):
        run = self._failed(UnknownDatabase(said(UNKNOWN, name="sales")))
        run.error = "By hand."
        self.assertEqual(self._read(self.french, run, "error")["error"], "By hand.")
        run = self._failed(UnknownDatabase(said(UNKNOWN, name="sales")))
        self._sql("UPDATE backup_run SET error = 'By SQL.' WHERE id = %s", run.id)
        self.assertEqual(self._read(self.french, run, "error")["error"], "By SQL.")

    @mute_logger(RUN_LOGGER)
    def test_findings_and_notes_are_translated_where_they_stand(self):
        missing = said("%(count)d files are missing: %(names)s", count=2, names=["a", "b"])
        finding = NotConsistent(missing).as_dict()
        note = said("The dump was restored by %(who)s.", who=said("a superuser"))
        run = self._running()
        event = {**self._done(run), **archive(report={"level": 2, "notes": ["plain", note]})}
        self._report(run, self._told({**event, "finding": finding}))
        told = self._read(self.french, run, "error", "finding", "verification_report")
        self.assertEqual(told["error"], "a, b : 2 fichiers manquants")
        self.assertEqual(told["finding"]["error"], told["error"])
        self.assertEqual(told["finding"]["hint"], "Voyez ce serveur.")
        notes = told["verification_report"]["notes"]
        self.assertEqual(notes, ["plain", "La base a été restaurée par un super-utilisateur."])
        self.assertEqual(run.finding["error"], "2 files are missing: a, b")
        # What is shown again later is not what was said in English.
        run._mark_verified({"level": 2})
        self.assertEqual(self._read(self.french, run, "error")["error"], told["error"])

    @mute_logger("odoo.addons.backup_scheduler.models.instance.backup_instance")
    def test_a_test_of_the_connection_answers_who_asks_and_is_kept_for_all(self):
        error = ConnectionFailed(said(UNKNOWN, name="x"))
        with discovering(side_effect=error):
            answer = self._as(self.french, self.instance).test_connection()
        self.assertEqual(answer["error"], "Le serveur n'a pas de base 'x'.")
        self.assertEqual(answer["hint"], "Vérifiez l'adresse.")
        self.assertIs(type(answer["error"]), str, "XML-RPC carries no other texts")
        names = ("check_error", "check_reason", "check_hint")
        told = self._read(self.french, self.instance, *names)
        french = "Le serveur n'a pas de base 'x'.\nVérifiez l'adresse."
        self.assertEqual(told["check_error"], french)
        self.assertEqual(told["check_hint"], "Vérifiez l'adresse.")
        told = self._read(self.english, self.instance, *names)
        self.assertEqual(told["check_reason"], "The server has no database 'x'.")
        self.assertEqual(told["check_hint"], ConnectionFailed.hint)

    @mute_logger(RUN_LOGGER)
    def test_an_incident_is_told_to_each_in_their_language(self):
        run = self._failed(UnknownDatabase(said(UNKNOWN, name="sales" * 50)))
        incident, _recovered = self.env["backup.incident"]._see_run(run)
        self.assertTrue(incident.error.startswith("The server has no database 'sales"))
        self.assertEqual(len(incident.error), 160)
        told = self._read(self.french, incident, "error")["error"]
        self.assertTrue(told.startswith("Le serveur n'a pas de base 'sales"))
        self.assertEqual(len(told), 160)
        self.assertIn(told, self._as(self.french, incident)._tell_lines())
        self.assertIn(incident.error, self._as(self.english, incident)._tell_lines())

    @mute_logger(RUN_LOGGER)
    def test_an_activity_is_written_in_the_language_of_whose_it_is(self):
        channel = self.env["backup.alert.channel"].create(
            {"name": "To-do", "kind": "activity", "user_ids": (self.french | self.english).ids}
        )
        run = self._failed(UnknownDatabase(said(UNKNOWN, name="sales")))
        incident, _recovered = self.env["backup.incident"]._see_run(run)
        alert = self.env["backup.alert"]._queue(
            channel, "opened", incident, self.env.company, fields.Datetime.now()
        )
        self.assertTrue(alert._deliver_whole()["ok"])
        notes = {activity.user_id: activity.note for activity in incident.activity_ids}
        self.assertIn("Le serveur n'a pas de base", html.unescape(notes[self.french]))
        self.assertIn("The server has no database", html.unescape(notes[self.english]))

    def test_a_level_is_explained_to_each_in_their_language(self):
        level = LEVELS[3]
        self.startPatcher(patch.dict(CATALOGUE, {level.meaning.template: "Rien ne manque."}))
        run = self._stored()
        for user, told in ((self.french, "Rien ne manque."), (self.english, level.meaning)):
            wizard = self._as(user, self.env["backup.verification"]).create({"run_id": run.id})
            self.assertIn(told, wizard.meaning)

    def test_a_wrong_schedule_is_explained_in_the_language_of_who_enters_it(self):
        french = {"%(number)s is outside %(range)s": "%(number)s n'est pas dans %(range)s",
                  "hour": "heure"}  # fmt: skip
        self.startPatcher(patch.dict(CATALOGUE, french))
        for user, told in ((self.french, "heure: 24 n'est pas dans 0-23"),
                           (self.english, "hour: 24 is outside 0-23")):
            with self.assertRaisesRegex(ValidationError, told):
                self._as(user, self.Job).preview_cron("0 24 * * *")

    def test_odoos_export_finds_the_templates_of_the_engine(self):
        with self.assertNoLogs("odoo.tools.translate", "WARNING"):
            rows = list(TranslationModuleReader(self.env.cr, ["backup_scheduler"]))
        exported = {source for _module, _kind, _name, _line, source, *_rest in rows}
        engine = Path(file_path("backup_scheduler/engine"))
        templates = {
            call.args[0].value
            for path in engine.rglob("*.py")
            for call in ast.walk(ast.parse(path.read_text()))
            if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "_"
        }
        self.assertGreater(len(templates), 400)
        self.assertEqual(templates - exported, set())
