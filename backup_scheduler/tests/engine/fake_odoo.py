"""An Odoo server made by code, to do on demand what a real one does only when something is wrong.

Its pages and answers are those of Odoo 14 to 19, cut down to the parts that a reader looks at;
:class:`FakeOdoo20` has the routes and answers of Odoo 20.
"""

import contextlib
import email.parser
import email.policy
import hashlib
import html
import http.client
import http.server
import json
import socket
import ssl
import subprocess
import threading
import time
import urllib.parse
import xmlrpc.client

from verify_archives import DATABASE, dice, members, odoo_zip
from waiting import PATIENCE

PASSWORD = "s3cret-master"
ARCHIVE = odoo_zip()


def large_archive(size):
    """Return a good zip with ``size`` bytes that nothing shrinks."""
    content = dice(1).randbytes(size)
    name = hashlib.sha1(content, usedforsecurity=False).hexdigest()
    return odoo_zip({**members(), f"filestore/{name[:2]}/{name}": content})


PAGE = """<html><head><title>Odoo</title></head><body>{alert}
<form action="/web/database/change_password" method="post">{master_input}</form></body></html>"""
PROTECTED = '<input name="master_pwd" class="form-control" required="required" type="password"/>'
UNPROTECTED = """<input type="hidden" name="master_pwd" class="form-control" value="admin"/>
<div class="alert alert-warning">Warning, your Odoo database manager is not protected.</div>"""
SWITCHED_OFF = """<div class="alert alert-danger text-center">The database manager has been disabled
by the administrator</div>""".replace("\n", " ")


def page(alert="", master_input=PROTECTED):
    return PAGE.format(alert=alert, master_input=master_input).encode()


def error_page(text, what="backup"):
    """What Odoo 14 to 19 answer, with status 200, to a backup or a restore that failed."""
    return page(f'<div class="alert alert-danger">Database {what} error: {text}</div>')


class FakeOdoo:
    """A server on 127.0.0.1, in threads of this process, for the length of a ``with`` block.

    ``answers`` maps a path to what stands in for the normal answer: a function of the handler;
    ``early`` does so before anything of the body is read. ``requests`` lists what came in:
    (method, path, body). ``dumps`` maps a database to what its backup is, where it is another than
    ``archive``, and ``restored`` makes such a dump when a database is restored. Who is kept waiting
    (see :meth:`hold`) is meant not to wait: that it did for as long as the server can is a failure.
    ``postgresql`` says whether its PostgreSQL is up: measured with a real Odoo 19, which lists no
    database then, and knows none.
    """

    def __init__(self, archive=ARCHIVE, databases=(DATABASE,), insecure=False, list_db=True):
        self.archive = archive
        self.databases = list(databases)
        # What a dbfilter keeps out of its list, and is there all the same.
        self.hidden = []
        self.insecure = insecure
        self.list_db = list_db
        self.master_password = "admin" if insecure else PASSWORD
        self.postgresql = True
        self.routes = ROUTES
        self.how = chunked
        self.answers = {}
        self.early = {}
        self.requests = []
        self.dumps = {}
        self.restored = lambda name: ARCHIVE
        self.reached = threading.Event()
        self.released = threading.Event()
        self.kept_waiting = False
        self._server = Server(("127.0.0.1", 0), Handler)
        self._server.odoo = self
        self.port = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}"

    def over_tls(self, certificate):
        """Speak TLS with a certificate and key of one file."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        self._server.socket = context.wrap_socket(
            self._server.socket, server_side=True, do_handshake_on_connect=False
        )
        self.url = f"https://127.0.0.1:{self.port}"
        return self

    def __enter__(self):
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_error):
        self.released.set()
        self._server.shutdown()
        self._server.server_close()
        assert not self.kept_waiting, "what was to end at once waited for the server"

    def settings(self, **more):
        return {"url": self.url, "master_password": PASSWORD, **more}

    def asked(self, path):
        """Return the bodies of the requests for ``path``."""
        return [body for _method, asked, body in self.requests if asked == path]

    def backup_forms(self):
        forms = [
            urllib.parse.parse_qs(body.decode()) for body in self.asked("/web/database/backup")
        ]
        return [{key: values[0] for key, values in form.items()} for form in forms]

    def restore_forms(self):
        """Return the fields of each restore that was asked for, the file's content among them."""
        return [form_fields(body) for body in self.asked("/web/database/restore")]

    def sent(self, text):
        """Return whether ``text`` came in, in whatever request."""
        return any(text.encode() in body for _method, _path, body in self.requests)

    @property
    def listed(self):
        return self.databases if self.postgresql else []

    def hold(self, handler):
        """Let the test know that the request is here, and wait for its word."""
        self.reached.set()
        if not self.released.wait(PATIENCE):
            self.kept_waiting = True


class Server(http.server.ThreadingHTTPServer):
    block_on_close = False

    def handle_error(self, request, client_address):
        """A client that goes away in the middle is what many tests are about."""


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self):
        odoo = self.server.odoo
        if self.path in odoo.early:
            odoo.early[self.path](self)
            return
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        kind = self.headers.get("Content-Type", "").encode()
        if kind.startswith(b"multipart/"):
            body = b"Content-Type: " + kind + b"\r\n\r\n" + body
        odoo.requests.append((self.command, self.path, body))
        self.body = body
        self.close_connection = True
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            odoo.answers.get(self.path, odoo.routes.get(self.path, not_found))(self)

    do_POST = do_GET

    def reply(self, body, status=200, content_type="text/html; charset=utf-8", **headers):
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments):
        pass


# --- the normal answers -------------------------------------------------------------------------


def not_found(handler):
    handler.reply(b"<html><title>404 Not Found</title></html>", 404)


def json_rpc(result):
    def answer(handler):
        body = json.dumps({"jsonrpc": "2.0", "id": None, "result": result}).encode()
        handler.reply(body, content_type="application/json; charset=utf-8")

    return answer


def database_list(handler):
    json_rpc(handler.server.odoo.listed)(handler)


def health(handler):
    """Whether it reaches its PostgreSQL, since Odoo 19."""
    up = handler.server.odoo.postgresql
    body = json.dumps({"status": "pass" if up else "fail", "db_server_status": up}).encode()
    handler.reply(body, 200 if up else 500, "application/json; charset=utf-8")


def manager(handler):
    odoo = handler.server.odoo
    alert = "" if odoo.list_db else SWITCHED_OFF
    handler.reply(page(alert, UNPROTECTED if odoo.insecure else PROTECTED))


def xml_rpc(handler):
    """``migrate_databases(password, [])`` and ``list()``, as they answer since Odoo 14."""
    odoo = handler.server.odoo
    arguments, method = xmlrpc.client.loads(handler.body)
    if method == "list":
        found = odoo.listed if odoo.postgresql else xmlrpc.client.Fault(1, NO_POSTGRESQL)
    else:
        granted = arguments[0] == odoo.master_password
        found = True if granted else xmlrpc.client.Fault(3, "Access Denied")
    rpc_answer(handler, found)


NO_POSTGRESQL = """Traceback (most recent call last):
psycopg2.OperationalError: connection to server on socket "/tmp/.s.PGSQL.5432" failed"""


def rpc_answer(handler, found):
    found = found if isinstance(found, xmlrpc.client.Fault) else (found,)
    body = xmlrpc.client.dumps(found, methodresponse=True)
    handler.reply(body.encode(), content_type="text/xml")


def backup(handler):
    """The backup, with the side effect on a server that is not protected."""
    odoo = handler.server.odoo
    (form,) = odoo.backup_forms()[-1:]
    if odoo.insecure and form["master_pwd"]:
        odoo.master_password = form["master_pwd"]
    if form["master_pwd"] != odoo.master_password:
        handler.reply(error_page("Access Denied"))
    elif form["name"] not in odoo.listed:
        handler.reply(error_page(f"Database '{form['name']}' is not known"))
    else:
        odoo.how(handler, odoo.dumps.get(form["name"], odoo.archive))


def restore(handler):
    """The restore, as it answers since Odoo 14: 303 when it thinks that all went well."""
    odoo = handler.server.odoo
    (form,) = odoo.restore_forms()[-1:]
    if odoo.insecure:
        odoo.master_password = form["master_pwd"]
    if form["master_pwd"] != odoo.master_password:
        handler.reply(error_page("Access Denied", "restore"))
    elif form["name"] in [*odoo.databases, *odoo.hidden]:
        handler.reply(error_page("Database already exists", "restore"))
    else:
        odoo.databases.append(form["name"])
        odoo.dumps[form["name"]] = odoo.restored(form["name"])
        handler.reply(b"", 303, Location="/web/database/manager")


def form_fields(body):
    """Return the parts of multipart/form-data by their names, texts and the file's bytes."""
    message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(body)
    fields = {}
    for part in message.iter_parts():
        content = part.get_payload(decode=True)
        is_file = part.get_filename() is not None
        fields[part.get_param("name", header="Content-Disposition")] = (
            content if is_file else content.decode()
        )
    return fields


ROUTES = {
    "/web/webclient/version_info": json_rpc({"server_version": "19.0"}),
    "/web/health?db_server_status=1": health,
    "/web/database/manager": manager,
    "/web/database/list": database_list,
    "/web/database/backup": backup,
    "/web/database/restore": restore,
    "/xmlrpc/2/db": xml_rpc,
}


# --- Odoo 20 -------------------------------------------------------------------------------------


class FakeOdoo20(FakeOdoo):
    """Its database manager has statuses, and its RPC no service ``db``."""

    def __init__(self, **options):
        super().__init__(**options)
        self.routes = {**ROUTES, **ROUTES_SINCE_20}


def http_error(handler, status, told):
    """An error's page as werkzeug makes it."""
    name = http.client.responses[status]
    body = f"<!doctype html>\n<html lang=en>\n<title>{status} {name}</title>\n<h1>{name}</h1>\n"
    handler.reply(f"{body}<p>{html.escape(told)}</p>\n".encode(), status)


def no_service(handler):
    fault = 'Traceback (most recent call last):\n  File "…"\nValueError: Invalid service name: db'
    rpc_answer(handler, xmlrpc.client.Fault(1, fault))


def version_since_19(handler):
    body = b'{"version_info": [20, 0, 0, "final", 0, ""], "version": "20.0"}'
    handler.reply(body, content_type="application/json")


def backup_since_20(handler):
    odoo = handler.server.odoo
    (form,) = odoo.backup_forms()[-1:]
    if form["master_pwd"] != odoo.master_password:
        http_error(handler, 403, "bad admin password")
    elif form["name"] not in odoo.listed:
        http_error(handler, 400, f"Database '{form['name']}' is not known")
    else:
        odoo.how(handler, odoo.dumps.get(form["name"], odoo.archive))


def restore_since_20(handler):
    odoo = handler.server.odoo
    (form,) = odoo.restore_forms()[-1:]
    if form["master_pwd"] != odoo.master_password:
        http_error(handler, 403, "bad admin password")
    elif not form["backup_file"].startswith(b"PK"):
        http_error(handler, 400, "File is not a zip file")
    else:
        restore(handler)


ROUTES_SINCE_20 = {
    "/web/webclient/version_info": not_found,
    "/web/version": version_since_19,
    "/web/database/backup": backup_since_20,
    "/web/database/restore": restore_since_20,
    "/xmlrpc/2/db": no_service,
}


# --- how an archive is sent ---------------------------------------------------------------------


def announce(handler, **headers):
    handler.send_response(200)
    handler.send_header("Content-Type", "application/octet-stream; charset=binary")
    handler.send_header("Content-Disposition", "attachment; filename=backup.zip")
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()


def chunked(handler, content):
    """As the threaded server: HTTP/1.1, chunks."""
    announce(handler, Transfer_Encoding="chunked")
    for start in range(0, len(content), 257):
        part = content[start : start + 257]
        handler.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
    handler.wfile.write(b"0\r\n\r\n")


def chunked_cut(handler, content):
    """The threaded server killed in the middle: the closing chunk never comes."""
    announce(handler, Transfer_Encoding="chunked")
    part = content[: len(content) // 2]
    handler.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))


def prefork(handler, content):
    """As the prefork server: HTTP/1.0, no length, no chunks; the end is the end of the bytes."""
    handler.protocol_version = "HTTP/1.0"
    announce(handler)
    handler.wfile.write(content)


def prefork_cut(handler, content):
    """A prefork worker killed in the middle: nothing tells."""
    prefork(handler, content[: len(content) // 2])


def length_cut(handler, content):
    """A proxy that knew the length and gave up half-way."""
    announce(handler, Content_Length=str(len(content)))
    handler.wfile.write(content[: len(content) // 2])


def reset(handler, content):
    """A server whose machine goes down hard: RST."""
    prefork(handler, content[: len(content) // 2])
    linger = b"\1\0\0\0\0\0\0\0"
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    socket.close(handler.connection.detach())


def stalling(handler, content):
    """Half of it, and then silence on an open connection."""
    prefork(handler, content[: len(content) // 2])
    handler.server.odoo.hold(handler)


def trickling(handler, content):
    """A byte now and then: each read gets something, and it never ends."""
    odoo = handler.server.odoo
    announce(handler)
    odoo.reached.set()
    until = time.monotonic() + PATIENCE
    while not odoo.released.wait(0.02):
        handler.wfile.write(b"P")
        if time.monotonic() > until:
            odoo.kept_waiting = True
            return


# --- other servers ------------------------------------------------------------------------------


@contextlib.contextmanager
def raw_server(answer):
    """Yield the port of a server that sends ``answer`` to whoever says something, and closes."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve():
            with contextlib.suppress(OSError):
                while True:
                    connection, _address = listener.accept()
                    with connection, contextlib.suppress(OSError):
                        connection.recv(65536)
                        connection.sendall(answer)
                        connection.shutdown(socket.SHUT_WR)
                        # Closing with bytes unread would be a reset, which is another story.
                        while connection.recv(65536):
                            pass

        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]
        # Closing alone does not wake the thread that accepts.
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)


def make_certificate(path, name="IP:127.0.0.1"):
    """Make a self-signed certificate with its key, both in one file."""
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
               "-nodes", "-days", "2", "-subj", "/CN=fake", "-addext", f"subjectAltName={name}",
               "-keyout", path, "-out", f"{path}.crt"]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)
    with open(path, "ab") as both, open(f"{path}.crt", "rb") as certificate:
        both.write(certificate.read())
    return path
