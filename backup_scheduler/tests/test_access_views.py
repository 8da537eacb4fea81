"""What each group finds on its screens: menus, buttons, and what stands behind the buttons."""

from lxml import etree

from odoo.exceptions import AccessError
from odoo.service.model import call_kw
from odoo.tests import tagged

from .common import BackupCase

GROUPS = (None, "user", "operator", "manager")
LOOKING = {
    "menu_root", "menu_overview", "menu_runs", "menu_calendar", "menu_restores", "menu_jobs",
    "menu_incidents", "menu_alert_messages", "menu_alert_channels",
    "menu_instances_all", "menu_databases", "menu_destinations_all", "menu_copies",
}  # fmt: skip
FOR_SYSTEM = {"menu_configuration", "menu_settings"}
# Who finds which button; whoever may do more than another has the other's too.
BUTTONS = {
    ("backup.run", "form"): {
        "operator": {"cancel", "retry", "pin", "unpin"},
        "manager": {"action_restore", "action_delete_archives"},
    },
    ("backup.run", "list"): {
        "operator": {"cancel", "retry"},
        "manager": {"action_delete_archives"},
    },
    ("backup.job", "form"): {
        "user": {"action_open_runs"},
        "operator": {"action_run_now", "action_preview_retention"},
        "manager": {"action_pause", "action_resume"},
    },
    ("backup.job", "list"): {"operator": {"action_run_now"}},
    ("backup.alert.channel", "form"): {
        "user": {"action_open_alerts"},
        "manager": {"action_send_test", "action_mute_day", "action_unmute"},
    },
    ("backup.destination", "form"): {
        "user": {"action_open_copies"},
        "operator": {"action_check"},
        "manager": {
            "action_accept_folder", "action_import_archives", "action_import_unsigned",
        },
    },
    ("backup.instance", "form"): {
        "user": {"action_open_databases", "action_open_jobs", "action_open_runs"},
        "operator": {"action_test_connection"},
    },
}
VIEWS = ("form", "list", "kanban")
# It names an address, which refuses: see test_download.
ELSEWHERE = {"action_download"}


# Once all modules are loaded: menus and views are those that people see.
@tagged("post_install", "-at_install")
class TestAccessViews(BackupCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.users = {group: cls._user(cls, group) for group in GROUPS}

    def _as(self, group, model):
        return self.env(user=self.users[group])[model]

    def _menus(self, group):
        """Return the names of our menus that the web client loads for the group."""
        menus = self._as(group, "ir.ui.menu").load_menus(False).values()
        names = [menu.get("xmlid") or "" for menu in menus]
        return {name.partition(".")[2] for name in names if name.startswith("backup_scheduler.")}

    def _buttons(self, group, model, kind):
        """Return the names of the methods that the buttons of a view call, embedded lists not."""
        arch = etree.fromstring(self._as(group, model).get_view(view_type=kind)["arch"])
        buttons = arch.xpath("//button[@type='object'][not(ancestor::field)]")
        return {button.get("name") for button in buttons}

    def test_which_menus_each_group_has(self):
        for group in ("user", "operator", "manager"):
            with self.subTest(group):
                menus = self._menus(group)
                self.assertLessEqual(LOOKING, menus)
                self.assertFalse(FOR_SYSTEM & menus)
        self.assertFalse(self._menus(None))
        self.users["manager"].group_ids += self.env.ref("base.group_system")
        self.assertLessEqual(FOR_SYSTEM, self._menus("manager"))

    def test_which_buttons_each_group_finds(self):
        for (model, kind), expected in BUTTONS.items():
            allowed = set()
            later = set().union(*expected.values())
            for group in ("user", "operator", "manager"):
                allowed |= expected.get(group, set())
                with self.subTest(model=model, view=kind, group=group):
                    found = self._buttons(group, model, kind)
                    self.assertLessEqual(allowed, found)
                    self.assertFalse((later - allowed) & found)

    def test_what_has_no_button_for_a_group_is_refused_to_it_by_the_server(self):
        records = self._records()
        for model, record in records.items():
            for kind in VIEWS:
                everything = self._buttons("manager", model, kind)
                for group in ("user", "operator"):
                    hidden = everything - self._buttons(group, model, kind) - ELSEWHERE
                    for method in sorted(hidden):
                        with self.subTest(model=model, method=method, group=group):
                            self._assert_refused(group, record, method)

    def test_who_may_not_write_gets_views_that_do_not_offer_to(self):
        offers = ("create", "edit", "delete")
        models = ("backup.job", "backup.instance", "backup.destination", "backup.alert.channel")
        for model in models:
            for group in ("user", "operator"):
                for kind in VIEWS:
                    arch = etree.fromstring(
                        self._as(group, model).get_view(view_type=kind)["arch"]
                    )
                    with self.subTest(model=model, view=kind, group=group):
                        self.assertEqual(
                            [offer for offer in offers if arch.get(offer) != "False"], []
                        )

    def test_nobody_else_reaches_anything(self):
        for model, record in self._records().items():
            with self.subTest(model), self.assertRaises(AccessError):
                self._as(None, model).browse(record.ids).read(["display_name"])
            with self.subTest(f"views of {model}"), self.assertRaises(AccessError):
                self._as(None, model).search_read([])

    def _records(self):
        """Return one record of each model that has screens of its own."""
        stored = self._stored()
        restore = self.env["backup.restore"].browse(stored.restore("sales-back"))
        return {
            record._name: record
            for record in (
                stored, stored.job_id, stored.copy_ids, restore, self.instance, self.destination,
                self.instance.database_ids[0],
                self.env["backup.alert.channel"].create({"name": "Mail"}),
            )
        }  # fmt: skip

    def _assert_refused(self, group, record, method):
        """The method refuses, or it only opens a wizard, and that refuses."""
        savepoint = self.env.cr.savepoint(flush=True)
        try:
            with self.assertRaises(AccessError):
                action = call_kw(self._as(group, record._name), method, [record.ids], {})
                self._as(group, action["res_model"]).check_access("create")
        finally:
            savepoint.close(rollback=True)
            self.env.invalidate_all()
