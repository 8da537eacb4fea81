"""Fuzzing of what servers answer, and of what an engine and its owner tell each other."""

import contextlib
import http.server
import io
import json
import signal
import threading
import urllib.parse

import engine_process
import pytest
from engine import messages
from engine.__main__ import Process
from engine.control import Control
from engine.masking import MASK, masked, secrets_of
from engine.sources import open_source
from fuzzing import fuzzed, outcome, plain, texts
from hypothesis import assume, example, given
from hypothesis import strategies as st

FAULT = "<methodResponse><fault><value>{}</value></fault></methodResponse>"
GRANTED = "<methodResponse><params><param><value>{}</value></param></params></methodResponse>"
MANAGER = '<html><input name="master_pwd"/>{}</html>'
encoded = plain.map(json.dumps)
answers = st.one_of(
    texts,
    encoded,
    plain.map(lambda node: json.dumps({"result": node, "version": node})),
    plain.map(lambda node: json.dumps({"result": {"server_version": node}})),
    st.builds(FAULT.format, texts),
    st.builds(GRANTED.format, texts),
    st.just(GRANTED.format("<boolean>1</boolean>")),
    st.builds(MANAGER.format, texts),
)


class Liar(http.server.BaseHTTPRequestHandler):
    """Answers each request with the next of what it is told to."""

    def do_GET(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        status, kind, body = self.server.answer(self.path)
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, *_arguments):
        pass


@pytest.fixture(scope="module")
def liar():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Liar)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@fuzzed(few=50)
@given(
    bodies=st.lists(answers, min_size=6, max_size=6),
    honest=st.sets(st.sampled_from(["version", "manager", "db"])),
    status=st.sampled_from([200, 200, 200, 404, 500, 503]),
)
def test_what_a_server_answers_is_read_or_refused(liar, bodies, honest, status):
    said = iter(bodies * 3)

    def answer(path):
        known = {
            "version": json.dumps({"result": {"server_version": "19.0"}, "version": "19.0"}),
            "manager": MANAGER.format(""),
            "db": GRANTED.format("<boolean>1</boolean>"),
        }
        named = [name for name in sorted(honest) if path.endswith((name, f"{name}_info"))]
        body = known[named[0]] if named else next(said)
        return 200 if named else status, "text/html", body.encode("utf-8", "replace")

    liar.answer = answer
    order = {
        "connection": "http",
        "url": f"http://127.0.0.1:{liar.server_port}",
        "master_password": "secret",
    }
    outcome(lambda: open_source(order, Control()).probe(), size=sum(map(len, bodies)))


# --- orders and events --------------------------------------------------------------------------


@fuzzed()
@given(event=st.dictionaries(st.text(max_size=12), plain, max_size=5))
def test_an_event_comes_back_as_it_was(event):
    sent = json.loads(json.dumps(messages.carried(event)))
    assert outcome(messages.received, sent, refuses=()) is not None


@fuzzed()
@given(line=st.one_of(texts, encoded, plain.map(lambda node: json.dumps({"event": node}))))
@example(line="[" * 200_000)
@example(line='{"event":' * 200_000)
def test_a_line_of_an_engine_is_an_event_or_none(line):
    found = outcome(engine_process.parse, line, refuses=())
    assert found is None or "event" in found


@fuzzed()
@given(secret=st.text("abc<&\"\\ü/+ ", min_size=4, max_size=40), around=texts)
def test_a_secret_is_in_no_text_that_is_told(secret, around):
    assume(secret.strip())
    spoken = (secret, json.dumps(secret), repr(secret), urllib.parse.quote(secret))
    secrets = secrets_of({"identity": secret})
    for quote in spoken:
        told = masked({"error": f"{around}{quote}"}, secrets)["error"]
        assert secret not in told.replace(MASK, "\0")


@fuzzed()
@given(action=texts, source=plain)
def test_an_order_that_is_none_ends_with_a_word(signals, action, source):
    printed = io.StringIO()
    order = json.dumps({"action": action, "source": source})
    assert Process(io.StringIO(order + "\n"), printed).run() == 1
    assert json.loads(printed.getvalue().splitlines()[-1])["event"] == "failed"


@pytest.fixture(scope="module")
def signals():
    """What a process of its own does with signals is undone here."""
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = [signal.getsignal(number) for number in numbers]
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)
