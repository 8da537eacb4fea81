from odoo import api, fields, models

from ..engine.archive.gaps import DAMAGED, KINDS, MISSING
from ..models.arguments import one_record

# What a page can show in a second. The run has all of them.
NAMES_LIMIT = 1000


class BackupGapAcceptance(models.TransientModel):
    """Asks before missing and damaged files are accepted as known gaps, with their names."""

    _name = "backup.gap.acceptance"
    _description = "Accept Missing Files"

    run_ids = fields.Many2many("backup.run", string="Archives", required=True)
    database_names = fields.Char(compute="_compute_gaps")
    missing_count = fields.Integer(compute="_compute_gaps")
    damaged_count = fields.Integer(compute="_compute_gaps")
    file_names = fields.Text("Files", compute="_compute_gaps")
    hidden_count = fields.Integer(compute="_compute_gaps")
    is_first = fields.Boolean(
        compute="_compute_gaps", help="These are the first archives of their databases."
    )

    @api.depends("run_ids")
    def _compute_gaps(self):
        for wizard in self:
            runs = wizard.run_ids
            found = {kind: wizard._files(kind) for kind in KINDS}
            files = [
                (database, name, kind) for kind in KINDS for database, name in found[kind]
            ]
            wizard.database_names = ", ".join(sorted(set(runs.mapped("database_name"))))
            wizard.missing_count = len(found[MISSING])
            wizard.damaged_count = len(found[DAMAGED])
            wizard.file_names = wizard._told(files[:NAMES_LIMIT])
            wizard.hidden_count = len(files[NAMES_LIMIT:])
            wizard.is_first = bool(runs) and all(runs.mapped("is_first_archive"))

    def _files(self, kind):
        """Return the files of that state, each with its database, in order and once."""
        found = {
            (run.database_name, name)
            for run in self.run_ids
            for name in run._gap_names().get(kind, ())
        }
        return sorted(found)

    def _told(self, files):
        several = len(set(self.run_ids.mapped("database_name"))) > 1
        states = dict(self.env["backup.known.gap"]._fields["kind"]._description_selection(self.env))
        return "\n".join(
            "  ".join([states[kind], *([database] if several else []), name])
            for database, name, kind in files
        )

    @api.constrains("run_ids")
    def _check_rights(self):
        """Nobody learns from a wizard what is not theirs to see."""
        # Odoo checks constraints as the superuser.
        self.run_ids.sudo(False).check_access("read")

    @one_record
    def action_accept(self):
        done = self.run_ids.accept_gaps()
        good = len(done["good_run_ids"])
        text = self.env._("1 archive is good now.")
        if good != 1:
            text = self.env._("%(count)s archives are good now.", count=good)
        return {
            "type": "ir.actions.client",
            "tag": "display_notification",
            "params": {
                "title": self.env._(
                    "Files accepted as known gaps: %(count)s",
                    count=done[MISSING] + done[DAMAGED],
                ),
                "message": text,
                "type": "success",
                "next": {"type": "ir.actions.act_window_close"},
            },
        }
