"""What of an rclone configuration is given to rclone: one remote, and those that it is made of.

Each of them is of a type that may be used here, has only options that may be used with it (see
:mod:`.rclone_options`), and none leads to the files of this machine.
"""

import json
import re

from ..errors import DestinationFailed
from ..messages import _
from .rclone_ini import DEFAULT, parse
from .rclone_options import IGNORED, WRAPPERS, allowed, type_of

# What rclone takes for the name of a remote, and what is no part of a path or of its parameters.
REMOTE = re.compile(r"[\w.+@](?:[\w.+@ -]*[\w.+@-])?")
UPSTREAM_NOTE = re.compile(r":(?:ro|nc|writeback)$")
CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]")
REFERENCE = "%("
# Remotes that are made of others that are made of others …
DEPTH = 10
# Characters of a name in a message: somebody may have pasted anything.
SHOWN = 60
TAKE_OUT = _("Remove it. Remotes that need it cannot be used here.")


def sections_of(config, remote):
    """Return the sections that ``remote`` needs, by name, as :func:`.rclone_ini.parse` does.

    Raises :class:`DestinationFailed` unless it is defined, harmlessly.
    """
    sections, needed = parse(config), {}
    require_known(sections, remote)
    collect(sections, remote, needed, DEPTH)
    return needed


def collect(sections, name, needed, depth):
    if name in needed:
        return
    if not depth:
        raise not_allowed(name, _("more than %(count)s remotes inside each other", count=DEPTH))
    require_own_options(sections, name)
    options = sections[name]
    require_options(name, options)
    needed[name] = {key: value for key, value in options.items() if key not in IGNORED}
    for inner in inner_remotes(name, options):
        if inner not in sections or not is_name(inner):
            raise not_allowed(
                name,
                _("a part that is no remote of this configuration"),
                _("Name another section of the configuration, such as “nas:folder”."),
            )
        collect(sections, inner, needed, depth - 1)


def require_known(sections, remote):
    if not remote or not is_name(remote) or remote not in sections:
        known = [name for name in sections if is_name(name)] or _("none")
        raise DestinationFailed(
            _(
                "The rclone configuration has no remote %(remote)r. It has: %(known)s.",
                remote=remote,
                known=known,
            ),
            hint=_("Choose one of these, or add its section to the configuration."),
        )


def is_name(name):
    return bool(REMOTE.fullmatch(name)) and name != DEFAULT


def require_own_options(sections, name):
    """goconfig lets a section “a.b” inherit the options of a section “a”."""
    while "." in name:
        whole, name = name, name.rpartition(".")[0]
        if name in sections:
            raise not_allowed(whole, _("a name that makes it a part of “%(name)s”", name=name))


def require_options(name, options):
    kind = type_of(options)
    if not kind:
        raise not_allowed(
            name,
            _("the type “%(type)s”", type=options.get("type", "")[:SHOWN]),
            _("Use a type of remote that stores files at another machine."),
        )
    may = allowed(kind)
    for key, value in options.items():
        if key not in may:
            raise not_allowed(name, _("the option “%(option)s”", option=key[:SHOWN]))
        if CONTROL.search(value) or REFERENCE in value:
            raise not_allowed(name, _("references or control characters in “%(key)s”", key=key))
    require_identity(name, kind, options)


def require_identity(name, kind, options):
    """Raise where rclone would take files, programs or the identity of this machine for a login."""
    account = options.get("service_account_credentials", "")
    if account and not is_service_account(account):
        raise not_allowed(name, _("service_account_credentials that are no service account"))
    own = options.get("token") or account or options.get("access_token")
    # Without one, it looks for the credentials of the user and of the machine.
    if kind == "gcs" and not own and options.get("anonymous") != "true":
        raise not_allowed(
            name,
            _("no login of its own"),
            _("Add a token, or service_account_credentials."),
        )


def is_service_account(text):
    """Other kinds of Google's credentials name files and programs."""
    try:
        account = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return isinstance(account, dict) and account.get("type") == "service_account"


def inner_remotes(name, options):
    """Yield the names of the remotes of which a remote is made."""
    for key in WRAPPERS:
        if type_of(options) and key in allowed(type_of(options)):
            value = options.get(key, "")
            yield from upstreams(name, value, options) if key == "upstreams" else [inner(value)]


def upstreams(name, value, options):
    if '"' in value:
        raise not_allowed(
            name, _("quotes in “upstreams”"), _("Name its remotes and folders without spaces.")
        )
    for upstream in value.split(" "):
        if type_of(options) == "combine":
            upstream = upstream.partition("=")[2]
        yield inner(upstream)
        # rclone takes notes off its end first: what is left has to be a remote, too.
        while (less := UPSTREAM_NOTE.sub("", upstream)) != upstream:
            upstream = less
            yield inner(upstream)


def inner(value):
    """Return the name of the remote that ``name:path`` leads to, empty where it is none."""
    name, colon, _path = value.partition(":")
    return name if colon else ""


def require_path(path):
    """Raise for a path that is none: one that names a remote, or has control characters."""
    if CONTROL.search(path) or path.startswith(":") or re.match(r"[^/]*,[^/]*[:=]", path):
        raise DestinationFailed(
            _("%(path)r is no folder of a remote.", path=path),
            hint=_("Enter the folder alone, such as Backups/Odoo."),
        )


def not_allowed(name, what, hint=TAKE_OUT):
    return DestinationFailed(
        _(
            "The remote “%(name)s” of the rclone configuration has %(what)s, which is not allowed "
            "here.",
            name=name,
            what=what,
        ),
        hint=hint,
    )
