"""Somebody who writes down what is posted there, as the receiver of alerts."""

import contextlib
import http.server
import threading


class Recorder(http.server.ThreadingHTTPServer):
    """Keeps ``(path, body)`` of each post; answers 200, once it may (``answers``)."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.got = []
        self.keys = []
        self.answers = threading.Event()
        self.answers.set()
        self.url = f"http://127.0.0.1:{self.server_port}"

    def __enter__(self):
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_error):
        self.answers.set()
        self.shutdown()
        self.server_close()

    @contextlib.contextmanager
    def standing_still(self):
        """Inside, it reads what is posted, and answers nobody."""
        self.answers.clear()
        try:
            yield
        finally:
            self.answers.set()

    def of(self, path):
        return [body for got, body in self.got if got.partition("?")[0] == path]


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.server.keys.append(self.headers["Idempotency-Key"])
        self.server.got.append((self.path, body))
        self.server.answers.wait()
        # Whoever posted may be gone meanwhile.
        with contextlib.suppress(ConnectionError):
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

    def log_message(self, *_arguments):
        pass
