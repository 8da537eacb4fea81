"""The machine's own Debian source, rewritten for other suites.

No mirror is named here: whatever the machine uses, with its keys and options, is used.
"""

import re
from pathlib import Path

from .fail import DevError

ETC_APT = Path("/etc/apt")
OS_RELEASE = Path("/etc/os-release")
NOT_DEBIAN = "no Debian source found in /etc/apt: use a Debian machine, or ODOO=/path/to/odoo-19"
ONE_LINE = re.compile(r"^deb\s+(?P<options>\[[^\]]*\]\s+)?(?P<uri>\S+)\s+(?P<suite>\S+)\s+main\b")


def rewritten_source(suites, etc_apt=ETC_APT, codename=None):
    """Return (file name, content) of an apt source for `suites`; DevError when there is none.

    The file name's ending tells apt which of its two formats the content has.
    """
    names = {codename or _codename(), "stable", "testing", "unstable", "sid"}
    for path in sorted(etc_apt.glob("sources.list.d/*.sources")):
        for stanza in re.split(r"\n\s*\n", path.read_text()):
            if _is_debian_stanza(stanza, names):
                return "debian.sources", _stanza_for(stanza, suites)
    for path in [etc_apt / "sources.list", *sorted(etc_apt.glob("sources.list.d/*.list"))]:
        for line in path.read_text().splitlines() if path.is_file() else ():
            found = ONE_LINE.match(line.strip())
            if found and found["suite"] in names and not found["uri"].startswith("cdrom:"):
                options, uri = found["options"] or "", found["uri"]
                lines = [f"deb {options}{uri} {suite} main\n" for suite in suites]
                return "debian.list", "".join(lines)
    raise DevError(NOT_DEBIAN)


def _codename():
    text = OS_RELEASE.read_text() if OS_RELEASE.is_file() else ""
    found = re.search(r"^VERSION_CODENAME=\"?(\w+)", text, re.MULTILINE)
    if not re.search(r"^ID=\"?debian\b", text, re.MULTILINE):
        raise DevError(NOT_DEBIAN)
    return found[1] if found else "sid"


def _is_debian_stanza(stanza, names):
    types, suites, enabled, uris = (
        _field(stanza, name).split() for name in ("Types", "Suites", "Enabled", "URIs")
    )
    usable = "deb" in types and enabled[:1] != ["no"] and uris and not uris[0].startswith("cdrom:")
    return usable and "main" in _field(stanza, "Components").split() and names & set(suites)


def _field(stanza, name):
    found = re.search(rf"^{name}:(.*(?:\n[ \t].*)*)", stanza, re.MULTILINE | re.IGNORECASE)
    return found[1] if found else ""


def _stanza_for(stanza, suites):
    for name, value in (("Types", "deb"), ("Suites", " ".join(suites)), ("Components", "main")):
        pattern = rf"^{name}:.*(?:\n[ \t].*)*"
        stanza = re.sub(pattern, f"{name}: {value}", stanza, flags=re.MULTILINE | re.IGNORECASE)
    return stanza.strip() + "\n"
