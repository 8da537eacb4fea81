from odoo import api, fields, models
from odoo.exceptions import UserError
from odoo.tools import LazyTranslate

from ...engine.archive.gaps import DAMAGED, KINDS, LIMIT, MISSING
from ..arguments import one_record

_lt = LazyTranslate(__name__)

# How many files are named in a line of the chatter.
NAMED = 10
# Why a gap is known no more, by what the engine calls it.
ENDS = [
    ("back", "File Is Back"),
    ("unlisted", "No Longer Listed"),
    ("changed", "Other State Accepted"),
    ("withdrawn", "Withdrawn"),
]
# By which the archives that were made before keep what was accepted of them.
ENDED_BY_ARCHIVE = ("back", "unlisted", "changed")


class BackupKnownGap(models.Model):
    """A file that a database lacks, and that a Manager has accepted as missing or damaged.

    It counts until the file is back in a later archive, or a Manager withdraws it. The record
    stays: the archives that were made before lack the file as they did.
    """

    _name = "backup.known.gap"
    _description = "Known Gap of a Database"
    _order = "database_id, active desc, name"

    database_id = fields.Many2one(
        "backup.database", required=True, readonly=True, index=True, ondelete="cascade"
    )
    company_id = fields.Many2one(related="database_id.company_id", store=True, index=True)
    name = fields.Char("File", required=True, readonly=True, help="Its path in the filestore.")
    kind = fields.Selection(
        [(MISSING, "Missing"), (DAMAGED, "Damaged")],
        "State of the File",
        required=True,
        readonly=True,
    )
    run_id = fields.Many2one("backup.run", "Found By", readonly=True, ondelete="set null")
    found_at = fields.Datetime(
        "Archive Date",
        required=True,
        readonly=True,
        help="When the archive was made that lacks it.",
    )
    accepted_by_id = fields.Many2one("res.users", readonly=True)
    accepted_at = fields.Datetime(
        "Accepted On", required=True, readonly=True, default=fields.Datetime.now
    )
    active = fields.Boolean(default=True, readonly=True)
    end = fields.Selection(
        ENDS,
        "End Reason",
        readonly=True,
        help="File Is Back: a later archive has it. No Longer Listed: no attachment of the "
        "database has it any more. Other State Accepted: it was missing and is damaged now, or the "
        "other way round, and that was accepted. Withdrawn: by a Manager.",
    )
    ended_at = fields.Datetime(
        "Ended On",
        readonly=True,
        help="When the archive was made that shows the end of the gap, or when it was withdrawn.",
    )
    ended_run_id = fields.Many2one(
        "backup.run", "Ended By Run", readonly=True, ondelete="set null"
    )
    ended_by_id = fields.Many2one("res.users", "Withdrawn By", readonly=True)

    _known_unique = models.UniqueIndex(
        "(database_id, name) WHERE active", "A file of a database is known as a gap once."
    )

    # --- what people and scripts do -------------------------------------------------------------

    def withdraw(self):
        """Count these files as missing or damaged again, from the next verification on; Managers.

        The last good archive of each database that lacks such files is verified again.
        """
        runs = self.env["backup.run"]
        runs._require_manager()
        self.check_access("read")
        self.database_id.instance_id.check_access("write")
        for database, gaps in self.sudo().filtered("active").grouped("database_id").items():
            database._begin_gap_change()
            gaps._end("withdrawn", ended_by_id=self.env.uid)
            gaps._post(
                self.env._("%(user)s withdrew known gaps", user=self.env.user.name), database
            )
            for run in runs.sudo()._last_good(database).values():
                run._verify_gaps_again()
        return True

    # --- coming and going -----------------------------------------------------------------------

    @api.model
    def _accept(self, database, names, run):
        """Record what a run lacks as known gaps of its database; return those that are new.

        :param names: of the files that are ``missing`` and ``damaged``
        """
        known = database.known_gap_ids
        by_name = {gap.name: gap for gap in known}
        new = [
            (name, kind)
            for kind in KINDS
            for name in names.get(kind) or ()
            if name not in by_name or by_name[name].kind != kind
        ]
        changed = known.browse([by_name[name].id for name, _kind in new if name in by_name])
        if len(known) - len(changed) + len(new) > LIMIT:
            raise UserError(
                self.env._(
                    "%(database)s would have more than %(limit)s known gaps. Find out what has "
                    "become of its filestore.",
                    database=database.name,
                    limit=LIMIT,
                )
            )
        moment = run._content_moment()
        changed._end("changed", ended_at=moment, ended_run_id=run.id)
        # A file is known once: the old row comes first.
        changed.flush_recordset()
        return self.create(
            [
                {
                    "database_id": database.id,
                    "name": name,
                    "kind": kind,
                    "run_id": run.id,
                    "found_at": moment,
                    "accepted_by_id": self.env.uid,
                }
                for name, kind in new
            ]
        )

    @api.model
    def _resolve(self, database, gaps, run):
        """Withdraw the known gaps that an archive shows to be none any more.

        Only a later archive than the one that lacked the file shows that: earlier ones had it.

        :param gaps: names by the reason, as the engine's ``gaps`` has them
        """
        moment = run._content_moment()
        for reason, message in (
            ("back", _lt("Known gaps are withdrawn, the files are back")),
            ("unlisted", _lt("Known gaps are withdrawn, no attachment lists the files any more")),
        ):
            names = set(gaps.get(reason) or ())
            over = database.known_gap_ids.filtered(
                lambda gap, names=names: gap.name in names and gap.found_at < moment
            )
            if over:
                over._end(reason, ended_at=moment, ended_run_id=run.id)
                over._post(self.env._(message), database, run)

    def _end(self, reason, **values):
        ended = {"active": False, "end": reason, "ended_at": fields.Datetime.now(), **values}
        self.write(ended)

    # --- the chatter ----------------------------------------------------------------------------

    def _post(self, what, database, run=None):
        """Leave a line in the chatter of the instance."""
        database.instance_id.sudo().message_post(
            body=self.env._(
                "%(what)s: %(database)s, %(files)s.",
                what=what,
                database=database.name,
                files=self._listed(),
            )
        )
        if run:
            run._log(f"{what}: {self._listed()}.")

    def _listed(self):
        """Return how many files these are, and the names of the first."""
        counts = {kind: len(self.filtered(lambda gap, kind=kind: gap.kind == kind))
                  for kind in KINDS}  # fmt: skip
        names = ", ".join(self[:NAMED].mapped("name"))
        if len(self) > NAMED:
            names = self.env._(
                "%(names)s and %(count)s more", names=names, count=len(self) - NAMED
            )
        return self.env._("%(missing)s missing, %(damaged)s damaged (%(names)s)",
                          names=names, **counts)  # fmt: skip


class BackupJob(models.Model):
    """What its Manager accepted beforehand."""

    _inherit = "backup.job"

    gaps_accepted_by_id = fields.Many2one(
        "res.users",
        groups=fields.NO_ACCESS,
        copy=False,
        help="Who set up the server, and accepted what the first archives of its databases lack.",
    )


class BackupDatabase(models.Model):
    """The files that a database is known to lack."""

    _inherit = "backup.database"

    known_gap_ids = fields.One2many("backup.known.gap", "database_id", "Known Gaps")
    known_gap_count = fields.Integer(
        compute="_compute_known_gap_counts", help="Accepted as missing or damaged."
    )
    has_known_gap_history = fields.Boolean(compute="_compute_known_gap_counts")

    @api.depends("known_gap_ids")
    def _compute_known_gap_counts(self):
        gaps = self.env["backup.known.gap"].with_context(active_test=False)
        counts = {
            (database.id, active): count
            for database, active, count in gaps._read_group(
                [("database_id", "in", self.ids)], ["database_id", "active"], ["__count"]
            )
        }
        for database in self:
            # In a form, a new record stands for the real one.
            key = database._origin.id
            database.known_gap_count = counts.get((key, True), 0)
            database.has_known_gap_history = (key, False) in counts

    @one_record
    def action_open_known_gaps(self):
        """Show the known gaps of the database, also those of before."""
        action = self.env["ir.actions.act_window"]._for_xml_id(
            "backup_scheduler.backup_known_gap_action"
        )
        name = self.env._("Known Gaps of %(database)s", database=self.name)
        return {
            **action,
            "name": name,
            "display_name": name,
            "domain": [("database_id", "=", self.id)],
            "context": {"active_test": False, "search_default_current": 1},
        }

    def _begin_gap_change(self):
        """Let one transaction at a time decide on the known gaps of the database.

        What another one has accepted, withdrawn or found since this one began cannot be seen here:
        then PostgreSQL refuses this, and it is tried again.
        """
        if self:
            self.env.cr.execute(
                "UPDATE backup_database SET write_date = write_date WHERE id IN %s",
                [tuple(self.ids)],
            )

    def _known_gaps_at(self, moment):
        """Return what an archive of that moment may lack: names by the state of the file.

        What has ended since is known of the archives that were made before; what was withdrawn is
        known of none.
        """
        gaps = self.env["backup.known.gap"].sudo().with_context(active_test=False)
        found = gaps.search_fetch(
            [
                ("database_id", "in", self.ids),
                "|", ("active", "=", True),
                "&", ("end", "in", ENDED_BY_ARCHIVE), ("ended_at", ">", moment),
            ],
            ["name", "kind"],
        )  # fmt: skip
        return {
            kind: sorted({gap.name for gap in found if gap.kind == kind}) for kind in KINDS
        }
