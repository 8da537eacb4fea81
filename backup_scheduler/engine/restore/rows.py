"""Has a restored database the rows that the archive has, in every table?

The rows of the archive are counted when it is verified (level 3), as ``rows`` of the report; it is
compared with a dump of the restored database that is counted the same way, or with the database
itself. A table may have gained rows: whoever opened the database already has written some. None may
lack rows, whatever else it has: psql loses the rows of a table as a whole, and goes on.

Tables that the archive does not have are no concern of it: what the server's template for new
databases brings (PostGIS has tables) is not compared. Tables of extensions are not made by a dump:
another version of the extension may not have one, and may bring some rows itself or keep them from
its dump. So fewer rows there are a note, and no such table has to be there unless the archive has
rows of it; none of these rows means that they were lost, as anywhere else.

Where Odoo has opened the database before the second dump, some rows are gone for good reason:
those of :data:`..archive.volatile.VOLATILE` and of wizards, and in a neutralized copy what the
``neutralize.sql`` of Odoo's own modules deletes.
"""

from ..archive.levels import CONSISTENT
from ..errors import RestoreFailed
from ..messages import Message, _, joined
from ..naming import one_line

# What mail/data/neutralize.sql empties in Odoo 16 to 19, and that of this addon.
NEUTRALIZED = frozenset((
    "mail_notification_web_push", "mail_partner_device", "mail_push", "mail_push_device",
    "backup_alert", "backup_task",
))  # fmt: skip
# Of this table it and its like (cloud_storage*, backup_scheduler) delete single keys: some 15 in
# Odoo 19 with all its modules. A table that lost all its rows has those that Odoo makes anew.
PARAMETERS, PARAMETERS_DELETED = "ir_config_parameter", 20
# Tables that are named in a message.
NAMED = 5

# Of the new database: what cannot have changed since, and what the server itself may have added:
# its template for new databases has tables of its own, or it was at work there already.
SAME = {"modules": _("installed modules")}
AT_LEAST = {"tables": _("tables"), "users": _("users"), "attachments": _("attachments")}

LOST = _("The server's log may say what did not go in: Odoo goes on after an error.")
PARTLY_LOST = _(
    "Each of these tables has some of its rows, and a table that cannot be loaded has none: "
    "scheduled actions of that server may have deleted them since. Restore it neutralized, or to a "
    "server that runs none (max_cron_threads = 0), to be sure."
)


def compare(archived, restored, opened=False, neutralized=False):
    """Return notes on the difference; raise :class:`RestoreFailed` where rows are missing.

    :param archived: the report of the archive as plain values, ``with_rows``; one without them is
        not compared
    :param restored: the rows of the restored database by table
    :param opened: whether an Odoo may have been at work in it before it was counted
    :param neutralized: whether the server was asked to neutralize it
    """
    lacking = lacking_in(archived.get("rows") or {}, restored)
    excused = set(archived.get("volatile") or ()) if opened else set()
    of_extensions = set(archived.get("of_extensions") or ())
    faults, fewer = {}, {}
    for table, (found, expected) in lacking.items():
        if table in of_extensions:
            if found or not expected:
                fewer[table] = (found, expected)
                continue
        elif found is not None and (
            table in excused or (neutralized and is_neutralized(table, found, expected))
        ):
            continue
        faults[table] = (found, expected)
    if faults:
        raise failure(faults, opened)
    return list(about_extensions(fewer))


def compare_totals(archived, restored):
    """Return notes on the difference; raise :class:`RestoreFailed` where something is missing."""
    notes = []
    for key, what in {**SAME, **AT_LEAST}.items():
        if key == "tables" and archived.get("rows"):
            # They are compared one by one.
            continue
        expected, found = archived.get(key, 0), restored[key]
        if not expected or not restored["level"] >= CONSISTENT:
            notes.append(
                _("The number of %(what)s was not compared: it is not known.", what=what)
            )
        elif found < expected or (key in SAME and found != expected):
            raise RestoreFailed(
                _(
                    "The restored database has %(found)s %(what)s, the archive %(expected)s.",
                    found=found,
                    what=what,
                    expected=expected,
                ),
                hint=LOST,
            )
        elif found > expected and key != "tables":
            notes.append(
                _(
                    "The restored database has %(found)s %(what)s, %(more)s more than the archive: "
                    "the server was at work in it already.",
                    found=found,
                    what=what,
                    more=found - expected,
                )
            )
    return notes


def lacking_in(expected, found):
    """Return (found, expected) of the tables that have fewer rows than expected, found None of
    those that are not there."""
    return {
        table: (found.get(table), rows)
        for table, rows in expected.items()
        if table not in found or found[table] < rows
    }


def is_neutralized(table, found, expected):
    """Whether Odoo's neutralization explains that the table has fewer rows."""
    name = table.rpartition(".")[2]
    if name == PARAMETERS:
        return found > 0 and expected - found <= PARAMETERS_DELETED
    return name in NEUTRALIZED


def failure(faults, opened):
    partly = all(found for found, _expected in faults.values())
    return RestoreFailed(
        _(
            "The restored database lacks rows that the archive has: %(tables)s.",
            tables=listed(faults),
        ),
        hint=(PARTLY_LOST if partly else LOST) if opened else None,
    )


def about_extensions(fewer):
    fewer = {table: counts for table, counts in fewer.items() if counts[1]}
    if fewer:
        yield _(
            "Tables of extensions have fewer rows than in the archive: %(tables)s. Another "
            "version of an extension may bring rows itself; compare these tables if you fill them "
            "yourself.",
            tables=listed(fewer),
        )


def listed(counts):
    """Return the first tables of all with their counts, those of most rows first."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1][1], item[0]))
    named = [about(one_line(table), *rows) for table, rows in ordered[:NAMED]]
    if len(ordered) <= NAMED:
        return joined(", ", named)
    return _("%(tables)s and %(count)s more", tables=named, count=len(ordered) - NAMED)


def about(table, found, expected) -> Message:
    if found is None:
        return _("%(table)s (the table is missing)", table=table)
    return _("%(table)s (%(found)s of %(expected)s rows)", table=table, found=found,
             expected=expected)  # fmt: skip
