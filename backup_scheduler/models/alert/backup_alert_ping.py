import urllib.parse
import uuid

from odoo import api, fields, models
from odoo.exceptions import ValidationError

from ...engine.channels.base import checked_address
from ...engine.channels.ping import PingChannel, ping_body
from ...engine.errors import BackupError
from ...engine.messages import joined
from ..arguments import one_record
from ..backup_kind_mixin import MANAGER
from ..backup_message import MessageText, translated
from ..run.backup_run import ACTIVE, GOOD
from .backup_alert import PING_LIFETIME
from .backup_alert_channel import send_now, told

# What says that the fire did not do what it was for.
BAD = ("failed", "verify_failed", "cancelled")
# What shows that a run of the fire has begun. A skipped one says neither good nor bad.
BEGUN = ("running", "failed", "verify_failed", *GOOD)


class BackupJobPing(models.Model):
    """The dead man's switch of a job: a service elsewhere that is told of each fire, and raises the
    alarm when it hears nothing. It is what still works when this whole server is down.

    The protocol is that of healthchecks.io, which others speak too:
    https://healthchecks.io/docs/http_api/
    """

    _inherit = "backup.job"

    ping_url = fields.Char(
        "Ping Address",
        compute="_compute_ping_url",
        inverse="_inverse_ping_url",
        groups=MANAGER,
        help="Of a check at healthchecks.io or alike, such as https://hc-ping.com/…: it is told "
        "when a fire begins, and how it ends. It is stored encrypted and can be replaced, never "
        "read.",
    )
    ping_url_sealed = fields.Char(groups=fields.NO_ACCESS, copy=False)
    ping_host = fields.Char("Pings", readonly=True, copy=False)
    ping_error = MessageText(readonly=True, copy=False)
    ping_error_message = fields.Json(readonly=True, copy=False, prefetch=False)

    def _compute_ping_url(self):
        self.ping_url = False

    def _inverse_ping_url(self):
        for job in self:
            address = job._checked_ping(job.ping_url) if job.ping_url else False
            job.sudo().write(
                {
                    "ping_url_sealed": job._sealer()._seal(address),
                    "ping_host": urllib.parse.urlsplit(address).netloc if address else False,
                    "ping_error": False,
                }
            )
        self.invalidate_recordset(["ping_url"], flush=False)

    def _checked_ping(self, address):
        try:
            return checked_address(address)
        except BackupError as error:
            told_so = translated(error.message, self.env.lang)
            raise ValidationError(self.env._("Ping Address: %(error)s", error=told_so)) from None

    def _sealer(self):
        return self.env["backup.secret.mixin"]

    def _ping_address(self):
        return self._sealer()._unseal(self.sudo().ping_url_sealed)

    def action_forget_ping(self):
        return self.write({"ping_url": False})

    @one_record
    def test_ping(self):
        """Send the check a line for its log, which changes nothing of how it stands.

        :return: ``{ok, error_code, error, hint}``
        """
        self.check_access("read")
        self.env["backup.run"]._require_manager()
        if not self.ping_host:
            raise ValidationError(self.env._("Enter the address of the check, and save."))
        notice = notice_of(self.sudo(), "ping_test", "", self.env._("Test by Backup Scheduler"))
        answer = send_now(notice, self.env)
        told_so = joined("\n", (answer.get("error", ""), answer.get("hint", "")))
        self.sudo().ping_error = "" if answer["ok"] else told_so
        return {"ok": answer["ok"], **{
            key: translated(answer.get(key), self.env.lang) or False
            for key in ("error_code", "error", "hint")
        }}

    def action_test_ping(self):
        answer = self.test_ping()
        if not answer["ok"]:
            return told(answer["error"], answer["hint"] or "", "danger")
        message = self.env._(
            "%(host)s has taken it, as a line of the check's log.", host=self.ping_host
        )
        return told(self.env._("Test sent"), message, "success")


class BackupAlertPing(models.Model):
    """The pings of a fire: when its first run begins, and how it ended."""

    _inherit = "backup.alert"

    @api.model
    def _ping_for(self, run):
        """Queue the pings that the run's fire calls for now; each is made once."""
        job = run.job_id
        if not job.sudo().ping_url_sealed:
            return
        fire = self.env["backup.run"].search(
            [
                ("job_id", "=", job.id),
                ("scheduled_at", "=", run.scheduled_at),
                ("trigger", "=", run.trigger),
            ],
            order="id",
        )
        made = self._pings_of(job, key_of(run))
        wanted = [event for event in due_pings(fire.mapped("status")) if event not in made]
        for event in wanted:
            self._ping(job, run, event, ping_text(fire, event))

    @api.model
    def _pings_of(self, job, fire_key):
        domain = [("job_id", "=", job.id), ("fire_key", "=", fire_key)]
        return set(self.search(domain).mapped("event"))

    @api.model
    def _ping(self, job, run, event, text):
        now = fields.Datetime.now()
        self.create(
            {
                "job_id": job.id,
                "event": event,
                "company_id": job.company_id.id,
                "over_network": True,
                "fire_key": key_of(run),
                "subject": f"{job.name}: {dict(self._fields['event'].selection)[event]}",
                "body": text,
                "next_attempt_at": now,
                "expires_at": now + PING_LIFETIME,
            }
        )

    def _ping_notice(self):
        return notice_of(self.job_id, self.event, self.fire_key, self.body, self.id, self.key)

    def _is_stale_ping(self):
        if self.job_id and not self.job_id.sudo().ping_url_sealed:
            return self.env._("The job has no ping address any more.")
        if self.event == "ping_start" and self.attempts > 1:
            ends = self._pings_of(self.job_id, self.fire_key) - {"ping_start"}
            if ends:
                # Now it would say that the fire has begun once more.
                return self.env._("The fire has ended meanwhile.")
        return ""


def due_pings(statuses):
    """Return the pings that a fire with runs of these statuses calls for, in order. Pure."""
    pings = []
    if any(status in BEGUN for status in statuses):
        pings.append("ping_start")
    if any(status in BAD for status in statuses):
        pings.append("ping_fail")
    elif not any(status in ACTIVE for status in statuses) and any(
        status in GOOD for status in statuses
    ):
        pings.append("ping_success")
    return pings


def key_of(run):
    """Return the UUID of the run's fire, the same for each of its runs."""
    moment = run.scheduled_at.isoformat()
    database_uuid = run.env["ir.config_parameter"].sudo().get_param("database.uuid")
    fire = f"{database_uuid}/{run.job_id.id}/{moment}/{run.trigger}"
    return str(uuid.uuid5(uuid.NAMESPACE_URL, fire))


def ping_text(fire, event):
    """Return what goes into the body: for a failed fire the logs of the runs that failed."""
    if event == "ping_start":
        return ""
    runs = fire.filtered(lambda run: run.status in BAD) if event == "ping_fail" else fire
    parts = [f"{run.display_name}: {run.status} {run.error or ''}".strip() for run in runs]
    if event == "ping_fail":
        parts += [run.log for run in runs if run.log]
    return ping_body("\n".join(parts))


def notice_of(job, event, fire_key, text, number=0, key=""):  # noqa: PLR0913 - a notice's parts
    facts = {"event": event, "fire": fire_key, "text": text}
    notice = PingChannel(job._ping_address()).notice(facts)
    return {"id": number, "kind": "ping", "key": key or str(uuid.uuid4()), **notice}
