"""An Odoo whose PostgreSQL does not answer, which says so nowhere: as measured with Odoo 19."""

import json
import xmlrpc.client

import pytest
from engine.control import Control
from engine.errors import BackupError, DatabasesUnavailable, RemoteError, Truncated, UnknownDatabase
from engine.sources import open_source
from fake_odoo import error_page, http_error, json_rpc, not_found, rpc_answer

HEALTH = "/web/health?db_server_status=1"
LIST = "/web/database/list"
BACKUP = "/web/database/backup"


def source(odoo):
    return open_source({"connection": "http", **odoo.settings()}, Control())


def fetch(odoo, archive_format="zip"):
    source(odoo).fetch("tiny", archive_format, True, lambda block: None)


def json_page(content, status=200):
    body = json.dumps(content).encode()
    return lambda handler: handler.reply(body, status, "application/json")


def test_a_server_whose_postgresql_is_down_says_so_and_has_not_lost_its_databases(odoo):
    odoo.postgresql = False
    with pytest.raises(DatabasesUnavailable, match="PostgreSQL does not answer") as raised:
        source(odoo).probe()
    assert raised.value.retryable


@pytest.mark.parametrize("answer", [not_found, json_page({"status": "pass"}), json_page([])])
def test_before_odoo_19_its_rpc_tells(odoo, answer):
    odoo.postgresql = False
    odoo.answers[HEALTH] = answer
    with pytest.raises(DatabasesUnavailable, match="PostgreSQL does not answer"):
        source(odoo).probe()


@pytest.mark.parametrize("health", [None, not_found])
def test_a_healthy_server_without_databases_is_believed(odoo, health):
    odoo.databases = []
    if health:
        odoo.answers[HEALTH] = health
    server = source(odoo).probe()
    assert (server.databases, server.confirmed) == ((), True)


def test_a_server_that_cannot_be_asked_for_its_health_is_not_believed(odoo):
    odoo.databases = []
    odoo.answers |= {HEALTH: not_found, "/xmlrpc/2/db": not_found}
    server = source(odoo).probe()
    assert (server.databases, server.confirmed) == ((), False)


def test_an_rpc_that_refuses_to_list_says_nothing(odoo):
    """list_db = False."""
    odoo.databases = []
    odoo.answers[HEALTH] = not_found
    normal = odoo.routes["/xmlrpc/2/db"]

    def denied(handler):
        if b"migrate" in handler.body:
            normal(handler)
        else:
            rpc_answer(handler, xmlrpc.client.Fault(3, "Access Denied"))

    odoo.answers["/xmlrpc/2/db"] = denied
    assert source(odoo).probe().confirmed is False


def test_a_server_that_is_back_between_two_questions_has_its_databases(odoo):
    answers = [json_rpc([]), json_rpc(["tiny"])]
    odoo.answers[LIST] = lambda handler: answers.pop(0)(handler)
    assert source(odoo).probe().databases == ("tiny",)


@pytest.mark.parametrize("name", ["psycopg2.OperationalError", "psycopg2.pool.PoolError"])
def test_a_list_that_fails_for_want_of_a_connection_is_passing(odoo, name):
    error = {"code": 200, "message": "Odoo Server Error", "data": {"name": name}}
    odoo.answers[LIST] = json_page({"jsonrpc": "2.0", "error": error})
    with pytest.raises(DatabasesUnavailable):
        source(odoo).probe()


def test_a_list_that_is_denied_is_not(odoo):
    error = {"code": 200, "data": {"name": "odoo.exceptions.AccessDenied"}}
    odoo.answers[LIST] = json_page({"jsonrpc": "2.0", "error": error})
    with pytest.raises(BackupError) as raised:
        source(odoo).probe()
    assert raised.value.code == "database_manager_disabled"


# --- while it is backed up ----------------------------------------------------------------------


def test_a_database_that_is_unknown_because_postgresql_went_down_is_tried_again(odoo):
    odoo.postgresql = False
    with pytest.raises(DatabasesUnavailable):
        fetch(odoo)


def test_one_that_is_unknown_while_nothing_tells_of_health_is_tried_again(odoo):
    odoo.databases = []
    odoo.answers |= {HEALTH: not_found, "/xmlrpc/2/db": not_found}
    with pytest.raises(DatabasesUnavailable):
        fetch(odoo)


def test_one_that_is_listed_again_is_tried_again(odoo):
    page = error_page("Database 'tiny' is not known")
    odoo.answers[BACKUP] = lambda handler: handler.reply(page)
    with pytest.raises(RemoteError, match="for a moment") as raised:
        fetch(odoo)
    assert raised.value.retryable


def test_one_that_is_gone_from_a_healthy_server_is_unknown(odoo):
    odoo.databases = ["another"]
    with pytest.raises(UnknownDatabase):
        fetch(odoo)


# --- its pg_dump, and its disk ------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "Command &#39;[&#39;/usr/bin/pg_dump&#39;, &#39;--no-owner&#39;, &#39;--file=/tmp/x/dump"
        ".sql&#39;, &#39;tiny&#39;]&#39; returned non-zero exit status 1.",
        "Postgres subprocess (&#39;/usr/bin/pg_dump&#39;, &#39;--no-owner&#39;, &#39;tiny&#39;) "
        "error 1",
    ],
    ids=["Odoo 15 to 19", "Odoo 14"],
)
def test_a_pg_dump_that_failed_there_is_most_often_too_old(odoo, text):
    odoo.answers[BACKUP] = lambda handler: handler.reply(error_page(text))
    with pytest.raises(RemoteError, match=r"pg_dump.* 1\.?$") as raised:
        fetch(odoo)
    assert "older than its PostgreSQL" in raised.value.hint


def test_an_empty_dump_is_one_of_a_pg_dump_that_failed(odoo):
    """Its exit code is never read there, and status 200 is sent before it begins."""
    odoo.archive = b""
    with pytest.raises(Truncated, match="empty") as raised:
        fetch(odoo, "dump")
    assert "older than its PostgreSQL" in raised.value.hint
    assert raised.value.retryable


def test_an_empty_dump_of_a_server_without_its_postgresql_is_an_outage(odoo):
    """Measured with db_name in the configuration of an Odoo 19: all is listed, and 200 answered."""
    odoo.archive = b""
    normal = odoo.routes[BACKUP]

    def down_meanwhile(handler):
        normal(handler)
        odoo.postgresql = False

    odoo.answers[BACKUP] = down_meanwhile
    with pytest.raises(DatabasesUnavailable, match="empty file: its PostgreSQL"):
        fetch(odoo, "dump")


@pytest.mark.parametrize(
    ("status", "code", "reason"),
    [
        (500, "remote_error", "The server encountered an internal error and was unable to …"),
        (404, "database_manager_disabled", "The requested URL was not found on the server."),
        (403, "database_manager_disabled", "You don't have the permission to access …"),
    ],
)
def test_an_error_page_that_says_no_more_than_its_status_is_told_by_that(
    odoo, status, code, reason
):
    """Measured: an Odoo 19 with db_name in its configuration, its PostgreSQL stopped."""
    odoo.answers[BACKUP] = lambda handler: http_error(handler, status, reason)
    with pytest.raises(BackupError, match=str(status)) as raised:
        fetch(odoo)
    assert raised.value.code == code


def test_what_a_server_says_is_bounded(odoo):
    odoo.answers[BACKUP] = lambda handler: handler.reply(error_page("x" * 44_000))
    with pytest.raises(RemoteError) as raised:
        fetch(odoo)
    assert len(raised.value.message) <= 1000
