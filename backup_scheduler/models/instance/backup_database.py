from odoo import api, fields, models
from odoo.exceptions import UserError


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
        help="Whether the server has this database: two answers in a row without it say that it "
        "does not.",
    )
    unlisted = fields.Boolean(
        "Not Listed Last Time",
        readonly=True,
        copy=False,
        help="The last answer of the server did not list this database. If the next one does "
        "not list it either, it is gone.",
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
            # In a form, a new record stands for the real one.
            instance_id = database._origin.instance_id.id
            run = last.get((instance_id, database.name), self.env["backup.run"])
            database.last_good_run_id = run
            database.last_good_at = run.finished_at

    def _record_presence(self, listed):
        """Record which of these the server has, by an answer that can be believed.

        A server in trouble may leave some out: they are gone only after the second answer in a
        row.
        """
        here = self.filtered(lambda database: database.name in listed)
        here.filtered(lambda one: one.unlisted or not one.present).write(
            {"present": True, "unlisted": False}
        )
        missing = (self - here).filtered("present")
        missing.filtered("unlisted").present = False
        missing.filtered("present").unlisted = True

    def run_now(self):
        """Queue a backup of each of these databases, and of no others of their jobs, at once.

        :return: the ids of the runs, one for each job that covers a database
        Raises UserError where no job that is switched on does.
        """
        self.check_access("read")
        self.env["backup.run"]._require_operator()
        now = fields.Datetime.now()
        protections = self._protections(self.ids)
        runs = self.env["backup.run"].sudo()
        # A run has all destinations of its job, also those that who asks may not see.
        for database in self:
            jobs = self.env["backup.job"].sudo().browse(protections[database.id]["job_ids"])
            if not jobs:
                raise UserError(
                    self.env._(
                        "No job that is switched on covers %(database)s.", database=database.name
                    )
                )
            for job in jobs:
                runs += runs._create_for(job, [database.name], now, trigger="manual")
        runs.single_database = True
        self.env["backup.dispatcher"]._wake()
        return runs.ids
