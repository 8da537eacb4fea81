from odoo import api, fields, models
from odoo.exceptions import UserError

from ...engine.archive.gaps import KINDS, LIMIT, known_note
from ...engine.archive.levels import CONSISTENT, LEVELS
from ..arguments import one_record
from ..task.kinds import REQUESTED
from .backup_run import ARCHIVED


class BackupRunGaps(models.Model):
    """Files that an archive lacks because its database does, and Managers who accept that."""

    _inherit = "backup.run"

    open_gaps = fields.Json(
        readonly=True,
        copy=False,
        prefetch=False,
        help="Names of the files that the archive lacks, or has damaged, and that nobody has "
        "accepted yet.",
    )
    gap_count = fields.Integer(
        "New Gaps",
        compute="_compute_gap_count",
        help="Files that the archive lacks, or has damaged, and that nobody has accepted.",
    )
    known_gap_count = fields.Integer(
        "Known Gaps",
        compute="_compute_gap_count",
        help="Files that the archive lacks, or has damaged, and that were accepted as such.",
    )
    is_first_archive = fields.Boolean(
        compute="_compute_is_first_archive",
        help="There is no other archive of the database: what it lacks was missing before.",
    )

    @api.depends("status", "finding", "verification_report")
    def _compute_gap_count(self):
        for run in self:
            report = run.verification_report or {}
            lacks = run._lacks_files()
            run.known_gap_count = report.get("known_gaps", 0)
            run.gap_count = lacks and sum(report.get(f"{kind}_files", 0) for kind in KINDS)

    @api.depends("status", "gap_count")
    def _compute_is_first_archive(self):
        for run in self:
            others = [
                ("id", "!=", run._origin.id),
                ("instance_id", "=", run.instance_id.id),
                ("database_name", "=", run.database_name),
                ("status", "in", ARCHIVED),
            ]
            run.is_first_archive = bool(run.gap_count) and not self.search_count(others, limit=1)

    def _lacks_files(self):
        """Whether the archive is sound, and something is missing in it that level 3 looks for."""
        code = (self.finding or {}).get("error_code")
        return self.status == "verify_failed" and code == LEVELS[CONSISTENT].finding

    # --- what people and scripts do -------------------------------------------------------------

    def accept_gaps(self):
        """Accept the files that these archives lack as known gaps of their databases; Managers.

        From then on an archive of such a database is good when nothing else is missing. This one,
        and earlier ones that lack nothing else, become verified (level 3) at once: their bytes were
        read, and these files were all that was wrong.

        :return: ``{missing, damaged}``: how many files are known gaps now that were not before,
            and ``good_run_ids``: the runs whose archives are good now
        Raises UserError where a run lacks no files, or more than can be accepted.
        """
        self._require_manager()
        # What counts as a good archive is a matter of the instance, also of a shared one.
        self.instance_id.check_access("write")
        done = {**dict.fromkeys(KINDS, 0), "good_run_ids": []}
        runs = self.sudo()
        for run in runs:
            run._require_acceptable_gaps()
        for run in runs:
            gaps, good = run._accept_gaps()
            for kind in KINDS:
                done[kind] += len(gaps.filtered(lambda gap, kind=kind: gap.kind == kind))
            done["good_run_ids"] += good.ids
        return done

    def action_accept_gaps(self):
        """Open the question whether to accept what is missing."""
        self._require_manager()
        lacking = self.filtered("gap_count")
        if not lacking:
            raise UserError(self.env._("No file is missing or damaged in what is chosen."))
        for run in lacking.sudo():
            run._require_acceptable_gaps()
        return {
            "type": "ir.actions.act_window",
            "name": self.env._("Accept Missing Files"),
            "res_model": "backup.gap.acceptance",
            "view_mode": "form",
            "target": "new",
            "context": {"default_run_ids": lacking.ids},
        }

    @one_record
    def action_open_known_gaps(self):
        """Show the known gaps of the database."""
        self.check_access("read")
        return self._database_of_gaps().sudo(False).action_open_known_gaps()

    def _require_acceptable_gaps(self):
        """Raise UserError where there is nothing to accept, or more than can be."""
        name = self.display_name
        report = self.verification_report or {}
        if not self.gap_count:
            raise UserError(self.env._("%(run)s: no file is missing or damaged.", run=name))
        if self.gap_count > LIMIT:
            raise UserError(
                self.env._(
                    "%(run)s: %(count)s files are missing or damaged, and at most %(limit)s of a "
                    "database can be accepted. Find out what has become of its filestore.",
                    run=name,
                    count=self.gap_count,
                    limit=LIMIT,
                )
            )
        if not report.get("filestore_files"):
            raise UserError(
                self.env._(
                    "%(run)s: the archive holds no file of the filestore at all, which is no gap "
                    "to be accepted. Find out where that server keeps its filestore, or have the "
                    "job leave it out.",
                    run=name,
                )
            )
        if not self._gap_names():
            raise UserError(
                self.env._(
                    "%(run)s: the names of the files are not recorded. Verify the archive again, "
                    "and accept them then.",
                    run=name,
                )
            )

    # --- accepting ------------------------------------------------------------------------------

    def _gap_names(self):
        """Return the names that can be accepted, by the state of the file; empty for none."""
        found = self.open_gaps or {}
        names = {kind: found.get(kind) or [] for kind in KINDS}
        return names if any(names.values()) else {}

    def _accept_gaps(self):
        """Record what the archive lacks as known; return the new gaps, and the runs that are good
        now."""
        gaps, database = self.env["backup.known.gap"].sudo(), self._database_of_gaps()
        database._begin_gap_change()
        if self.gap_count:
            gaps = gaps._accept(database, self._gap_names(), self)
        if gaps:
            gaps._post(
                self.env._(
                    "%(user)s accepted files as known gaps, found by %(run)s",
                    user=self.env.user.name,
                    run=self.display_name,
                ),
                database,
                self,
            )
        good = self._settle_gaps()
        still_bad = self.status == "verify_failed"
        if still_bad and self.copy_ids._readable() and self.work != "verify":
            # More is wrong with it: a new verification reports what.
            self._request_verification(self.copy_ids)
        return gaps, good

    def _accept_first_gaps(self):
        """Accept what the first archive of the database lacks, where the Manager who set up the
        server said so, of the databases that there were."""
        job = self.sudo().job_id
        manager = job.gaps_accepted_by_id
        if not (manager and self.is_first_archive and self._gap_names()):
            return
        if self._database_of_gaps().create_date <= job.create_date:
            self.with_user(manager).accept_gaps()

    def _database_of_gaps(self):
        domain = [("instance_id", "=", self.instance_id.id), ("name", "=", self.database_name)]
        return self.env["backup.database"].sudo().search(domain, limit=1)

    def _content_moment(self):
        """Return when the attempt began that made the archive: it is as new as its content."""
        return self.started_at or self.finished_at or self.scheduled_at

    def _known_gaps(self, moment=None):
        """Return what the archive may lack, as orders have it; of an archive of now, or of the one
        that was stored."""
        return self._database_of_gaps()._known_gaps_at(moment or self._content_moment())

    def _verify_gaps_again(self):
        """Have the archive verified again where it is good only with known gaps."""
        lacks = (self.verification_report or {}).get("known_gaps")
        if lacks and self.copy_ids._readable() and self.work != "verify":
            self._request_verification(self.copy_ids, priority=REQUESTED)

    def _settle_gaps(self):
        """Mark the archives of the database as good that lack nothing but known gaps."""
        domain = [
            ("instance_id", "=", self.instance_id.id),
            ("database_name", "=", self.database_name),
            ("status", "=", "verify_failed"),
            ("open_gaps", "!=", False),
        ]
        good = self.browse()
        for run in self.search(domain):
            if run._lacks_only_known_gaps():
                run._mark_gaps_accepted()
                good += run
        return good

    def _lacks_only_known_gaps(self):
        """Whether all that was wrong with the archive has been accepted since."""
        if not (self._lacks_files() and (self.open_gaps or {}).get("only")):
            return False
        known, names = self._known_gaps(), self._gap_names()
        return bool(names) and all(set(names[kind]) <= set(known[kind]) for kind in KINDS)

    def _settle_found_gaps(self):
        """Mark the archive as good where all that it lacks was accepted while it was made or read.
        """
        if self._gap_names():
            self._database_of_gaps()._begin_gap_change()
        if self._lacks_only_known_gaps():
            self._mark_gaps_accepted()

    # --- recording ------------------------------------------------------------------------------

    def _record_gaps(self, gaps):
        """Withdraw the known gaps that the archive shows to be none any more."""
        if gaps and (gaps.get("back") or gaps.get("unlisted")):
            self.env["backup.known.gap"].sudo()._resolve(self._database_of_gaps(), gaps, self)


def open_gaps_of(gaps):
    """Return what is kept on a run of the engine's ``gaps``."""
    kept = {name: gaps[name] for name in (*KINDS, "only") if name in (gaps or {})}
    return kept or False


def accepted_report(report, count):
    """Return the report on an archive whose new gaps have been accepted."""
    before = report.get("known_gaps", 0)
    notes = [note for note in report.get("notes", []) if str(note) != str(known_note(before))]
    return {
        **report,
        **{f"{kind}_files": 0 for kind in KINDS},
        "level": max(report.get("level", 0), CONSISTENT),
        "known_gaps": before + count,
        "notes": [*notes, known_note(before + count)],
    }
