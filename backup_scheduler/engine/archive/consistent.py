"""Level 3: the parts of an archive belong together.

What the dump lists in ``ir_attachment`` is compared with the files of the filestore, the modules of
``manifest.json`` with those of the dump, and the tables that the dump creates with those that it
has the rows of.
"""

import datetime
import hashlib

from ..errors import Inconsistent, NotConsistent
from ..messages import _, joined
from . import attachments
from .checkers import FILESTORE, Intact, is_stored_file
from .copytext import COPY, NULL, Rows, column_names, unescape
from .gaps import HINT, Gaps
from .inventory import NAMED, Inventory, checksum_in
from .levels import CONSISTENT
from .schema import ANCHORS, PUBLIC, Schema
from .sqlscript import Script
from .volatile import VOLATILE

ATTACHMENTS, MODULES, USERS = ANCHORS
CONTENTS, MODELS = "ir_attachment_content", "ir_model"
# What is read of each table of Odoo. Dates are UTC, as Odoo keeps them.
COLUMNS = {
    ATTACHMENTS: attachments.COLUMNS,
    CONTENTS: attachments.CONTENT_COLUMNS,
    MODELS: ("model", "transient"),
    MODULES: ("name", "state", "latest_version", "write_date"),
    USERS: ("id", "login"),
}
# Bytes of the names and versions of all modules, or of the names of all wizards; those of Odoo have
# some 50 kB.
MAX_MODULES = 4 * 1024 * 1024
UNREADABLE = "\N{REPLACEMENT CHARACTER}"
# Seconds. A row carries the time at which its transaction began, which may be long before the
# backup and end within it: an import, a cron. A file lost for good is found by the next backup.
RACE_MARGIN = 600
# Seconds: a week. Longer than any backup takes; clocks may be apart, too.
LONGEST_BACKUP = 7 * 24 * 3600


class Consistent(Intact):
    """The checkers of level 3, and its verdict."""

    def __init__(self, report, wanted):
        self._inventory = Inventory()
        self._attachments = attachments.Attachments(self._inventory, self._is_late, wanted.gone)
        self._schema = Schema(self._attachments.large_object)
        super().__init__(report, wanted)
        self._since = _database_time(wanted.since, -RACE_MARGIN)
        self._until = _database_time(wanted.since, LONGEST_BACKUP)
        self._modules, self._changing = {}, set()
        self._module_bytes = 0
        self._wizards, self._wizard_bytes = set(), 0
        # The tables of Odoo of which there are rows, each with the tables that they are in.
        self._seen = {}
        self._found = None
        self._gaps = Gaps(wanted.known_gaps)

    def _script_reader(self):
        return Script(self._schema, self._rows_of)

    # --- the parts ------------------------------------------------------------------------------

    def of_member(self, name):
        checkers = super().of_member(name)
        if is_stored_file(name):
            of_file = HashedFile if self._wanted.hashed else StoredFile
            checkers.append(of_file(name, self._inventory))
        return checkers

    def see_entry(self, entry):
        """Look at one entry of a custom dump's table of contents."""
        if entry.has_data:
            if entry.description == "TABLE DATA":
                self._schema.has_rows(self._named(entry.name))
        elif entry.description in ("BLOB", "BLOB METADATA"):
            # One in its name; since PostgreSQL 17 many, a line each.
            for number in entry.definition.split() if "META" in entry.description else [entry.tag]:
                self._attachments.large_object(number.encode())
        elif entry.definition:
            self._schema.default = entry.schema or self._schema.default
            Script(self._schema, self._rows_of).feed(self._encoded(entry.definition))

    def of_table(self, entry):
        checkers = super().of_table(entry)
        copy = COPY.match(entry.copy_statement.encode())
        reader = copy and self._rows_of(self._named(entry.name), column_names(copy[2]))
        return [*checkers, reader] if reader else checkers

    def _encoded(self, text):
        """Return the bytes of a text of a custom dump, which is read as UTF-8 or as bytes."""
        return text.encode("utf-8" if self._schema.encoding == "utf-8" else "latin-1", "replace")

    def _named(self, name):
        if self._schema.encoding == "utf-8":
            return name
        return self._encoded(name).decode(self._schema.encoding, "replace")

    def _counted(self, table, rows):
        self._schema.has_rows(self._named(table), rows)

    def _rows_of(self, table, columns):
        """Return the reader of the rows of a table, or None for one that is not looked into."""
        name = self._schema.odoo_table(table)
        if name in ANCHORS:
            self._seen.setdefault(name, set()).add(table)
        take = {
            ATTACHMENTS: self._attachments.row, CONTENTS: self._attachments.content,
            MODELS: self._model, MODULES: self._module, USERS: self._user,
        }.get(name)  # fmt: skip
        return take and Rows(table, columns, COLUMNS[name], take)

    # --- the rows -------------------------------------------------------------------------------

    def _user(self, _id, _login):
        """Users are counted only."""

    def _model(self, model, transient):
        if transient == b"t":
            self._wizard_bytes += len(model)
            if self._wizard_bytes <= MAX_MODULES:
                self._wizards.add(unescape(model).replace(".", "_"))

    def _module(self, name, state, version, written):
        self._module_bytes += len(name) + len(version)
        if self._module_bytes > MAX_MODULES:
            raise Inconsistent(
                _(
                    "The dump lists more modules than Odoo can have: over %(limit)s bytes.",
                    limit=MAX_MODULES,
                )
            )
        name = unescape(name)
        if self._is_late(written):
            self._changing.add(name)
        if state == b"installed":
            self._modules[name] = unescape(version)

    def _is_late(self, moment):
        """Whether a row may be younger than the copy of the filestore that came before the dump."""
        if self._since is None or moment == NULL:
            return False
        # A date beyond any backup was written by somebody, and says nothing about the file.
        return self._since <= moment <= self._until

    # --- the verdict ----------------------------------------------------------------------------

    def conclude(self):
        """Fill the report; raise :class:`NotConsistent` when something is not as it should be."""
        report = self._report
        report.attachments, report.users = self._rows_in(ATTACHMENTS), self._rows_in(USERS)
        report.modules = len(self._modules)
        # A name that cannot be read is that of no table elsewhere.
        report.rows = {
            name: rows for name, rows in self._schema.rows.items() if UNREADABLE not in name
        }
        report.tables = len(self._schema.rows)
        report.of_extensions = self._schema.of_extensions()
        home = self._schema.home
        report.volatile = self._schema.emptied_with(
            f"{home}.{name}" for name in (*VOLATILE, *self._wizards)
        )
        self._note()
        findings = [*self._about_tables(), *self._about_manifest(), *self._about_files()]
        if self._has_files():
            about_files = len(list(self._about_files()))
            is_all = len(findings) == about_files
            report.gaps = self._gaps.result(self._found, self._inventory, is_all)
        if findings:
            hint = HINT if report.gaps.get("only") else None
            raise NotConsistent(joined("; ", findings, end="."), hint, report)
        report.level = CONSISTENT

    def _has_files(self):
        """Whether there is a filestore to look for gaps in: where all is missing there is none."""
        is_zip = self._report.archive_format == "zip"
        return is_zip and self._wanted.filestore and bool(self._report.filestore_files)

    def _rows_in(self, name):
        """Return how many rows the dump has of a table of Odoo, its partitions included."""
        return sum(self._schema.rows[table] for table in self._seen.get(name, ()))

    def _about_tables(self):
        if not self._script.readable:
            # It may have been the one that creates a table.
            return
        without_rows, gone = self._schema.without_rows(), self._schema.never_created()
        if without_rows:
            yield _("The dump lacks the rows of %(tables)s", tables=_tables(without_rows))
        if gone:
            tables = _tables(gone)
            yield _("The dump lacks %(tables)s whose keys or indexes it has", tables=tables)
        # One that is partitioned may have no partition yet.
        wanted = [f"{self._schema.home}.{name}" for name in ANCHORS if name not in self._seen]
        lacking = [name for name in wanted if name not in gone and not self._schema.is_known(name)]
        if lacking:
            tables = _tables(lacking)
            yield _("The dump is of no Odoo database: it lacks %(tables)s", tables=tables)

    def _about_manifest(self):
        if not self._report.manifest or MODULES not in self._seen:
            return
        told = self._report.manifest["modules"]
        # Whoever installs a module while the backup is made changes one of the two.
        names = {*told, *self._modules} - self._changing
        absent = object()
        others = sorted(
            name for name in names if told.get(name, absent) != self._modules.get(name, absent)
        )
        if others:
            yield _(
                "The manifest is of another database or of another time: its modules and versions "
                "are not those of the dump (%(names)s)",
                names=_listed(others, len(others)),
            )

    def _about_files(self):
        found = self._found
        if found is None:
            return
        if found.missing and self._wanted.filestore:
            if self._report.filestore_files:
                yield _missing(found.missing, found.first_missing)
            else:
                yield _(
                    "The archive holds no filestore, although attachments of the dump have "
                    "%(count)s files there",
                    count=found.missing,
                )
        if found.damaged:
            yield _damaged(found.damaged, found.first_damaged)

    def _note(self):
        """Count the files, and note what is no fault of the archive."""
        report = self._report
        notes = report.notes
        found = self._inventory.compare()
        report.attachments_in_database = self._attachments.in_rows + found.in_database
        report.attachments_elsewhere = self._attachments.elsewhere
        notes.extend(_about_places(report.attachments_in_database, report.attachments_elsewhere))
        notes.extend(self._about_schema())
        if report.archive_format == "dump":
            if stored := self._stored(found):
                notes.append(
                    _(
                        "%(count)s attachments have their content in the filestore, which is no "
                        "part of a dump.",
                        count=stored,
                    )
                )
            return
        if self._wanted.filestore and not report.filestore_files:
            # Odoo copies the filestore first, but a copy without a file is none: nothing is late.
            found = found._replace(missing=found.missing + found.late, late=0)
        if self._has_files():
            found = self._gaps.take_known(found, self._inventory, report)
        self._found = found
        report.missing_files, report.damaged_files = found.missing, found.damaged
        report.late_files, report.surplus_files = found.late, found.surplus
        if found.missing and not self._wanted.filestore:
            notes.append(
                _(
                    "%(count)s files of the filestore were left out, as asked for.",
                    count=found.missing,
                )
            )
        notes.extend(_harmless(found, self._wanted.gone))

    def _stored(self, found):
        """Return how many attachments have their content in the filestore.

        Attachments of one content share a file. Which files are in the database after all is known
        of files alone, so there the files are what is counted.
        """
        return found.missing + found.late if found.in_database else self._attachments.in_files

    def _about_schema(self):
        schema, perhaps = self._schema.home, self._schema.perhaps_of_extensions()
        if schema != PUBLIC:
            yield _(
                "The tables of Odoo are in the schema “%(schema)s”. Once restored, the database "
                "needs that schema in its search_path (ALTER DATABASE … SET search_path).",
                schema=schema,
            )
        if perhaps:
            yield _(
                "Foreign keys lead to %(tables)s that the dump does not create. An extension in it "
                "may create them; only a restore test can show that.",
                tables=_tables(perhaps),
            )


class StoredFile:
    """A file of the filestore, whose name is the SHA-1 of its content."""

    def __init__(self, name, inventory):
        self._name = name.removeprefix(FILESTORE).encode()
        self._inventory = inventory
        self._expected = checksum_in(self._name)
        self._digest = hashlib.sha1(usedforsecurity=False)
        self.feed = self._digest.update

    def finish(self):
        # Other names say nothing about the content.
        damaged = self._expected not in (None, self._digest.digest())
        self._inventory.held(self._name, damaged)


class HashedFile:
    """A file of the filestore that was compared with its name by the writer of this archive.

    The checksum of the member says that these are the bytes that were compared.
    """

    def __init__(self, name, inventory):
        self._name = name.removeprefix(FILESTORE).encode()
        self._inventory = inventory

    def feed(self, block):
        """What it holds is known."""

    def finish(self):
        self._inventory.held(self._name)


def _database_time(since, margin):
    """Return the moment, ``margin`` seconds later, as Odoo's dates compare with it in a dump; None
    where it is not known."""
    if since is None:
        return None
    moment = since.astimezone(datetime.timezone.utc) + datetime.timedelta(seconds=margin)
    return f"{moment:%Y-%m-%d %H:%M:%S.%f}".encode()


def _about_places(inside, outside):
    """Yield the note on attachments whose content is not in the filestore."""
    if inside and outside:
        one = _(
            "1 attachment is kept in the database, %(outside)s outside of it and not in this "
            "archive.",
            outside=outside,
        )
        many = _(
            "%(inside)s attachments are kept in the database, %(outside)s outside of it and not in "
            "this archive.",
            inside=inside,
            outside=outside,
        )
        yield one if inside == 1 else many
    elif inside:
        many = _("%(count)s attachments are kept in the database.", count=inside)
        yield _("1 attachment is kept in the database.") if inside == 1 else many
    elif outside:
        one = _("1 attachment is kept outside of Odoo and not in this archive.")
        many = _(
            "%(count)s attachments are kept outside of Odoo and not in this archive.",
            count=outside,
        )
        yield one if outside == 1 else many


def _harmless(found, gone):
    if found.late and gone:
        yield _(
            "%(count)s files were deleted, with their attachments, while the backup was made.",
            count=found.late,
        )
    elif found.late:
        yield _(
            "%(count)s files were written while the backup was made: Odoo copies the filestore "
            "before the database. The next backup has them.",
            count=found.late,
        )
    if found.surplus:
        yield _(
            "%(count)s files of the filestore belong to no attachment; Odoo deletes such files in "
            "its own time.",
            count=found.surplus,
        )


def _missing(count, first):
    names = _listed(first, count)
    if count == 1:
        return _("1 file of the filestore is missing: %(names)s", names=names)
    return _(
        "%(count)s files of the filestore are missing: %(names)s", count=count, names=names
    )


def _damaged(count, first):
    names = _listed(first, count)
    if count == 1:
        return _(
            "1 file of the filestore is damaged (the content is another): %(names)s", names=names
        )
    return _(
        "%(count)s files of the filestore are damaged (the content is another): %(names)s",
        count=count,
        names=names,
    )


def _tables(names):
    listed = _listed(names, len(names))
    if len(names) == 1:
        return _("1 table (%(names)s)", names=listed)
    return _("%(count)s tables (%(names)s)", count=len(names), names=listed)


def _listed(names, count):
    """Return the first names as text, and how many more there are of ``count``."""
    shown = list(names[:NAMED])
    if count <= len(shown):
        return ", ".join(shown)
    return _("%(names)s and %(count)s more", names=shown, count=count - len(shown))
