"""Known gaps: files that a database has lacked for long, which somebody has accepted.

A *gap* is a file that the dump lists and the archive lacks (``missing``), or holds with another
content (``damaged``). A known one is counted and no fault any more. It is known of one kind alone:
what was accepted as missing and comes back damaged is new.
"""

from ..messages import _

MISSING, DAMAGED = KINDS = ("missing", "damaged")
# Of one database, of both kinds together. A server that lacks more has lost a filestore.
LIMIT = 10_000
HINT = _(
    "The archive is a sound copy of what the server had, and it is stored. Bring the files back on "
    "that server, from an older archive for example. If they have been missing for long, a Manager "
    "can accept them as known gaps: “Accept Missing Files” on the run."
)


class Gaps:
    """The gaps of one archive, against those that are known.

    :param known: the names of files that are known as ``missing`` and as ``damaged``
    """

    def __init__(self, known):
        self._known = {kind: frozenset((known or {}).get(kind) or ()) for kind in KINDS}
        self._resolved = {}

    def take_known(self, found, inventory, report):
        """Return the verdict of an inventory without what is known of it, which the report counts.

        Where too many are missing to be listed, all of them count as new.
        """
        new, count = {}, 0
        for kind in KINDS:
            names = getattr(found, f"first_{kind}")
            is_complete = len(names) == getattr(found, kind)
            known = self._known[kind].intersection(names) if is_complete else ()
            new[f"first_{kind}"] = tuple(name for name in names if name not in known)
            new[kind] = getattr(found, kind) - len(known)
            count += len(known)
        report.known_gaps = count
        if count:
            report.notes.append(known_note(count))
        gaps = {*found.first_missing, *found.first_damaged}
        rest = frozenset().union(*self._known.values()) - gaps
        self._resolved = dict(zip(("back", "unlisted"), inventory.resolved(rest), strict=True))
        return found._replace(**new)

    def result(self, found, inventory, is_all):
        """Return what has become of the known gaps, and the new ones, as plain values.

        ``missing`` and ``damaged`` are names; none where there are too many to be accepted, or some
        have no name to know them by again. ``only``: nothing else is wrong with the archive.
        ``back`` and ``unlisted`` are known ones that are sound here, or that no attachment has any
        more.

        :param is_all: whether the new ones are all that is wrong with the archive
        """
        new = {kind: list(getattr(found, f"first_{kind}")) for kind in KINDS}
        fits = 0 < found.missing + found.damaged <= LIMIT
        can_name = all(map(inventory.can_name, [*new[MISSING], *new[DAMAGED]]))
        offered = {**new, "only": is_all} if fits and can_name else {}
        resolved = {name: each for name, each in self._resolved.items() if each}
        if not is_all:
            # The rows that list it may be what is wrong.
            resolved.pop("unlisted", None)
        return {**offered, **resolved}


def known_note(count):
    """Return the note of a report on its known gaps."""
    if count == 1:
        return _("1 known gap: a file that is missing or damaged, and accepted as such.")
    return _(
        "%(count)s known gaps: files that are missing or damaged, and accepted as such.",
        count=count,
    )
