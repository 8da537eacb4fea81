"""Two companies with a record in every model, and a user of each role in each of them."""

import contextlib
import json
import tempfile

from odoo.service.model import call_kw, get_public_method
from odoo.tests import new_test_user
from odoo.tools import SQL, mute_logger

from .common import BackupCase

# In order: each one may do what those before it may.
ROLES = ("portal", "employee", "user", "operator", "manager")
GROUPS = {"portal": "base.group_portal", "employee": "base.group_user"}
IDENTITY = "AGE-SECRET-KEY-1ABC"
# Texts that mean something to the code. All others are marked as those of their company.
MEANINGFUL = {
    "cron_expression", "url", "level", "error_code", "sha256", "key", "fire_key", "worker",
    "lease_token", "odoo_version", "encryption", "stored_sha256",
}  # fmt: skip
PREFIX = "backup."


def models_of(env):
    """Return the models of the product, those of other addons among them."""
    return [env[name] for name in sorted(env.registry) if name.startswith(PREFIX)]


def public_methods(model):
    """Return ``{name: is it the product's own}`` of what can be called over RPC."""
    return {
        name: not _elsewhere(model, name)
        for name in dir(type(model))
        if not name.startswith("_") and _is_public(model, name)
    }


def _is_public(model, name):
    try:
        get_public_method(model, name)
    except Exception:  # noqa: BLE001 - whatever it refuses cannot be called
        return False
    return not isinstance(getattr(type(model), name), type)


def _elsewhere(model, name):
    """Return whether Odoo itself has a method of this name."""
    return any(
        name in vars(cls) and not cls.__module__.startswith("odoo.addons.backup_")
        for cls in type(model).mro()
    )


class SecurityWorld(BackupCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.ours = cls.env["res.company"].create({"name": "Our Company"})
        cls.theirs = cls.env["res.company"].create({"name": "Their Company"})
        cls.users = {
            (side, role): cls._make_user(side, role, company)
            for side, company in (("ours", cls.ours), ("theirs", cls.theirs))
            for role in ROLES
        }

    @classmethod
    def _make_user(cls, side, role, company):
        group = GROUPS.get(role) or f"backup_scheduler.group_backup_{role}"
        return new_test_user(
            cls.env,
            f"{side}_{role}",
            group,
            company_id=company.id,
            company_ids=[(6, 0, company.ids)],
        )

    def setUp(self):
        super().setUp()
        self.enterContext(mute_logger("odoo.models", "odoo.domains", "odoo.osv.expression"))
        self.enterContext(mute_logger("odoo.addons.backup_scheduler.models.restore.backup_restore"))

    def _env_of(self, side, role):
        """Return the environment in which a user's calls over RPC run."""
        return self.env(user=self.users[side, role], su=False, context={})

    # --- records --------------------------------------------------------------------------------

    def _make_world(self, company, mark):
        """Return ``{name of the model: a record of the company}``; its texts bear the mark."""
        folder = self.enterContext(tempfile.TemporaryDirectory(suffix=mark))
        place = self._make_destination("Vault", path=folder, company_id=company.id)
        instance = self._make_instance(
            "Shop", ["sales"], company_id=company.id, url=f"http://127.0.0.1:1/{mark}"
        )
        job = self._make_job(instance_id=instance.id, destination_ids=[(6, 0, place.ids)])
        run = self._stored(job=job)
        run.verify("3")
        task = run.task_ids
        restore = self.env["backup.restore"].browse(run.restore("sales-back"))
        gap = self.env["backup.known.gap"]._accept(
            instance.database_ids, {"missing": [f"aa/{mark}"]}, run
        )
        found = [place, instance, instance.database_ids, job, run, run.copy_ids, task, restore, gap]
        found += [*self._make_alerts(company, run), *self._make_wizards(run)]
        world = {record._name: record for record in found}
        for record in found:
            self._mark(record, mark)
        return world

    def _make_alerts(self, company, run):
        channel = self.env["backup.alert.channel"].create(
            {
                "name": "Hook",
                "kind": "webhook",
                "url": "https://hooks.example.com/T",
                "company_id": company.id,
            }
        )
        incident = self.env["backup.incident"].create(
            {
                "kind": "failed",
                "instance_id": run.instance_id.id,
                "database_name": "sales",
                "job_key": run.job_id.id,
                "opened_at": run.scheduled_at,
            }
        )
        alert = self.env["backup.alert"].create(
            {
                "event": "opened",
                "channel_id": channel.id,
                "company_id": company.id,
                "incident_ids": [(6, 0, incident.ids)],
            }
        )
        return channel, incident, alert

    def _make_wizards(self, run):
        setup = self.env["backup.setup"].create({"url": run.instance_id.url, "name": "Shop"})
        preview = self.env["backup.retention.preview"].create({"job_id": run.job_id.id})
        return (
            setup,
            self.env["backup.setup.database"].create({"setup_id": setup.id, "name": "sales"}),
            preview,
            preview.line_ids[:1],
            *(
                self.env[model].create({"run_id": run.id, "identity": IDENTITY})
                for model in ("backup.restore.wizard", "backup.verification")
            ),
            *(
                self.env[model].create({"run_ids": [(6, 0, run.ids)]})
                for model in ("backup.archive.deletion", "backup.gap.acceptance")
            ),
            self.env["backup.run.confirmation"].create({"job_ids": [(6, 0, run.job_id.ids)]}),
        )

    def _mark(self, record, mark):
        """Put the mark into every stored text that means nothing to the code."""
        self.env.flush_all()
        names = [
            name
            for name, field in record._fields.items()
            if field.type in ("char", "text") and field.column_type and field.store
            and name not in MEANINGFUL and not name.endswith("_sealed")
            and not (record._name == "backup.destination" and name == "path")
        ]  # fmt: skip
        for name in names:
            self.env.cr.execute(
                SQL(
                    "UPDATE %s SET %s = %s || coalesce(%s, '') WHERE id IN %s",
                    SQL.identifier(record._table), SQL.identifier(name), mark,
                    SQL.identifier(name), record._ids,
                )
            )  # fmt: skip
        self.env.invalidate_all()

    def _give(self, record, user_id):
        """Make a wizard one of the user's: everybody has their own ones only."""
        self._sql(
            f'UPDATE "{record._table}" SET create_uid = %s WHERE id IN %s',  # noqa: S608 - ours
            user_id,
            record._ids,
        )

    # --- calls ----------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _undone(self):
        """Undo what is done inside."""
        savepoint = self.env.cr.savepoint(flush=True)
        try:
            yield
        finally:
            savepoint.close(rollback=True)
            self.env.invalidate_all()

    def _call(self, env, record, method, arguments):
        """Call a method as over RPC; return ``(what it answers or raises as text, the error)``.

        What it did stays where it answers.
        """
        model = env[record._name]
        ids = [] if getattr(get_public_method(model, method), "_api_model", False) else [record.ids]
        try:
            with self.env.cr.savepoint():
                answer = call_kw(model, method, [*ids, *arguments], {})
                env.flush_all()
        except Exception as error:  # noqa: BLE001 - the tests judge it
            return f"{error!r} {error}", error
        return json.dumps(answer, default=str, ensure_ascii=False), None

    def _rows(self, worlds=()):
        """Return a fingerprint of what is stored, by table; only of the worlds' rows where any are
        given."""
        self.env.flush_all()
        parts = []
        for model in models_of(self.env):
            if not model._auto or model._abstract:
                continue
            ids = [each[model._name].ids for each in worlds if model._name in each]
            only = SQL("WHERE id IN %s", tuple(sum(ids, [])) or (0,)) if worlds else SQL("")
            parts.append(self._part(model._table, only))
            if not worlds:
                parts += self._relations(model)
        self.env.cr.execute(SQL(" UNION ALL ").join(parts))
        return dict(self.env.cr.fetchall())

    def _relations(self, model):
        return [
            self._part(field.relation, SQL(""))
            for field in model._fields.values()
            if field.type == "many2many" and field.store and field.relation
        ]

    def _part(self, table, only):
        return SQL(
            "SELECT %s, md5(string_agg(t::text, '|' ORDER BY t::text)) FROM %s t %s",
            table, SQL.identifier(table), only,
        )  # fmt: skip
