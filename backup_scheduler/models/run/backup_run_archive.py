from odoo import api, models
from odoo.exceptions import UserError

from ...engine_call import failure_of
from .. import arguments
from .backup_run import GOOD, KNOWN_HERE


class BackupRunArchive(models.Model):
    """Bringing the archive of an ended run to destinations that missed it, deleting it, and
    removing what a lost attempt may have left."""

    _inherit = "backup.run"

    # --- another copy ---------------------------------------------------------------------------

    def _order_replicate(self, task):
        copies = self._copies_due().browse()
        for copy in self._copies_due():
            copies |= copy._fit_to_recipients()
        for copy in copies:
            copy.path = copy.path or self._free_path(copy)
        copies._mark_uploading()
        return {
            "action": "replicate",
            "candidates": self.copy_ids._whole()._engine_orders(),
            "destinations": copies._engine_orders(),
            "size": self.size,
            "sha256": self.sha256,
            "expected_size": self.size,
            "catalogue": self._full_catalogue(),
            "signature": self._signature_order(),
        }

    def _copies_due(self):
        now = self._clock()
        return self.copy_ids.filtered(
            lambda copy: copy._is_to_be_copied() and copy._copying_moment() <= now
        )

    def _full_catalogue(self):
        """Return the catalogue of an archive that is at rest elsewhere already."""
        catalogue = {**self._catalogue(), "report": self.verification_report or {}}
        if self.status == "verify_failed":
            failure = {"error_code": self.error_code, "error": self.error, "hint": self.hint}
            catalogue["finding"] = failure
        return catalogue

    def _record_replicate(self, task, event):
        copies = self._copies_uploading()
        if not copies and event["event"] == "failed":
            # Not even the order could be made: that is an attempt too.
            copies = self._copies_due()
            copies._mark_uploading()
        if event["event"] == "unreadable":
            self._record_unreadable(self.copy_ids.browse(event["id"]), event)
        elif event["event"] == "done":
            self._record_copies(event["copies"])
            # The engine reports only the last source that it tried.
            copies.filtered(lambda copy: copy.status == "failed")._mark_in_doubt()
        elif event["event"] in ("failed", "lost"):
            code, error = failure_of(event)
            self._log(f"The archive could not be copied: {code}: {error}")
            copies._mark_missed(code, error)
            copies._mark_in_doubt()

    def _give_back_replicate(self, task):
        """What is on its way to a destination is tried again as after any failure."""
        task._record({"event": "lost", "exit_code": None, "tail": task._loss()})

    # --- deleting -------------------------------------------------------------------------------

    @arguments.accepts(confirmation=arguments.text)
    def delete_archives(self, confirmation=None):
        """Delete the stored archives of these runs in all their destinations; Managers only.

        :param confirmation: the name of the database, asked for when its last good archive is
            among them

        The runs stay, as history. Pinned archives have to be unpinned before.
        """
        self._require_manager()
        for run in self.sudo():
            run._require_deletable()
        bare = ", ".join(self.sudo()._databases_left_bare())
        if bare and confirmation != bare:
            raise UserError(
                self.env._(
                    "This is the last good archive of the database %(database)s. To delete it all "
                    "the same, confirm with the name of the database.",
                    database=bare,
                )
            )
        reason = self.env._("Deleted by %(user)s.", user=self.env.user.name)
        for run in self.sudo():
            run._log(reason)
        self.sudo().copy_ids._request_deletion(reason, by_retention=False)
        return True

    def _require_deletable(self):
        if self.pinned:
            raise UserError(self.env._("%(run)s is pinned: unpin it first.", run=self.display_name))
        if not self.copy_ids.filtered("path"):
            raise UserError(self.env._("%(run)s has no stored archive.", run=self.display_name))
        if self.copy_ids._of_strangers():
            raise UserError(
                self.env._(
                    "%(run)s was imported from a destination that lies at the place of another one "
                    "with archives of others: it is not deleted from here.",
                    run=self.display_name,
                )
            )

    def _databases_left_bare(self):
        """Return the names of the databases that would have no good archive without these."""
        bare = []
        staying = [("status", "=", "stored"), ("deletion_requested_at", "=", False)]
        for run in self.filtered(lambda run: run.status in GOOD):
            others = [
                ("id", "not in", self.ids),
                ("instance_id", "=", run.instance_id.id),
                ("database_name", "=", run.database_name),
                ("status", "in", GOOD),
                ("stored_copies", ">", 0),
                KNOWN_HERE,
                ("copy_ids", "any", staying),
            ]
            if not self.search_count(others, limit=1):
                bare.append(run.database_name)
        return sorted(set(bare))

    def action_delete_archives(self):
        """Open the question whether to delete."""
        return {
            "type": "ir.actions.act_window",
            "name": self.env._("Delete Archives"),
            "res_model": "backup.archive.deletion",
            "view_mode": "form",
            "target": "new",
            "context": {"default_run_ids": self.ids},
        }

    def _order_delete(self, task):
        """Decide once more, at the last moment, and name what is to go."""
        if self.job_id:
            self.job_id._reconsider_deletions([self.database_name])
        else:
            # Its job was deleted meanwhile, and with it the policy.
            self.copy_ids._withdraw_deletion()
        self.copy_ids._of_strangers()._withdraw_deletion(by_anybody=True)
        now = self._clock()
        copies = self.copy_ids.filtered(
            lambda copy: copy._is_to_be_deleted() and copy._deletion_moment() <= now
        )
        return {"action": "discard", "owner": self._owner(), "copies": copies._engine_orders()}

    def _record_delete(self, task, event):
        if event["event"] == "done":
            for result in event["copies"]:
                self._record_deleted_copy(self.copy_ids.browse(result["id"]), result)
            self._give_up_unfinished()
        elif event["event"] in ("failed", "lost"):
            _code, error = failure_of(event)
            self.copy_ids.filtered(lambda copy: copy._is_to_be_deleted())._postpone(error)

    def _withdraw_delete(self, task):
        self.copy_ids._withdraw_deletion(by_anybody=True)

    def _record_deleted_copy(self, copy, result):
        place = copy.destination_id.name
        if result["ok"]:
            self._log(f"Deleted in {place}: {copy.path}. {copy.deletion_reason}")
            copy._mark_deleted()
        else:
            self._log(f"Not deleted in {place}, tried again later: {result['error']}")
            copy._postpone(result["error"])

    def _give_up_unfinished(self):
        """Have removed what is left of copies that were never made: of the archive there is no
        whole one any more to make them from."""
        if not self.copy_ids._whole():
            unfinished = self.copy_ids.filtered(
                lambda copy: copy.status == "failed"
                and copy.path
                and not copy.stored_at
                and copy.destination_id.may_delete
            )
            unfinished._request_deletion(
                self.env._("The archive was deleted before it was copied there."),
                by_retention=False,
            )
            # What it lacked is of no use without it, and may be long.
            self.open_gaps = False

    # --- what lost attempts leave ---------------------------------------------------------------

    def _order_discard(self, task):
        remains = self._copies_to_discard()
        return {"action": "discard", "owner": self._owner(), "copies": remains._engine_orders()}

    def _copies_to_discard(self):
        return self.copy_ids.filtered(lambda copy: copy._is_to_be_discarded())

    def _record_discard(self, task, event):
        """Write down what became of the remains. A copy that is tried again meanwhile is left
        alone: its next attempt replaces them."""
        remains = self._copies_to_discard()
        if event["event"] in ("failed", "lost"):
            remains._postpone_discard(failure_of(event)[1])
        elif event["event"] == "done":
            for result in event["copies"]:
                copy = remains & self.copy_ids.browse(result["id"])
                if result["ok"]:
                    copy._mark_discarded(self.error_code, self._message("error"))
                else:
                    copy._postpone_discard(result["error"])

    @api.model
    def _discard_orphans(self, results):
        """Have removed what an engine stored, or could not remove, after its run was given up.

        :param results: what it reports of the copies, whose places may be forgotten here
        """
        left = {
            result["id"]: result["path"]
            for result in results
            if result.get("path") and (result.get("stored", True) or result.get("may_remain"))
        }
        for copy in self.env["backup.copy"].browse(left).exists():
            if copy.run_id.status in ("failed", "cancelled"):
                copy.path = left[copy.id]
                copy._mark_uploading()
                copy.run_id._plan_tasks()
