"""An Odoo 20: its database manager answers with statuses, and its RPC has no service ``db``."""

import pytest
import restore_http_world as world
from engine.control import Control
from engine.errors import (
    BackupError,
    DatabasesUnavailable,
    InsecureRemote,
    RestoreRefused,
    UnknownDatabase,
    WrongMasterPassword,
)
from engine.sources import open_source
from engine.transfer import ACTIONS
from fake_odoo import ARCHIVE, PASSWORD, FakeOdoo20, error_page
from restore_http_world import NAME, RESTORE, archive_of, dump_of

archive, back = world.archive, world.back
BACKUP = "/web/database/backup"


@pytest.fixture
def odoo():
    with FakeOdoo20() as server:
        server.restored = dump_of
        yield server


def source(odoo, **settings):
    return open_source({"connection": "http", **odoo.settings(**settings)}, Control())


def discover(odoo, **settings):
    order = {"source": {"connection": "http", **odoo.settings(**settings)}}
    return ACTIONS["discover"](order, Control())


def test_it_is_backed_up(odoo):
    received = bytearray()
    asked = source(odoo)
    server = asked.probe()
    asked.fetch("tiny", "zip", True, received.extend)
    assert (server.version, server.databases) == ("20.0", ("tiny",))
    assert received == ARCHIVE
    assert len(odoo.backup_forms()) == 1, "A backup asks for nothing that only tests need"


def test_a_test_of_the_connection_finds_its_databases(odoo):
    assert discover(odoo) == {"version": "20.0", "databases": ["tiny"], "confirmed": True}


@pytest.mark.parametrize("page", [None, error_page("bad admin password")])
def test_a_wrong_master_password_is_told_by_a_test_of_the_connection(odoo, page):
    if page:
        odoo.answers[BACKUP] = lambda handler: handler.reply(page, 403)
    with pytest.raises(WrongMasterPassword):
        discover(odoo, master_password="wrong")
    assert [form["name"] for form in odoo.backup_forms()] != ["tiny"], "No database was dumped"


def test_a_wrong_master_password_is_told_by_the_backup(odoo):
    asked = source(odoo, master_password="wrong")
    asked.probe()
    with pytest.raises(WrongMasterPassword):
        asked.fetch("tiny", "zip", True, lambda block: None)


@pytest.mark.parametrize("status", [400, 404, 500])
def test_a_test_of_the_connection_needs_no_more_than_the_password(odoo, status):
    """Whatever it says of a database that it does not have."""
    odoo.answers[BACKUP] = lambda handler: handler.reply(b"<html></html>", status)
    assert discover(odoo)["databases"] == ["tiny"]


def test_an_older_server_is_asked_for_no_backup_by_a_test_of_the_connection(odoo):
    with world.FakeOdoo() as older:
        discover(older)
        assert older.backup_forms() == []


def test_a_server_that_keeps_its_default_password_is_asked_for_none_either(odoo):
    with FakeOdoo20(insecure=True) as insecure:
        assert discover(insecure, allow_insecure=True)["databases"] == ["tiny"]
        with pytest.raises(InsecureRemote):
            discover(insecure)
        assert insecure.backup_forms() == []


def test_a_database_that_it_does_not_have_is_unknown(odoo):
    with pytest.raises(UnknownDatabase):
        source(odoo).fetch("shop", "zip", True, lambda block: None)


def test_its_own_reason_is_told(odoo):
    reason = b"<!doctype html>\n<html lang=en>\n<title>500 Internal Server Error</title>\n"
    reason += b"<h1>Internal Server Error</h1>\n<p>[Errno 28] No space left on device</p>\n"
    odoo.answers[BACKUP] = lambda handler: handler.reply(reason, 500)
    with pytest.raises(BackupError, match="disk of that server is full") as raised:
        source(odoo).fetch("tiny", "zip", True, lambda block: None)
    assert raised.value.code == "remote_no_space"


def test_a_closed_database_manager_is_no_wrong_password(odoo):
    odoo.answers[BACKUP] = lambda handler: handler.reply(b"<html>Access Denied</html>", 403)
    with pytest.raises(BackupError) as raised:
        source(odoo).fetch("tiny", "zip", True, lambda block: None)
    assert raised.value.code == "database_manager_disabled"


def test_its_outage_is_told_by_its_health(odoo):
    odoo.postgresql = False
    with pytest.raises(DatabasesUnavailable, match="PostgreSQL does not answer"):
        source(odoo).probe()


# --- restores -----------------------------------------------------------------------------------


def test_a_zip_is_restored_there(odoo, back):
    assert back(report={"odoo_version": "20.0"})["database"] == NAME


def test_a_dump_is_refused_before_anything_is_sent(odoo, archive, back):
    archive.write_bytes(dump_of("shop"))
    with pytest.raises(RestoreRefused, match="Odoo 20.0 restores no custom dumps") as raised:
        back(archive_format="dump", report={"odoo_version": "20.0"})
    assert "zip" in raised.value.hint
    assert odoo.asked(RESTORE) == []
    assert NAME not in odoo.databases


def test_a_wrong_master_password_is_told_before_a_restore_is_sent(odoo, archive, back):
    archive.write_bytes(archive_of(b"SELECT 1;\n"))
    with pytest.raises(WrongMasterPassword):
        back(report={"odoo_version": "20.0"}, master_password="wrong")
    assert odoo.asked(RESTORE) == []


def test_the_refusal_of_a_restore_is_a_wrong_password(odoo, back):
    normal = odoo.routes[BACKUP]

    def changed_meanwhile(handler):
        normal(handler)
        odoo.master_password = "another"

    odoo.answers[BACKUP] = changed_meanwhile
    with pytest.raises(WrongMasterPassword):
        back(report={"odoo_version": "20.0"})
    assert odoo.asked(RESTORE)
    assert odoo.sent(PASSWORD)
