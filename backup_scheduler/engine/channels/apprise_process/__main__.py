"""Checks an Apprise URL, or sends one message to it: an order in on standard input, a result out.

Order: ``action`` (``check`` or ``send``), ``url``, and ``title body type`` of a message. Result:
``place`` (the scheme, and the host where the URL has one), and of a message ``sent``, ``answered``
(the status of the last bad answer over HTTP, else of the last one, or 0) and ``retry_after`` (what
that answer says); or ``refused`` with a ``hint``, or ``missing``. Nothing in a result quotes the
URL: any part of it may be a token or a password.
"""

import json
import os
import signal
import sys

from confinement import Confinement, limit_memory

# Bytes of address space, of which Apprise with all its services takes 210 MB.
MEMORY = 512 << 20
# Seconds. The parent ends this process long before; this is for when the parent was killed.
LIFE = 60
NETWORK_ONLY = (
    "Enter the URL of a network service. What uses the desktop, the log, a program or a file of "
    "this server is not allowed."
)
LIST_HINT = "The services and their URLs: https://appriseit.com/services/"


class Refused(Exception):
    def __init__(self, message, hint=""):
        super().__init__(message)
        self.hint = hint


class Missing(Exception):
    """A Python package is not installed."""


class Answers:
    """The status of each answer over HTTP: Apprise itself says only true or false.

    No redirect is followed, whatever a URL asks for: it would carry the secret elsewhere.
    """

    def __init__(self):
        self._bad = self._last = None

    def watch(self):
        import requests

        send = requests.Session.send

        def watched(session, request, **options):
            answer = send(session, request, **{**options, "allow_redirects": False})
            self._last = answer
            if not 200 <= answer.status_code < 300:
                self._bad = answer
            return answer

        requests.Session.send = watched

    def as_dict(self):
        answer = self._last if self._bad is None else self._bad
        if answer is None:
            return {"answered": 0, "retry_after": ""}
        retry_after = answer.headers.get("Retry-After", "")
        return {"answered": answer.status_code, "retry_after": retry_after}


def load():
    """Return Apprise and its services by scheme, all of them loaded: afterwards no file is."""
    try:
        import apprise
        from apprise.manager_plugins import NotificationManager
    except ImportError:
        raise Missing(
            "This channel needs the Python package apprise, which is not installed."
        ) from None
    services = NotificationManager()
    services.load_modules()
    return apprise, services


def open_service(apprise, services, url):
    """Return Apprise's object for the URL; raise :class:`Refused` where it is not used."""
    if len(url.split()) != 1:
        raise Refused("Enter one URL of one service, without spaces.", LIST_HINT)
    scheme = url.partition("://")[0].lower()
    known = services[scheme] if "://" in url and scheme in services else None
    if known:
        require_network(scheme, known)
    service = apprise.Apprise.instantiate(url, asset=asset_of(apprise))
    if service is None and known is None:
        raise Refused("Apprise has no service for such a URL.", LIST_HINT)
    if service is None:
        raise Refused(f"Apprise does not accept this {scheme}:// URL.", help_of(known))
    # Of an https:// URL only now it is known which service it is.
    own = scheme_of(service)
    require_network(own, type(service))
    files = apprise.AppriseAttachment
    if any(isinstance(value, files) and value for value in vars(service).values()):
        raise Refused(f"A {own}:// URL that names a file is not allowed.", NETWORK_ONLY)
    if "overflow=" not in url:
        service.overflow_mode = apprise.OverflowMode.TRUNCATE
    return service


def require_network(scheme, service):
    """Raise for a service that reaches nobody: its URL needs to name nothing."""
    if "{schema}://" in service.templates or getattr(service, "category", "") != "native":
        raise Refused(f"{scheme}:// is no network service.", NETWORK_ONLY)
    if not service.enabled:
        packages = service.requirements.get("packages_required") or ()
        named = packages if isinstance(packages, str) else ", ".join(packages)
        raise Missing(f"{scheme}:// needs a Python package that is not installed: {named}.")


def asset_of(apprise):
    """Return Apprise's settings: nothing is stored, and nothing is loaded but its own services."""
    wanted = {
        "app_id": "Backup Scheduler", "app_desc": "Backup Scheduler", "async_mode": False,
        "pem_autogen": False, "pgp_autogen": False,
    }  # fmt: skip
    known = {name: value for name, value in wanted.items() if hasattr(apprise.AppriseAsset, name)}
    return apprise.AppriseAsset(storage_mode="memory", secure_logging=True, **known)


def help_of(service):
    page = getattr(service, "setup_url", "") or getattr(service, "service_url", "")
    return f"The format of the URL: {page}" if page else LIST_HINT


def scheme_of(service):
    return service.url(privacy=True).partition("://")[0]


def place_of(service):
    """Return scheme and host; the scheme alone where some URL of the service has a token in place
    of the host."""
    place = f"{scheme_of(service)}://"
    if not service.host or not all("{host}" in template for template in service.templates):
        return place
    with_port = service.port and any("{host}:{port}" in one for one in service.templates)
    return f"{place}{service.host}" + (f":{service.port}" if with_port else "")


def carry_out(order):
    limit_memory(MEMORY)
    apprise, services = load()
    answers, confinement = Answers(), Confinement()
    answers.watch()
    confinement.begin()
    service = open_service(apprise, services, order["url"])
    result = {"place": place_of(service)}
    if order["action"] == "send":
        result["sent"] = send(apprise, service, order)
        result.update(answers.as_dict())
    if confinement.refused and not result.get("sent"):
        deeds = " and to ".join(confinement.refused)
        raise Refused(f"{result['place']} tries to {deeds}, which is not allowed.", NETWORK_ONLY)
    return result


def send(apprise, service, order):
    sender = apprise.Apprise(asset=service.asset)
    sender.add(service)
    return bool(
        sender.notify(
            body=order["body"], title=order["title"], notify_type=order["type"],
            body_format=apprise.NotifyFormat.TEXT,
        )
    )  # fmt: skip


def main():
    signal.alarm(LIFE)
    # What a service's library prints is no result. Credentials of this machine are for nobody.
    result_file = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    os.environ["NETRC"] = os.devnull
    try:
        result = carry_out(json.load(sys.stdin))
    except Refused as error:
        result = {"refused": str(error), "hint": error.hint}
    except Missing as error:
        result = {"missing": str(error)}
    with result_file:
        json.dump(result, result_file)


if __name__ == "__main__":
    main()
