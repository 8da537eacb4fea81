"""Every screen with hostile names on it, in a real browser: no dialog, no error, no script."""

import json

from odoo.tests import HttpCase, tagged

from .security_world import SecurityWorld

HOSTILE = (
    '<script>alert(1)</script>"><img src=x onerror=alert(2)><svg onload=alert(3)>'
    "{{constructor}}${alert(4)}<t t-esc='alert(5)'/>\n\u202etxt.exe\u2028"
)
LONG = "x" * 10_000
# Opens one screen after the other as the menus do, and says what is not as it should be.
OPEN_ALL = """
(async () => {
    const wrong = [];
    for (const name of ["alert", "confirm", "prompt"]) {
        window[name] = (said) => wrong.push(`a script ran: ${name}(${said})`);
    }
    const action = odoo.__WOWL_DEBUG__.root.env.services.action;
    // Frames: many times what any screen takes.
    const PATIENCE = 600;
    const isShown = (options) => {
        const screen = document.querySelector(".o_action_manager");
        if (options.viewType === "graph") {
            return Boolean(screen.querySelector("canvas, .o_view_nocontent"));
        }
        const inputs = [...screen.querySelectorAll("input, textarea")].map((input) => input.value);
        return `${screen.textContent}${inputs}`.includes("alert(1)");
    };
    const painted = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
    for (const [name, request, options] of %s) {
        try {
            await action.doAction(request, { clearBreadcrumbs: true, ...options });
            for (let tries = 0; tries < PATIENCE && !isShown(options); tries++) {
                await painted();
            }
            await painted();
        } catch (error) {
            wrong.push(`${name}: ${error}`);
        }
        if (!isShown(options)) {
            wrong.push(`${name}: the hostile name is not shown`);
        }
        for (const found of document.querySelectorAll(
            ".modal, .o_error_dialog, .o_notification_bar.bg-danger, img[src='x'], svg[onload]"
        )) {
            wrong.push(`${name}: ${found.outerHTML.slice(0, 300)}`);
        }
    }
    if (wrong.length) {
        console.error(wrong.join("\\n"));
    } else {
        console.log("test successful");
    }
})();
"""


def form_of(record):
    """Return the action that shows a record in its form."""
    return {
        "type": "ir.actions.act_window",
        "res_model": record._name,
        "res_id": record.id,
        "views": [[False, "form"]],
    }


@tagged("post_install", "-at_install")
class TestHostileScreens(HttpCase, SecurityWorld):
    def setUp(self):
        super().setUp()
        self.world = self._make_world(self.env.company, "hostile")
        for record in self.world.values():
            self._mark(record, HOSTILE)
            if record._transient:
                self._give(record, self.env.ref("base.user_admin").id)
        for name in ("backup.instance", "backup.job", "backup.destination", "backup.run"):
            self._mark(self.world[name], LONG)

    def _screens(self):
        """Return ``[what it is, what the client is asked for, options]`` of each screen."""
        clients = self._of_product("ir.actions.client")
        windows = self._of_product("ir.actions.act_window").filtered(
            lambda action: action.target != "new" and action.res_model in self.world
        )
        return [
            *([action.name, action.id, {}] for action in clients),
            *(
                [f"{action.name}: {kind}", action.id, {"viewType": kind}]
                for action in windows
                for kind in action.view_mode.split(",")
                if kind != "form"
            ),
            *([f"form of {name}", form_of(record), {}] for name, record in self.world.items()),
        ]

    def _of_product(self, model):
        known = self.env["ir.model.data"].search(
            [("module", "=", "backup_scheduler"), ("model", "=", model)]
        )
        return self.env[model].browse(known.mapped("res_id"))

    def test_no_screen_breaks_or_runs_anything_with_hostile_names(self):
        screens = self._screens()
        self.assertGreater(len(screens), 40)
        self.browser_js(
            "/odoo/backup-runs",
            OPEN_ALL % json.dumps(screens),
            ready="odoo.isReady === true",
            login="admin",
            timeout=180,
        )
