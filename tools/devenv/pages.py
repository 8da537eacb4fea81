"""What the pictures of the documentation show: which page, and what to press to get there."""

from dataclasses import dataclass, field

FORM = ".o_form_view .o_field_widget"
LIST = ".o_list_view .o_data_row"
DIALOG = ".modal .o_form_view .o_field_widget"


@dataclass
class Page:
    """One page, and the pictures of it.

    :param path: below ``/odoo``; ``{name}`` is the id of a record of :func:`records`
    :param ready: CSS selector of what is there once the page is
    :param phone_ready: the same on a phone, where it differs
    :param press: selectors to click one after the other, each waited for
    """

    name: str
    path: str
    ready: str
    press: tuple = ()
    then: str = ""
    dark: bool = False
    phone: bool = False
    phone_ready: str = ""
    fill: dict = field(default_factory=dict)


PAGES = (
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
    Page("destinations", "backup-destinations", LIST),
    Page("destination", "backup-destinations/{bucket}", FORM),
    Page("retention", "backup-jobs/{job}", FORM,
         press=("button[name='action_preview_retention']",), then=DIALOG),
    Page("restore", "backup-runs/{verified}", FORM,
         press=("button[name='action_restore']",), then=DIALOG),
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
