"""An Odoo server that restores, as the tests of restoring over HTTP share it."""

import io
import os
import socket
import zipfile

import pytest
from engine.control import Control
from engine.restore.http import restore
from fake_odoo import FakeOdoo
from verify_archives import CustomDump, dice
from waiting import PATIENCE, beside

NAME = "shop-test"
RESTORE = "/web/database/restore"
FILLER = dice(7).randbytes(3_000_000) + b"\r\n--boundary--\r\n"
COUNTS = {"tables": 4, "users": 2, "attachments": 3, "modules": 2}
COLUMNS = {
    "ir_attachment": ["id", "name", "store_fname", "create_date", "write_date"],
    "res_users": ["id", "login"],
    "ir_module_module": ["id", "name", "state"],
}


def archive_of(script, filler=FILLER):
    """Return a zip with a dump."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("dump.sql", script)
        archive.writestr("filestore/filler", filler)
    return content.getvalue()


CONTENT = archive_of(b"SELECT 1;\n")


def dump_of(name, tables=4, users=2, attachments=3, modules=2):
    """Return a dump of a database with so many rows, as the new database gives it back."""
    dump = CustomDump(database=name)
    moment = "2026-11-21 10:00:00"
    rows = {
        "ir_attachment": [f"{n}\tlogo\t\\N\t{moment}\t{moment}" for n in range(attachments)],
        "res_users": [f"{n}\tuser{n}" for n in range(users)],
        "ir_module_module": [f"{n}\tmodule{n}\tinstalled" for n in range(modules)]
        + ["99\tsale\tuninstalled"],
    }
    for table, columns in COLUMNS.items():
        copy = f"COPY public.{table} ({', '.join(columns)}) FROM stdin;\n"
        content = "".join(f"{row}\n" for row in rows[table]).encode() + b"\\.\n\n\n"
        dump.entries.append(
            dump.entry(
                table, "TABLE DATA", copy=copy, schema="public", streams=content, chunk=4096
            )
        )
    for number in range(tables - len(COLUMNS)):
        dump.add_table(f"t{number}")
    return dump.build()


@pytest.fixture
def odoo():
    with FakeOdoo(databases=["shop"]) as server:
        server.restored = dump_of
        yield server


@pytest.fixture
def archive(tmp_path):
    path = tmp_path / "archive.zip"
    path.write_bytes(CONTENT)
    return path


@pytest.fixture
def back(odoo, archive, tmp_path):
    """Restore the archive, with this or that another way than usual."""

    def back(control=None, report=None, archive_format="zip", **target):
        target = {**odoo.settings(), "database": NAME, "neutralize": False, "copy": True, **target}
        report = {**COUNTS, "odoo_version": "19.0", "filestore_files": 1, **(report or {})}
        spool = str(tmp_path / "spool")
        try:
            return restore(
                str(archive), archive_format, report, target, control or Control(), spool, "token"
            )
        finally:
            assert not os.path.exists(spool) or os.listdir(spool) == []

    return back


def when_reached(odoo, action):
    def wait():
        odoo.reached.wait(PATIENCE)
        action()

    beside(wait)


def read_body(handler):
    return handler.rfile.read(int(handler.headers["Content-Length"]))


def hang_up(handler):
    """The process is killed: the connection ends without a word."""
    handler.connection.shutdown(socket.SHUT_RDWR)
