"""What the form of an instance shows first: whether it is reached, protected, and what is next."""

from babel.dates import format_timedelta

from odoo import api, fields, models
from odoo.tools.misc import babel_locale_parse

from ..arguments import one_record

SETUP_ACTION = "backup_scheduler.backup_setup_action"


class BackupInstanceOverview(models.Model):
    _inherit = "backup.instance"

    check_reason = fields.Char(compute="_compute_check_words")
    check_hint = fields.Char(compute="_compute_check_words")
    protected_count = fields.Integer("Protected", compute="_compute_protection_counts")
    pending_count = fields.Integer("Waiting", compute="_compute_protection_counts")
    late_count = fields.Integer("Late", compute="_compute_protection_counts")
    unprotected_count = fields.Integer("Unprotected", compute="_compute_protection_counts")
    next_step = fields.Selection(
        [("test", "Test the connection"), ("job", "Set up a job")],
        compute="_compute_next_step",
        help="What is to be done before anything is backed up.",
    )

    @api.depends("check_error")
    @api.depends_context("lang")
    def _compute_check_words(self):
        for instance in self:
            told = instance._translated("check_error") or ""
            reason, _newline, hint = told.partition("\n")
            instance.check_reason, instance.check_hint = reason, hint

    @api.depends("database_ids.protection")
    def _compute_protection_counts(self):
        for instance in self:
            found = instance.database_ids.mapped("protection")
            for state in ("protected", "pending", "late", "unprotected"):
                instance[f"{state}_count"] = found.count(state)

    def _without_databases(self):
        """Return those of which no database is known to be there: no list of databases shows that
        nothing of them is backed up."""
        known = self.env["backup.database"]._read_group(
            [("instance_id", "in", self.ids), ("present", "=", True)], ["instance_id"]
        )
        return self - self.browse(instance.id for (instance,) in known)

    @api.depends("check_status", "job_ids.enabled", "active")
    def _compute_next_step(self):
        for instance in self:
            saved = instance._origin and instance.active
            if saved and not instance.check_status and not instance.job_ids:
                instance.next_step = "test"
            elif saved and instance.check_status == "ok" and not instance.job_ids:
                instance.next_step = "job"
            else:
                instance.next_step = False

    @one_record
    def action_set_up_job(self):
        """Lead to a job of this instance."""
        action = self.env["ir.actions.act_window"]._for_xml_id(SETUP_ACTION)
        return {**action, "context": {"dialog_size": "large", "default_instance_id": self.id}}


class BackupDatabaseOverview(models.Model):
    # The databases are part of what the form of their instance shows.
    _inherit = "backup.database"

    last_good_size = fields.Float(
        "Size", compute="_compute_last_good_words", help="Bytes of the last good archive."
    )
    last_good_age = fields.Char(
        "Last Good",
        compute="_compute_last_good_words",
        help="How long ago the last good backup was.",
    )

    @api.depends("last_good_at")
    @api.depends_context("lang")
    def _compute_last_good_words(self):
        locale = babel_locale_parse(self.env.lang)
        now = fields.Datetime.now()
        for database in self:
            database.last_good_size = database.last_good_run_id.size
            since = database.last_good_at and database.last_good_at - now
            database.last_good_age = since and format_timedelta(
                since, add_direction=True, locale=locale
            )

    @one_record
    def action_open_last_good(self):
        """Show the run that made the last good archive."""
        return {
            "type": "ir.actions.act_window",
            "res_model": "backup.run",
            "res_id": self.last_good_run_id.id,
            "views": [(False, "form")],
        }

    def action_protect(self):
        """Lead to a job that covers these databases."""
        action = self.instance_id.action_set_up_job()
        action["context"]["default_database_ids"] = self.ids
        return action


class BackupJobDeletion(models.Model):
    # A button of the same form.
    _inherit = "backup.job"

    def action_delete(self):
        """Delete the jobs; their runs and archives stay."""
        return self.unlink()
