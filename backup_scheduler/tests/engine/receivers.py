"""Receivers of alerts on this machine: one that writes down, and those that misbehave."""

import contextlib
import http.server
import socket
import threading

import pytest
from waiting import PATIENCE, beside, joined


class Recorder(http.server.ThreadingHTTPServer):
    """Keeps what it gets, and answers what it is told to: ``(status, headers, body)``."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.got = []
        self.answer = (200, {}, b"ok")
        self.url = f"http://127.0.0.1:{self.server_port}/services/T000/hush-hush"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.server.got.append((self.path, dict(self.headers), body))
        status, headers, answer = self.server.answer
        self.send_response(status)
        for name, value in {"Content-Length": str(len(answer)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_arguments):
        pass


@pytest.fixture
def recorder():
    server = Recorder()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def silence():
    """What a server does that says nothing until the test is over: a function of the connection."""
    over, waited = threading.Event(), []

    def keep_waiting(_connection):
        waited.append(over.wait(PATIENCE))

    yield keep_waiting
    over.set()
    assert False not in waited, "who was to leave has waited for as long as the server can"


@pytest.fixture
def raw():
    """Make servers that do ``behave(connection)`` with whoever connects; their addresses."""
    servers = []

    def make(behave):
        listener = socket.create_server(("127.0.0.1", 0))

        def serve():
            with contextlib.suppress(OSError):
                while True:
                    connection, _peer = listener.accept()
                    threading.Thread(target=behave, args=[connection], daemon=True).start()

        servers.append((listener, beside(serve)))
        return f"http://127.0.0.1:{listener.getsockname()[1]}/hush-hush"

    yield make
    for listener, server in servers:
        # Closing alone does not wake the thread that accepts: it would go on doing so, and by a
        # number that is the next one's listener by then.
        listener.shutdown(socket.SHUT_RDWR)
        joined(server)
        listener.close()
