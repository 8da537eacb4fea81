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
import urllib.parse
import xmlrpc.client

from ..errors import (
    ConnectionFailed,
    DatabaseManagerDisabled,
    DatabasesUnavailable,
    InsecureRemote,
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
from .http_answers import PASSWORD_FIELD, has_default_password
from .http_client import MANAGER_LIMIT, HttpClient, checked_url, same_address
from .http_questions import asked, call_db, confirmed_databases, postgresql_answers, version
from .http_refusal import DENIED, PG_DUMP_HINT, refusal
from .http_status import OVERLOADED, led_away, other_server

DEFAULT_PASSWORD = "admin"  # noqa: S105 - the remote's default, the one that is looked for
FORM = "application/x-www-form-urlencoded"
# Seconds. With a zip the first byte comes after the whole dump: hours for a large company.
FIRST_BYTE_TIMEOUT = 6 * 3600
# Seconds. Once bytes flow they come from finished files; a pause this long is a dead server.
NEXT_BYTE_TIMEOUT = 300

# A name that no database has: a backup of it changes nothing, and tests the password.
NOBODYS = "backup-scheduler-asks-for-the-password"
# The warning that the page shows beside a form that sends the default password as the old one.
UNPROTECTED = "is not protected"
# What a page must have to be believed when it shows none of the two: a cut one may lack them.
WHOLE = "</html>"
DISABLED = "disabled by the administrator"
# Odoo's fault code of a refused password.
ACCESS_DENIED = 3
NONE_LISTED = _("The server lists no database.")


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
        self._is_unproven = False

    def probe(self):
        served = version(self.client)
        self._check_protection()
        databases, confirmed = confirmed_databases(self.client)
        return Server(served, tuple(databases), self.client.clock, confirmed)

    def require_access(self):
        """Raise :class:`WrongMasterPassword` where :meth:`probe` could not find that out.

        An Odoo 20 says it only to a backup: it is asked for one of a database that it does not
        have. It writes that into its log, so nobody asks who makes a backup anyway.
        """
        if not self._is_unproven:
            return
        form = urllib.parse.urlencode(
            {"master_pwd": self.password, "name": NOBODYS, "backup_format": "zip"}
        )
        with self.client.request("POST", "/web/database/backup", form, FORM) as answer:
            error = refusal(answer, NOBODYS)
        if isinstance(error, WrongMasterPassword):
            raise error

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
            FORM,
            timeout=FIRST_BYTE_TIMEOUT,
        ) as answer:
            if answer.status != http.HTTPStatus.OK or answer.is_page:
                self._refuse(refusal(answer, database), database)
            answer.set_timeout(NEXT_BYTE_TIMEOUT)
            received = self._drain(answer, write)
        if not received and archive_format == "dump":
            # The exit code of pg_dump is never read there.
            if postgresql_answers(self.client) is False:
                raise DatabasesUnavailable(
                    _("The server sent an empty file: its PostgreSQL does not answer.")
                )
            raise Truncated(_("The server sent an empty file."), PG_DUMP_HINT)

    def _refuse(self, error, database):
        """Raise the error of a refused backup.

        An Odoo without its PostgreSQL calls every database unknown.
        """
        if isinstance(error, UnknownDatabase):
            names, _confirmed = confirmed_databases(self.client)
            if not names:
                raise DatabasesUnavailable(NONE_LISTED) from error
            if database in names:
                raise RemoteError(
                    _(
                        "The server did not know its database %(database)r for a moment.",
                        database=database,
                    ),
                    OVERLOADED,
                ) from error
        raise error

    def _drain(self, answer, write):
        """Read to the end as fast as the bytes come, and nothing else; return their number."""
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
        return received

    # --- the questions before it ----------------------------------------------------------------

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
        self._is_unproven = accepted is None
        if self.password == DEFAULT_PASSWORD:
            self._check_insecure()

    def _page_says_unprotected(self):
        with asked(self.client, "GET", "/web/database/manager") as answer:
            page = answer.page(MANAGER_LIMIT) if answer.is_page else ""
        if other_server(answer):
            raise led_away(answer)
        if answer.status != http.HTTPStatus.OK:
            raise DatabaseManagerDisabled(
                _("/web/database is closed: %(answer)s.", answer=answer.line)
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

        Returns None where the server cannot be asked this way: a proxy may close its XML-RPC, and
        that of Odoo 20 has no service ``db``, which is a fault like any other.
        """
        try:
            return call_db(self.client, "migrate_databases", password, []) is True
        except xmlrpc.client.Fault as fault:
            refused = fault.faultCode == ACCESS_DENIED or DENIED.search(str(fault.faultString))
            return False if refused else None
        except ValueError:
            return None
