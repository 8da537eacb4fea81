"""What an Odoo answers any visitor: its version, and its databases."""

import contextlib
import http
import json
import xmlrpc.client

from ..errors import DatabaseManagerDisabled, DatabasesUnavailable, NotOdoo, ProxyRefused
from ..messages import _
from .http_answers import json_value, names_of, rpc_error, version_of, xmlrpc_value
from .http_status import led_away, other_server, require_let_in, require_passed

# How psycopg2 and Odoo's pool of connections name that PostgreSQL cannot be asked.
POSTGRESQL_DOWN = ("OperationalError", "PoolError")
# How a proxy in front closes XML-RPC, while the rest of the server is open.
CLOSED = (http.HTTPStatus.UNAUTHORIZED, http.HTTPStatus.NOT_IMPLEMENTED)


@contextlib.contextmanager
def asked(client, *arguments):
    """Yield the answer to a question that costs the server nothing; raise what its status means
    whatever was asked for."""
    with client.request(*arguments) as answer:
        require_passed(answer)
        yield answer


def ask_json(client, path, require=lambda _answer: None):
    """Return what a JSON-RPC route answers, as text."""
    body = json.dumps({"jsonrpc": "2.0", "method": "call", "params": {}}).encode()
    with asked(client, "POST", path, body, "application/json") as answer:
        require(answer)
        return answer.page()


def call_db(client, method, *arguments):
    """Return what the service ``db`` of XML-RPC answers; ValueError where there is none.

    Raises :class:`xmlrpc.client.Fault`.
    """
    body = xmlrpc.client.dumps(arguments, method).encode()
    with client.request("POST", "/xmlrpc/2/db", body, "text/xml") as answer:
        if answer.status not in CLOSED:
            require_passed(answer)
        page = answer.page()
    if answer.status != http.HTTPStatus.OK:
        raise ValueError(answer.line)
    return xmlrpc_value(page)


# --- the version --------------------------------------------------------------------------------


def version(client):
    """Return the server's version, which proves that it is an Odoo."""
    refused = None
    try:
        page = ask_json(client, "/web/webclient/version_info", require_let_in)
        return version_of(page, "result", "server_version")
    except ProxyRefused as error:
        refused = error
    except ValueError:
        # It goes away after Odoo 19.
        pass
    try:
        return version_since_19(client)
    except NotOdoo as error:
        raise (refused or error) from None


def version_since_19(client):
    with asked(client, "GET", "/web/version") as answer:
        require_let_in(answer)
        page = answer.page()
    try:
        return version_of(page, "version")
    except ValueError as error:
        raise NotOdoo(
            _(
                "What answers at %(address)s is not Odoo: /web/version gave %(answer)s.",
                address=answer.place,
                answer=answer.line,
            )
        ) from error


# --- its databases ------------------------------------------------------------------------------


def confirmed_databases(client):
    """Return the names of the databases, and whether the list can be believed.

    An Odoo whose PostgreSQL is down, or has no free connection, lists none with status 200
    (measured: Odoo 19). Raises :class:`DatabasesUnavailable` where it is known to be so.
    """
    if names := databases(client):
        return names, True
    answers = postgresql_answers(client)
    if answers is False:
        raise DatabasesUnavailable(
            _("The server lists no database: its PostgreSQL does not answer.")
        )
    # It may have been back just in time.
    return (databases(client), True) if answers else (names, False)


def databases(client):
    """Return the databases that this address backs up: a dbfilter may hide others."""
    page = ask_json(client, "/web/database/list", require_open)
    try:
        return names_of(page)
    except ValueError as error:
        if rpc_error(page).endswith(POSTGRESQL_DOWN):
            raise DatabasesUnavailable(
                _("The server cannot list its databases: its PostgreSQL does not answer.")
            ) from error
        raise DatabaseManagerDisabled(_("The server does not list its databases.")) from error


def require_open(answer):
    if other_server(answer):
        raise led_away(answer)
    if answer.status != http.HTTPStatus.OK:
        raise DatabaseManagerDisabled(
            _("The server does not list its databases: %(answer)s.", answer=answer.line)
        )


def postgresql_answers(client):
    """Return whether the server reaches its PostgreSQL; None where it does not say."""
    with client.request("GET", "/web/health?db_server_status=1") as answer:
        page = answer.page()
    try:
        value = json_value(page, "db_server_status")
    except ValueError:
        # Before Odoo 19, or a proxy has a page of its own there.
        value = None
    return value if isinstance(value, bool) else lists_by_rpc(client)


def lists_by_rpc(client):
    """Return the same by XML-RPC, which fails where the page of databases says that it has none."""
    try:
        return isinstance(call_db(client, "list"), list) or None
    except xmlrpc.client.Fault as fault:
        message = str(fault.faultString)
        return False if any(name in message for name in POSTGRESQL_DOWN) else None
    except ValueError:
        return None
