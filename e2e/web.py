"""Odoo over the web, as a browser speaks to it: a session with a cookie, standard library only."""

import http.cookiejar
import json
import urllib.error
import urllib.request

TIMEOUT = 120


class Web:
    """One browser session. ``login`` raises PermissionError where Odoo refuses it."""

    def __init__(self, url):
        self.url = url
        jar = http.cookiejar.CookieJar()
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))

    def login(self, database, login="admin", password="admin"):  # noqa: S107
        """Log in; return what Odoo tells of the session."""
        answer = self.post(
            "/web/session/authenticate",
            {"db": database, "login": login, "password": password},
        )
        if "error" in answer:
            raise PermissionError(answer["error"]["data"]["message"])
        return answer["result"]

    def call(self, model, method, *arguments, **named):
        """Call a method as the web client does."""
        answer = self.post(
            f"/web/dataset/call_kw/{model}/{method}",
            {"model": model, "method": method, "args": list(arguments), "kwargs": named},
        )
        if "error" in answer:
            raise RuntimeError(answer["error"]["data"]["message"])
        return answer["result"]

    def post(self, path, parameters):
        body = json.dumps({"jsonrpc": "2.0", "method": "call", "params": parameters}).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.url}{path}", body, headers)  # noqa: S310
        with self._opener.open(request, timeout=TIMEOUT) as answer:
            return json.load(answer)

    def get(self, path, **headers):
        """Return (status, headers, content) of a page, errors too."""
        request = urllib.request.Request(f"{self.url}{path}", headers=headers)  # noqa: S310
        try:
            with self._opener.open(request, timeout=TIMEOUT) as answer:
                return answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.headers, error.read()
