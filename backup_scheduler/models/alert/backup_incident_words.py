from odoo import models

from ..run.backup_run import GOOD, KNOWN_HERE


class BackupIncidentWords(models.Model):
    """An incident in words: for people, and for programs."""

    # What an incident is, and how it is told, are two subjects.
    _inherit = "backup.incident"

    def _title(self, event):
        """Return one line that says what is wrong, or right again, and where."""
        kind = self[:1].kind
        if len(self) == 1:
            return self._titles(event, self._place()).get(kind)
        servers = self.instance_id
        where = (
            servers.name
            if len(servers) == 1
            else self.env._("%(count)s instances", count=len(servers))
        )
        return self._titles_of_many(event, len(self), where).get(kind, "")

    def _titles(self, event, place):
        if event == "recovered":
            return {
                "failed": self.env._("Backed up again: %(place)s", place=place),
                "verify_failed": self.env._("A good archive again: %(place)s", place=place),
                "late": self.env._("Protected again: %(place)s", place=place),
            }
        return {
            "failed": self.env._("Backup failed: %(place)s", place=place),
            "verify_failed": self.env._("Archive is not good: %(place)s", place=place),
            "late": self.env._("Backup is late: %(place)s", place=place),
        }

    def _titles_of_many(self, event, count, where):
        named = {"count": count, "where": where}
        if event == "recovered":
            return {
                "failed": self.env._("Backed up again: %(count)s databases of %(where)s", **named),
                "verify_failed": self.env._(
                    "Good archives again: %(count)s databases of %(where)s", **named
                ),
                "late": self.env._("Protected again: %(count)s databases of %(where)s", **named),
            }
        return {
            "failed": self.env._("Backups failed: %(count)s databases of %(where)s", **named),
            "verify_failed": self.env._(
                "Archives are not good: %(count)s databases of %(where)s", **named
            ),
            "late": self.env._("Backups are late: %(count)s databases of %(where)s", **named),
        }

    def _tell_lines(self):
        """Return what happened, a line each; one incident is told in full."""
        if len(self) == 1:
            return self._tell_in_full()
        return [
            f"{incident._place()}: {incident._translated('error') or ''}".strip(": ")
            for incident in self
        ]

    def _tell_in_full(self):
        lines = [self._translated("error"), self.state == "open" and self._translated("hint")]
        lines = [line for line in lines if line]
        if self.job_id:
            lines.append(self.env._("Job: %(name)s", name=self.job_id.name))
        lines.append(self.env._("Since: %(moment)s UTC", moment=minute(self.opened_at)))
        if self.closed_at:
            lines.append(self.env._("Over since: %(moment)s UTC", moment=minute(self.closed_at)))
        if self.run_count > 1:
            lines.append(self.env._("Runs that ended so: %(count)s", count=self.run_count))
        return [*lines, self._tell_last_good()]

    def _tell_last_good(self):
        good = self._last_good()
        if not good:
            return self.env._("There is no good archive of this database.")
        moment = minute(good.finished_at)
        return self.env._("Last good archive: %(moment)s UTC", moment=moment)

    def _last_good(self):
        domain = [
            ("instance_id", "=", self.instance_id.id),
            ("database_name", "=", self.database_name or ""),
            ("status", "in", GOOD),
            ("stored_copies", ">", 0),
            KNOWN_HERE,
        ]
        return self.env["backup.run"].search(domain, order="finished_at desc", limit=1)

    def _link(self):
        return f"{self.get_base_url()}/odoo/backup-incidents/{self.id}"

    def _as_dict(self):
        """Return the incident for programs: plain values, moments ISO 8601 in UTC."""
        good = self._last_good()
        return {
            "id": self.id,
            "kind": self.kind,
            "state": self.state,
            "instance": self.instance_id.name,
            "instance_id": self.instance_id.id,
            "database": self.database_name or None,
            "job": self.job_id.name or None,
            "job_id": self.job_id.id or None,
            "opened_at": iso(self.opened_at),
            "closed_at": iso(self.closed_at),
            "runs": self.run_count,
            "last_run_id": self.last_run_id.id or None,
            "error_code": self.error_code or None,
            "error": self.error or None,
            "hint": self.hint or None,
            "last_good_at": iso(good.finished_at),
            "last_good_size": int(good.size) if good else None,
            "link": self._link(),
        }


def iso(moment):
    return f"{moment.isoformat()}Z" if moment else None


def minute(moment):
    return f"{moment:%Y-%m-%d %H:%M}"
