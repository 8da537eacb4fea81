"""A real Chromium, driven over its DevTools protocol: looks at pages as a person would."""

import base64
import itertools
import json
import shutil
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path

import websocket

from . import processes
from .fail import DevError

START_TIMEOUT = 20
ANSWER_TIMEOUT = 60
# Without these it looks up hosts of its maker all the time.
QUIET = ("--disable-background-networking", "--disable-component-update", "--disable-sync",
         "--no-first-run", "--disable-quic", "--disable-gpu", "--no-sandbox", "--hide-scrollbars")


class Browser:
    """One tab. Use it as a context manager; the profile is gone afterwards."""

    def __init__(self, width=1366, height=768):
        self._size = width, height
        self._ids = itertools.count(1)
        self.console = []

    def __enter__(self):
        self._profile = tempfile.mkdtemp(prefix="chromium-")
        command = shutil.which("chromium")
        if not command:
            raise DevError("no Chromium found: apt-get install chromium")
        self._process = subprocess.Popen(
            [command, "--headless", "--remote-debugging-port=0", "--remote-allow-origins=*",
             f"--user-data-dir={self._profile}", *QUIET, "about:blank"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )
        try:
            self._connect()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_error):
        self._process.kill()
        self._process.wait()
        shutil.rmtree(self._profile, ignore_errors=True)

    def _connect(self):
        port_file = Path(self._profile) / "DevToolsActivePort"
        processes.wait_until(lambda: port_file.exists() and port_file.read_text(), START_TIMEOUT)
        port = port_file.read_text().split()[0]
        pages = f"http://127.0.0.1:{port}/json"
        with urllib.request.urlopen(pages, timeout=START_TIMEOUT) as answer:  # noqa: S310
            page = next(page for page in json.load(answer) if page["type"] == "page")
        self._socket = websocket.create_connection(
            page["webSocketDebuggerUrl"], timeout=ANSWER_TIMEOUT
        )
        for domain in ("Page", "Runtime", "Network"):
            self.command(f"{domain}.enable")
        self.resize(*self._size)

    def command(self, method, **parameters):
        """Send a command of the protocol; return its result. Errors of the console are kept."""
        number = next(self._ids)
        self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._socket.recv())
            if message.get("method") == "Runtime.exceptionThrown":
                self.console.append(message["params"]["exceptionDetails"])
            elif _is_error(message):
                self.console.append(message["params"]["args"])
            if message.get("id") == number:
                if "error" in message:
                    raise DevError(f"{method}: {message['error']['message']}")
                return message["result"]

    def resize(self, width, height, *, phone=False, dark=False):
        self.command("Emulation.setDeviceMetricsOverride", width=width, height=height,
                     deviceScaleFactor=1, mobile=phone)
        feature = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.command("Emulation.setEmulatedMedia", features=[feature])

    def cookie(self, url, name, value):
        self.command("Network.setCookie", name=name, value=value, url=url)

    def evaluate(self, expression):
        """Return the value of a JavaScript expression; a promise is awaited."""
        result = self.command("Runtime.evaluate", expression=expression, awaitPromise=True,
                              returnByValue=True)
        if "exceptionDetails" in result:
            raise DevError(f"{expression}: {result['exceptionDetails']['text']}")
        return result["result"].get("value")

    def open(self, url, ready):
        """Open a page and wait until the CSS selector ``ready`` is in it."""
        self.command("Page.navigate", url=url)
        self.wait_for(ready)

    def wait_for(self, selector, timeout=ANSWER_TIMEOUT):
        self.wait_until(f"document.querySelector({json.dumps(selector)}) !== null", timeout)

    def wait_until(self, expression, timeout=ANSWER_TIMEOUT):
        deadline = time.monotonic() + timeout
        while not self.evaluate(expression):
            if time.monotonic() > deadline:
                raise DevError(f"the page never came to {expression}")
            time.sleep(processes.POLL)

    def click(self, selector):
        self.wait_for(selector)
        self.evaluate(f"document.querySelector({json.dumps(selector)}).click()")

    def fill(self, selector, text):
        """Enter a text into an input as typing does: its page hears of it."""
        self.wait_for(selector)
        self.evaluate(f"""(() => {{
            const input = document.querySelector({json.dumps(selector)});
            input.focus();
            input.value = {json.dumps(text)};
            for (const type of ["input", "change"]) {{
                input.dispatchEvent(new Event(type, {{ bubbles: true }}));
            }}
            input.blur();
        }})()""")

    def login(self, url, login, password):
        """Log in to Odoo the way its login page does."""
        self.open(f"{url}/web/login", "form.oe_login_form")
        for name, value in (("login", login), ("password", password)):
            self.evaluate(f"document.querySelector('input[name={name}]').value = "
                          f"{json.dumps(value)}")
        self.evaluate("document.querySelector('form.oe_login_form').submit()")
        self.wait_for(".o_web_client")

    def screenshot(self, path):
        """Write a PNG of what is seen."""
        time.sleep(0.5)  # transitions of the web client
        picture = self.command("Page.captureScreenshot", format="png")["data"]
        Path(path).write_bytes(base64.b64decode(picture))


def _is_error(message):
    """Whether a page has said so itself, as Odoo does of a module that cannot be loaded."""
    called = message.get("method") == "Runtime.consoleAPICalled"
    return called and message["params"]["type"] == "error"
