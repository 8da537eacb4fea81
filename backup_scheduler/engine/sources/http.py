"""An Odoo server through its database manager, ``/web/database``. Odoo 14 to 20.

Source of the quirks handled here: ``addons/web/controllers/database.py`` and ``service/db.py`` of
those versions. The three that matter most:

* a server that still has the default master password *changes it* to whatever a backup request
  carries, so its protection is looked at before any password is sent there;
* every error of the backup is a page with status 200;
* a prefork server answers without length and cuts a reader that pauses for two seconds: the loop
  that reads does nothing else.
"""

import http.client
import json
import re
import urllib.parse
import xmlrpc.client

from ..errors import (
    ConnectionFailed,
    DatabaseManagerDisabled,
    InsecureRemote,
    NotOdoo,
    RemoteError,
    SourceTimeout,
    Truncated,
    UnknownDatabase,
    WrongMasterPassword,
)
from ..kinds import Setting
from ..messages import _
from ..spool import BLOCK
from .base import Server, Source
from .http_answers import (
    PASSWORD_FIELD,
    has_default_password,
    last_line,
    names_of,
    page_message,
    version_of,
    xmlrpc_value,
)
from .http_client import MANAGER_LIMIT, HttpClient, checked_url, same_address

DEFAULT_PASSWORD = "admin"  # noqa: S105 - the remote's default, the one that is looked for
# Seconds. With a zip the first byte comes after the whole dump: hours for a large company.
FIRST_BYTE_TIMEOUT = 6 * 3600
# Seconds. Once bytes flow they come from finished files; a pause this long is a dead server.
NEXT_BYTE_TIMEOUT = 300

NO_SUCH_DATABASE = re.compile(r"database .{1,80} (does not exist|is not known)", re.I)
# The warning that the page shows beside a form that sends the default password as the old one.
UNPROTECTED = "is not protected"
# What a page must have to be believed when it shows none of the two: a cut one may lack them.
WHOLE = "</html>"
DISABLED = "disabled by the administrator"
DENIED = "Access Denied"
SILENT = _("The server failed without a message.")
# Odoo's fault code of the same.
ACCESS_DENIED = 3


class HttpSource(Source):
    """``client`` speaks to it; ``password`` is what may be sent to its database manager, once
    :meth:`probe` has said that it may.
    """

    LABEL = "Database manager (HTTP)"
    SETTINGS = (
        Setting(
            "url",
            "Address",
            required=True,
            server=True,
            placeholder="https://odoo.example.com",
            help="The root of the server, such as https://odoo.example.com. Another server needs "
            "its master password entered again: what is stored was given for this one alone.",
        ),
        Setting(
            "master_password",
            "Master Password",
            secret=True,
            help="The master password (admin_passwd) of that server. It is stored encrypted and "
            "can be replaced, never read.",
        ),
        Setting(
            "verify_tls",
            "Verify Certificate",
            kind="boolean",
            default=True,
            proof=True,
            help="Refuse a server whose certificate is not valid for its name. Where it is "
            "switched off, the master password has to be entered again: a man in the middle can "
            "read it then.",
        ),
        Setting(
            "allow_insecure",
            "Allow the Default Master Password",
            kind="boolean",
            help="Back this server up although it still has Odoo's default master password. It "
            "keeps that password; nothing is changed there.",
        ),
    )
    CAN_RESTORE = True

    def __init__(self, url, master_password, control, verify_tls=True, allow_insecure=False):
        self.client = HttpClient(url, verify_tls, control)
        self.password = master_password or ""
        self._allow_insecure = allow_insecure
        self._control = control

    def probe(self):
        version = self._version()
        self._check_protection()
        databases = tuple(self._databases())
        return Server(version=version, databases=databases, clock=self.client.clock)

    @classmethod
    def normalized(cls, settings):
        return {**settings, "url": checked_url(settings["url"])}

    @classmethod
    def name_of(cls, settings):
        try:
            return urllib.parse.urlsplit(settings["url"]).hostname or ""
        except ValueError:
            # It is entered, and not looked at yet.
            return ""

    @classmethod
    def is_same(cls, settings, other):
        return same_address(settings["url"], other["url"])

    @classmethod
    def restore(cls, *arguments):
        # It reads a database back, and so needs this module.
        from ..restore.http import restore

        return restore(*arguments)

    # --- the backup itself ----------------------------------------------------------------------

    def fetch(self, database, archive_format, include_filestore, write):
        form = {"master_pwd": self.password, "name": database, "backup_format": archive_format}
        if not include_filestore:
            # Since Odoo 19; its default is to include it, and older ones always do.
            form["filestore"] = "false"
        with self.client.request(
            "POST",
            "/web/database/backup",
            urllib.parse.urlencode(form),
            "application/x-www-form-urlencoded",
            timeout=FIRST_BYTE_TIMEOUT,
        ) as answer:
            if answer.status != http.HTTPStatus.OK or answer.is_page:
                raise refusal(answer, database)
            answer.set_timeout(NEXT_BYTE_TIMEOUT)
            self._drain(answer, write)

    def _drain(self, answer, write):
        """Read to the end as fast as the bytes come, and nothing else."""
        buffer = memoryview(bytearray(BLOCK))
        received = 0
        try:
            while read := answer.readinto(buffer):
                write(buffer[:read])
                received += read
                self._control.progress(received)
        except TimeoutError as error:
            self._control.check()
            raise SourceTimeout(
                _(
                    "The server sent nothing for %(seconds)s s, after %(received)s "
                    "bytes.",
                    seconds=NEXT_BYTE_TIMEOUT,
                    received=received,
                )
            ) from error
        except (ConnectionError, http.client.HTTPException) as error:
            self._control.check()
            raise Truncated(
                _("The connection broke after %(received)s bytes.", received=received)
            ) from error
        self._control.check()

    # --- the questions before it ----------------------------------------------------------------

    def _version(self):
        """Return the server's version, which proves that it is an Odoo."""
        try:
            page = self._ask_json("/web/webclient/version_info")
            return version_of(page, "result", "server_version")
        except ValueError:
            return self._version_since_19()

    def _version_since_19(self):
        with self.client.request("GET", "/web/version") as answer:
            require_up(answer)
            page = answer.page()
        try:
            return version_of(page, "version")
        except ValueError as error:
            raise NotOdoo(_("What answers at this address is not Odoo.")) from error

    def _check_protection(self):
        """Refuse a server that would take our password for its own; raise if it is a wrong one.

        Nothing is sent to its database manager before its page has said that it is protected.
        """
        if self._page_says_unprotected():
            self._check_insecure()
            return
        accepted = self._accepts(self.password)
        if accepted is False:
            raise WrongMasterPassword(_("The server does not accept the master password."))
        if self.password == DEFAULT_PASSWORD:
            self._check_insecure()

    def _page_says_unprotected(self):
        with self.client.request("GET", "/web/database/manager") as answer:
            require_up(answer)
            page = answer.page(MANAGER_LIMIT) if answer.is_page else ""
        if answer.status != http.HTTPStatus.OK:
            raise DatabaseManagerDisabled(
                _(
                    "/web/database is closed: %(status)s %(reason)s.",
                    status=answer.status,
                    reason=answer.reason,
                )
            )
        if DISABLED in page:
            raise DatabaseManagerDisabled(_("The server's database manager is switched off."))
        if UNPROTECTED in page or has_default_password(page):
            return True
        if WHOLE not in page:
            raise ConnectionFailed(_("The page /web/database/manager came without its end."))
        if PASSWORD_FIELD not in page:
            raise DatabaseManagerDisabled(
                _("What answers at /web/database/manager is not Odoo's database manager.")
            )
        return False

    def _check_insecure(self):
        if not self._allow_insecure:
            raise InsecureRemote(
                _(
                    "The server still has Odoo's default master password, and would take any other "
                    "one sent to it as its new one. Nothing was sent."
                )
            )
        # Any other password would become the server's own.
        self.password = DEFAULT_PASSWORD

    def _accepts(self, password):
        """Ask whether ``password`` is the master password, by migrating no database at all.

        Returns None where the server has no XML-RPC to ask by (it may be closed by a proxy, and
        goes away with Odoo 20): then the backup itself tells.
        """
        body = xmlrpc.client.dumps((password, []), "migrate_databases").encode()
        with self.client.request("POST", "/xmlrpc/2/db", body, "text/xml") as answer:
            page = answer.page()
        if answer.status != http.HTTPStatus.OK:
            return None
        try:
            return xmlrpc_value(page) is True
        except xmlrpc.client.Fault as fault:
            if fault.faultCode == ACCESS_DENIED or DENIED in str(fault.faultString):
                return False
            raise RemoteError(last_line(fault.faultString) or SILENT) from fault
        except ValueError:
            return None

    def _databases(self):
        """Return the databases that this address backs up: a dbfilter may hide others."""
        try:
            return names_of(self._ask_json("/web/database/list"))
        except ValueError as error:
            raise DatabaseManagerDisabled(_("The server does not list its databases.")) from error

    def _ask_json(self, path):
        """Return what a JSON-RPC route answers, as text."""
        body = json.dumps({"jsonrpc": "2.0", "method": "call", "params": {}}).encode()
        with self.client.request("POST", path, body, "application/json") as answer:
            require_up(answer)
            return answer.page()


def require_up(answer):
    """Raise :class:`ConnectionFailed` where a proxy says that there is no server behind it now.

    HAProxy and the ingresses of Kubernetes answer 503 while an Odoo is restarted: that says nothing
    about what is there otherwise.
    """
    if answer.status == http.HTTPStatus.SERVICE_UNAVAILABLE:
        raise ConnectionFailed(
            _(
                "The server answered %(status)s %(reason)s: it is down, or restarting.",
                status=answer.status,
                reason=answer.reason,
            )
        )


def refusal(answer, database):
    """Return the error that a page in place of a backup tells."""
    text = page_message(answer.page()) if answer.is_page else ""
    if DENIED in text:
        return WrongMasterPassword(_("The server refused the backup: Access Denied."))
    if NO_SUCH_DATABASE.search(text):
        return UnknownDatabase(_("The server has no database %(database)r.", database=database))
    if answer.status in (http.HTTPStatus.FORBIDDEN, http.HTTPStatus.NOT_FOUND):
        return DatabaseManagerDisabled(
            _(
                "/web/database/backup is closed: %(status)s %(reason)s.",
                status=answer.status,
                reason=answer.reason,
            )
        )
    return RemoteError(text or unexplained(answer))


def unexplained(answer):
    """Return what is told of an answer that is none of Odoo's."""
    return _(
        "The server answered %(status)s %(reason)s (%(type)s), which is no answer of Odoo's.",
        status=answer.status,
        reason=answer.reason,
        type=answer.headers.get_content_type(),
    )

