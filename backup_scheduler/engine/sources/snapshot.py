"""One moment of a database: what pg_dump writes, and what is asked beside it, are the same."""

import re

from ..errors import NotOdoo
from ..messages import _

# Its session is silent while pg_dump works.
OPTIONS = "-c idle_in_transaction_session_timeout=0"
BEGIN = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY"
EXPORT = "SELECT pg_catalog.pg_export_snapshot()"
IS_ODOO = """
    SELECT pg_catalog.to_regclass('public.ir_module_module') IS NOT NULL
       AND pg_catalog.to_regclass('public.ir_attachment') IS NOT NULL
"""
# As odoo.service.db.dump_db_manifest asks.
MODULES = "SELECT name, latest_version FROM public.ir_module_module WHERE state = 'installed'"
# In the order of their bytes, as the folders of a filestore are read. Of this length are the names
# of the files that Odoo makes.
LIST = """
    DECLARE listed NO SCROLL CURSOR FOR
     SELECT DISTINCT store_fname COLLATE "C" FROM public.ir_attachment
      WHERE pg_catalog.length(store_fname) = 43 ORDER BY 1
"""
FETCH = "FETCH FORWARD 5000 FROM listed"
STILL = "SELECT DISTINCT store_fname FROM public.ir_attachment WHERE store_fname = ANY(%s)"
# Two digits, a slash, and the SHA-1 that begins with these.
STORED = re.compile(r"([0-9a-f]{2})/\1[0-9a-f]{38}")


class Snapshot:
    """A database of Odoo as it is at this moment.

    :param session: a session in it, autocommitting, that nobody else uses; with :data:`OPTIONS`

    Raises :class:`NotOdoo` for another database.
    """

    def __init__(self, session, database):
        self._session = session
        if not session.value(IS_ODOO):
            raise NotOdoo(
                _("%(database)r is no database of Odoo.", database=database),
                hint=_("Select the databases of the job, and leave this one out."),
            )
        session.rows(BEGIN)
        self.name = session.value(EXPORT)

    def modules(self):
        """Return the version of each installed module, by name."""
        return dict(self._session.rows(MODULES))

    def listed(self):
        """Return the :class:`Listed` files of the attachments."""
        self._session.rows(LIST)
        return Listed(iter(lambda: self._session.rows(FETCH), []))

    def end(self):
        """Let go of the moment: what is asked from here on is answered as of now."""
        self._session.rows("COMMIT")

    def still_listed(self, names):
        """Return those of the names that attachments have by now."""
        return {name for (name,) in self._session.rows(STILL, list(names))}


class Listed:
    """The names of stored files, folder by folder, in one pass: of one folder they are in memory.

    :param rows: lists of rows with one name each, in the order of their bytes
    """

    def __init__(self, rows):
        self._names = (name for some in rows for (name,) in some if STORED.fullmatch(name))
        self._next = next(self._names, None)

    def until(self, folder):
        """Yield ``(folder, names)`` for each folder before this one, and then for this one.

        Folders are asked for in the order of their bytes; None: for all that are left.
        """
        while self._next is not None and (folder is None or self._next[:2] <= folder):
            first, names = self._next[:2], set()
            while self._next is not None and self._next[:2] == first:
                names.add(self._next)
                self._next = next(self._names, None)
            yield first, names
