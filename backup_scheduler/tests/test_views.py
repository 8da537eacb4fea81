import os

from lxml import etree

from odoo.tests import tagged

from .common import BackupCase

ACTIONS = (
    "backup_run_action",
    "backup_job_action",
    "backup_instance_action",
    "backup_database_action",
    "backup_destination_action",
    "backup_copy_action",
    "backup_restore_action",
    "backup_incident_action",
    "backup_alert_action",
    "backup_alert_channel_action",
)
MENUS = {
    "menu_runs": "backup.run",
    "menu_jobs": "backup.job",
    "menu_instances_all": "backup.instance",
    "menu_databases": "backup.database",
    "menu_destinations_all": "backup.destination",
    "menu_copies": "backup.copy",
    "menu_restores": "backup.restore",
    "menu_incidents": "backup.incident",
    "menu_alert_channels": "backup.alert.channel",
    "menu_alert_messages": "backup.alert",
}


# Once all modules are loaded: menus lead into each of them.
@tagged("post_install", "-at_install")
class TestViews(BackupCase):
    def test_the_views_of_each_action_load_for_each_group(self):
        for group in ("user", "operator", "manager"):
            env = self.env(user=self._user(group))
            for name in ACTIONS:
                action = self.env.ref(f"backup_scheduler.{name}")
                views = [(False, mode) for mode in (*action.view_mode.split(","), "search")]
                with self.subTest(group=group, action=name):
                    loaded = env[action.res_model].get_views(views)
                    self.assertEqual(set(loaded["views"]), {mode for _view, mode in views})

    def test_every_field_of_a_list_can_be_read_by_each_group(self):
        self._stored()
        for group in ("user", "operator", "manager"):
            env = self.env(user=self._user(group))
            for name in ACTIONS:
                model = env[self.env.ref(f"backup_scheduler.{name}").res_model]
                view = model.get_views([(False, "form"), (False, "list")])
                fields = view["models"][model._name]["fields"]
                with self.subTest(group=group, action=name):
                    model.search([]).read([field for field in fields if field in model._fields])

    def test_a_row_leads_on_for_each_group_also_where_there_is_no_form(self):
        run = self._stored("sales")
        other = self._stored("stock")
        database = self.instance.database_ids.filtered(lambda database: database.name == "sales")
        for group in ("user", "operator", "manager"):
            user = self._user(group)
            for record in (database, run.copy_ids):
                for kind in ("list", "kanban"):
                    arch = etree.fromstring(record.with_user(user).get_view(view_type=kind)["arch"])
                    with self.subTest(group=group, model=record._name, view=kind):
                        self.assertEqual(arch.get("type"), "object")
                        action = getattr(record.with_user(user), arch.get("action"))()
                        self.assertEqual(action["res_model"], "backup.run")
                        domain = action.get("domain") or [("id", "=", action["res_id"])]
                        shown = self.Run.with_user(user).search(domain)
                        self.assertIn(run, shown)
                        self.assertNotIn(other, shown)

    def test_no_record_that_a_form_lists_opens_as_odoo_guesses_its_fields(self):
        """Of a model without a form, a click shows all fields of it, raw bytes and codes."""
        for name in ACTIONS:
            model = self.env[self.env.ref(f"backup_scheduler.{name}").res_model]
            arch = etree.fromstring(model.get_view(view_type="form")["arch"])
            for node in arch.xpath("//field[list[not(@no_open)]]"):
                listed = self.env[model._fields[node.get("name")].comodel_name]
                with self.subTest(model=model._name, field=node.get("name")):
                    self.assertTrue(listed.get_view(view_type="form")["id"])

    def test_the_settings_load_for_an_administrator(self):
        arch = self.env["res.config.settings"].get_view(view_type="form")["arch"]
        for field in ("backup_timezone", "backup_workers", "backup_executor"):
            self.assertIn(field, arch)

    def test_a_user_of_backups_sees_the_menus_and_others_do_not(self):
        menus = {self.env.ref(f"backup_scheduler.{name}") for name in MENUS}
        for group, sees in (("user", True), ("manager", True), (None, False)):
            visible = self.env["ir.ui.menu"].with_user(self._user(group))._visible_menu_ids()
            with self.subTest(group):
                self.assertEqual({menu.id for menu in menus} <= visible, sees)

    def test_each_menu_opens_its_model(self):
        for name, model in MENUS.items():
            with self.subTest(name):
                menu = self.env.ref(f"backup_scheduler.{name}")
                self.assertEqual(menu.action.res_model, model)


class TestInstallation(BackupCase):
    def test_the_default_destination_exists_with_an_absolute_path(self):
        destination = self.env.ref("backup_scheduler.backup_destination_local")
        self.assertEqual(destination.kind, "local")
        self.assertTrue(os.path.isabs(destination.path))
        self.assertIn(self.env.cr.dbname, destination.path, "Each database has its own")

    def test_it_is_the_destination_of_a_new_job(self):
        self.destination.active = False
        job = self.Job.create({"name": "Plain", "instance_id": self.instance.id})
        self.assertEqual(
            job.destination_ids, self.env.ref("backup_scheduler.backup_destination_local")
        )

    def test_the_dispatcher_is_scheduled_every_minute(self):
        self.assertRecordValues(
            self.env.ref("backup_scheduler.ir_cron_dispatch"),
            [{"interval_number": 1, "interval_type": "minutes", "active": True}],
        )

    def test_the_administrator_is_a_manager_of_backups(self):
        admin = self.env.ref("base.user_admin")
        self.assertTrue(admin.has_group("backup_scheduler.group_backup_manager"))
