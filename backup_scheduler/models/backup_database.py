from odoo import api, fields, models


class BackupDatabase(models.Model):
    _name = "backup.database"
    _description = "Database of an Instance"
    _order = "instance_id, name"

    instance_id = fields.Many2one(
        "backup.instance", required=True, readonly=True, index=True, ondelete="cascade"
    )
    company_id = fields.Many2one(related="instance_id.company_id", store=True, index=True)
    name = fields.Char(required=True, readonly=True)
    present = fields.Boolean(
        default=True,
        readonly=True,
        help="Whether the server had this database when it was last asked.",
    )
    last_good_run_id = fields.Many2one(
        "backup.run", compute="_compute_last_good", string="Last Good Backup"
    )
    last_good_at = fields.Datetime(compute="_compute_last_good", string="Last Good Backup at")

    _name_unique = models.UniqueIndex("(instance_id, name)")

    @api.depends_context("uid")
    def _compute_last_good(self):
        """The newest run that left an archive at rest, of whatever job."""
        last = self.env["backup.run"]._last_good(self)
        for database in self:
            run = last.get((database.instance_id.id, database.name), self.env["backup.run"])
            database.last_good_run_id = run
            database.last_good_at = run.finished_at
