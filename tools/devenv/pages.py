"""What the pictures of the documentation show: which page, and what to press to get there."""

from dataclasses import dataclass

FORM = ".o_form_view .o_field_widget"
LIST = ".o_list_view .o_data_row"
DIALOG = ".modal .o_form_view .o_field_widget"


@dataclass
class Page:
    """One page, and the pictures of it.

    :param path: below ``/odoo``; ``{name}`` is the id of a record of :func:`records`
    :param ready: CSS selector of what is there once the page is
    :param phone_ready: the same on a phone, where it differs
    :param steps: what to do there, in this order
    """

    name: str
    path: str
    ready: str
    steps: tuple = ()
    dark: bool = False
    phone: bool = False
    phone_ready: str = ""


@dataclass
class Press:
    """Click, and wait until something is there."""

    selector: str
    until: str


@dataclass
class Fill:
    """Enter a text; ``{remote}`` and ``{password}`` are those of the server to be backed up."""

    selector: str
    text: str


SETUP = ".modal .o_backup_setup"
NEXT = ".modal button[name='action_next']"
ADD_SERVER = ".o_control_panel_main_buttons button.btn-primary"


def field(name, of=SETUP):
    return f"{of} .o_field_widget[name='{name}']"


SETUP_STEPS = (
    (Press(ADD_SERVER, field("url")), Fill(f"{field('url')} input", "{remote}"),
     Fill(f"{field('name')} input", "Wholesale"),
     Fill(f"{field('master_password')} input", "{password}")),
    (Press(NEXT, field("database_scope")),),
    (Press(NEXT, field("cron_expression")),),
    (Press(NEXT, field("destination_ids")),),
    (Press(NEXT, field("summary")),),
)


def setup_pages():
    """The wizard, a picture a step; each from its beginning."""
    for number in range(1, len(SETUP_STEPS) + 1):
        steps = tuple(step for steps in SETUP_STEPS[:number] for step in steps)
        yield Page(f"setup-{number}", "backups", ".o_backup_overview", steps,
                   dark=number == 3, phone=number == 3)


PAGES = (
    Page("overview", "backups", ".o_backup_database", dark=True, phone=True),
    *setup_pages(),
    Page("runs", "backup-runs", LIST, dark=True, phone=True,
         phone_ready=".o_kanban_record:not(.o_kanban_ghost)"),
    Page("runs-graph", "backup-runs?view_type=graph", ".o_graph_renderer canvas"),
    Page("run", "backup-runs/{verified}", FORM, dark=True, phone=True),
    Page("running-run", "backup-runs/{running}", FORM, dark=True, phone=True),
    Page("failed-run", "backup-runs/{failed}", FORM, dark=True, phone=True),
    Page("calendar", "backup-calendar", ".o_calendar_renderer .o_event", dark=True, phone=True),
    Page("jobs", "backup-jobs", LIST),
    Page("job", "backup-jobs/{job}", FORM, dark=True, phone=True),
    Page("instance", "backup-instances/{instance}", FORM, dark=True, phone=True),
    Page("destination", "backup-destinations/{bucket}", FORM),
    Page("retention", "backup-jobs/{job}", FORM,
         (Press("button[name='action_preview_retention']", DIALOG),)),
    Page("restore", "backup-runs/{verified}", FORM,
         (Press("button[name='action_restore']", DIALOG),)),
    Page("incidents", "backup-incidents", LIST),
    Page("alerts", "backup-alerts", ".o_list_view"),
    Page("settings", "action-backup_scheduler.backup_settings_action", ".app_settings_block"),
)

# Which record a path names: model, domain, order. The first one counts.
RECORDS = {
    "verified": ("backup.run", [["status", "=", "verified"], ["log", "!=", False]], "id desc"),
    "running": ("backup.run", [["status", "=", "running"]], "id"),
    "failed": ("backup.run", [["status", "=", "failed"], ["log", "!=", False]], "id desc"),
    "job": ("backup.job", [["instance_id.name", "=", "Shop"]], "id"),
    "instance": ("backup.instance", [["name", "=", "Shop"]], "id"),
    "bucket": ("backup.destination", [["kind", "=", "s3"]], "id"),
}


def records(rpc):
    """Return the ids that the paths of pages name."""
    return {
        name: rpc.call(model, "search", domain, order=order, limit=1)[0]
        for name, (model, domain, order) in RECORDS.items()
    }
