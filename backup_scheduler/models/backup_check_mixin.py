from odoo import api, fields, models


class BackupCheckMixin(models.AbstractModel):
    """What the last check of a server or destination found, which counts for the settings that it
    was made with: it is forgotten where one of them changes.

    A model has ``check_status`` (``ok``, ``error`` or nothing) and ``last_check_at``.
    """

    _name = "backup.check.mixin"
    _description = "Results of checks"

    # The fields that hold what a check found.
    _check_results = ("check_status",)

    check_state = fields.Selection(
        "_selection_check_state",
        string="Status",
        compute="_compute_check_state",
        help="What the last check found; nothing where settings were changed after it.",
    )

    @api.model
    def _selection_check_state(self):
        return [
            *self._fields["check_status"]._description_selection(self.env),
            ("changed", self.env._("Not Checked Since the Change")),
            ("new", self.env._("Not Checked Yet")),
        ]

    @api.depends(lambda self: () if self._abstract else ("check_status", "last_check_at"))
    def _compute_check_state(self):
        for record in self:
            record.check_state = record.check_status or (
                "changed" if record.last_check_at else "new"
            )

    def _forget_checks(self, names, vals):
        """Forget what was found for those of which ``vals`` changes one of the fields."""
        changed = self.filtered(lambda record: record._changed(names, vals))
        if changed:
            changed.write(dict.fromkeys(self._check_results, False))

    def _changed(self, names, vals):
        """Return which of the fields ``vals`` changes. A secret that is written is a new one."""
        return [
            name
            for name in names & vals.keys()
            if name in self._servers_of_secrets or (self[name] or False) != (vals[name] or False)
        ]
