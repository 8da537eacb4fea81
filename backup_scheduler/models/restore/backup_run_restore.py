from odoo import fields, models
from odoo.exceptions import UserError
from odoo.service.db import list_dbs

from ...engine import messages

# What a restore may end with that is true of the archive.
BAD_ARCHIVE = ("truncated", "not_an_archive", "damaged", "archive_missing", "inconsistent")


class BackupRunRestore(models.Model):
    """What a run has to do with its restores."""

    _inherit = "backup.run"

    def restore(self, database_name, instance_id=None, copy_id=None, neutralize=True,
                identity=None):  # fmt: skip
        """Restore the archive as a new database; Managers only.

        :param database_name: of the new database; one that exists is refused
        :param instance_id: the instance to restore to, through its database manager; default: this
            server's own PostgreSQL
        :param copy_id: the copy to read first
        :param identity: the age identity (secret key) of an encrypted copy, used and forgotten
        :return: the id of the ``backup.restore``, whose ``status`` tells how it goes
        """
        self.ensure_one()
        self._require_manager()
        run = self.sudo()
        run._require_restorable(database_name, instance_id, copy_id, identity)
        restore = self.env["backup.restore"].sudo().create(
            {
                "run_id": run.id,
                "copy_id": copy_id or False,
                "target": "instance" if instance_id else "server",
                "instance_id": instance_id or False,
                "database_name": database_name,
                "neutralize": neutralize,
                "identity_sealed": self.env["backup.secret.mixin"]._seal(identity),
            }
        )
        run._log(
            self.env._(
                "Restore as %(database)s asked for by %(user)s.",
                database=database_name,
                user=self.env.user.name,
            )
        )
        if run.work == "verification":
            # Somebody waits for this; the reading can be asked for again.
            run.cancel_requested = True
        run._plan_work()
        return restore.id

    def _require_restorable(self, database_name, instance_id, copy_id, identity):
        copies = self.copy_ids._whole()
        if not copies:
            raise UserError(self.env._("%(run)s has no stored archive.", run=self.display_name))
        if copy_id and copy_id not in copies.ids:
            raise UserError(self.env._("Copy: choose a stored copy of this run."))
        if not identity and all(copies.mapped("encryption")):
            raise UserError(
                self.env._(
                    "Identity: the archive is stored encrypted; enter the identity (the secret "
                    "key) that opens it."
                )
            )
        if instance_id:
            # Whoever may not see it may not restore to it.
            self.with_env(self.env(su=False)).env["backup.instance"].browse(
                instance_id
            ).check_access("read")
            taken = self.env["backup.database"].search_count(
                [("instance_id", "=", instance_id), ("name", "=", database_name),
                 ("present", "=", True)], limit=1
            )  # fmt: skip
        else:
            taken = database_name in list_dbs(force=True)
        if taken:
            raise UserError(
                self.env._(
                    "New Database: %(name)s exists there. Choose another name; a database is never "
                    "replaced.",
                    name=database_name,
                )
            )

    def action_restore(self):
        """Open the restore wizard."""
        self.ensure_one()
        return {
            "type": "ir.actions.act_window",
            "name": self.env._("Restore"),
            "res_model": "backup.restore.wizard",
            "view_mode": "form",
            "target": "new",
            "context": {"default_run_id": self.id},
        }

    def _queued_restore(self):
        queued = self.restore_ids.filtered(lambda restore: restore.status == "queued")
        return queued.sorted("id")[:1]

    def _running_restore(self):
        return self.restore_ids.filtered(lambda restore: restore.status == "running")[:1]

    def _restore_order(self):
        restore = self._queued_restore()
        restore._mark_running()
        if restore.target == "server":
            self.scratch_at = fields.Datetime.now()
        return restore._engine_order()

    def _record_restore(self, event):
        # A queued one where not even its order could be made.
        restore = self._running_restore() or self._queued_restore()
        if not restore:
            return
        if event["event"] == "progress":
            restore.progress = self.progress
        elif event["event"] == "done":
            restore._mark_done(event)
            if restore.instance_id:
                restore.instance_id._record_database(event["database"])
        elif event["event"] == "failed":
            restore._mark_failed(event["error_code"], event["error"], event.get("hint"))
            if event["error_code"] in BAD_ARCHIVE:
                # Which copies that is true of is found by reading them.
                self._request_verification(self.copy_ids)
        elif event["event"] == "lost":
            code, error = self._failure_of(event)
            hint = messages._(
                "On this server nothing of it remains. On an instance, look there: the database "
                "%(name)s may be there half restored, and has to be dropped.",
                name=restore.database_name,
            )
            restore._mark_failed(code, error, hint)
