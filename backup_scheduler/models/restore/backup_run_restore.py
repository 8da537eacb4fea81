import re

from odoo import fields, models, release
from odoo.exceptions import UserError
from odoo.service.db import list_dbs

from .. import arguments
from ..arguments import one_record

VERSION = re.compile(r"(?:saas~)?\d{1,3}\.\d{1,3}(?!\d)")


class BackupRunRestore(models.Model):
    """What a run has to do with its restores."""

    _inherit = "backup.run"

    @arguments.accepts(
        database_name=arguments.text,
        instance_id=arguments.record,
        copy_id=arguments.record,
        neutralize=arguments.flag,
        identity=arguments.text,
    )
    @one_record
    def restore(self, database_name, instance_id=None, copy_id=None, neutralize=True,
                identity=None):  # fmt: skip
        """Restore the archive as a new database; Managers only.

        :param database_name: of the new database; one that exists is refused
        :param instance_id: the instance to restore to, through its database manager; default: this
            server's own PostgreSQL
        :param copy_id: the copy to read first
        :param neutralize: make a copy that sends nothing. On this server that is refused for an
            archive of another version of Odoo
        :param identity: the age identity (secret key) of an encrypted copy, used and forgotten
        :return: the id of the ``backup.restore``, whose ``status`` tells how it goes
        """
        self._require_manager()
        run = self.sudo()
        run._require_restorable(database_name, instance_id, copy_id, identity)
        if neutralize and not instance_id and (refusal := run._neutralization_refusal()):
            raise UserError(refusal)
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
        if run.work == "verify":
            # Somebody waits for this; the verification can be requested again.
            run._task_at_work()._request_cancel()
        self.env["backup.task"]._plan(
            "restore", fields.Datetime.now(), restore, requested_by_id=self.env.uid
        )
        return restore.id

    def _is_trusted(self):
        """Return whether SQL of the archive may be run by the role of Odoo itself.

        Not what was imported: whose it is, the catalogue says. Nor what is of another server, which
        the instance was before.
        """
        self.ensure_one()
        instance = self.instance_id
        if not instance.trusted or self.catalogue_owner:
            return False
        changed_at = instance.server_changed_at
        return not changed_at or bool(self.started_at and self.started_at > changed_at)

    def _archive_version(self):
        """Return the version of Odoo that the archive is of (``17.0``), empty when not known."""
        self.ensure_one()
        manifest = (self.verification_report or {}).get("manifest") or {}
        for text in (manifest.get("major_version"), self.odoo_version):
            if found := VERSION.match(str(text or "")):
                return found[0]
        return ""

    def _neutralization_refusal(self):
        """Return why a copy cannot be neutralized on this server; empty where it can, or where the
        version of the archive is not known."""
        version = self._archive_version()
        if version in ("", release.major_version):
            return ""
        return self.env._(
            "The archive is of Odoo %(archive)s, and this server is an Odoo %(server)s, which can "
            "neutralize databases of its own version only. Restore it to an instance of Odoo "
            "%(archive)s. Or restore it here without neutralizing it, where no Odoo %(archive)s "
            "that reaches mail or banks serves the database.",
            archive=version,
            server=release.major_version,
        )

    def _require_restorable(self, database_name, instance_id, copy_id, identity):
        if not database_name:
            raise UserError(self.env._("New Database: enter a name."))
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
            self.env["backup.instance"].browse(instance_id)._require_restore_target()
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

    @one_record
    def action_restore(self):
        """Open the restore wizard."""
        return {
            "type": "ir.actions.act_window",
            "name": self.env._("Restore"),
            "res_model": "backup.restore.wizard",
            "view_mode": "form",
            "target": "new",
            "context": {"default_run_id": self.id},
        }
