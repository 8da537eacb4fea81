"""The text of an rclone.conf, read by the rules of rclone's own parser, and written unambiguously.

rclone reads its configuration with the Go library goconfig (read.go), whose rules differ from those
of Python's configparser: keys and values may stand in backticks or quotes, lines never continue,
case matters, only ``#`` and ``;`` at the beginning of a line make a comment, and a value may refer
to others (``%(name)s``). What is checked here has to be what rclone then does. So rclone is never
given the text that somebody typed, but one that :func:`written` makes of what was read and checked.
"""

import re

from ..errors import DestinationFailed
from ..messages import _

# What Go's strings.TrimSpace removes.
SPACE = (
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)
PLAIN = re.compile(r"[\w-]+")
BOM = "\ufeff"
# Before any section, goconfig puts options into this one.
DEFAULT = "DEFAULT"
KEY_QUOTES = ('"""', '"', "`")
VALUE_QUOTES = ("`", '"""')
# Characters. `rclone config show` of fifty remotes is some 50 kB.
LIMIT = 1_000_000


def parse(config):
    """Return ``{section: {option: value}}``; raise :class:`DestinationFailed`, quoting nothing."""
    if len(config) > LIMIT:
        raise unreadable()
    sections, current = {}, None
    for line in config.removeprefix(BOM).split("\n"):
        line = line.strip(SPACE)
        if not line or line[0] in "#;":
            continue
        if line[0] == "[" and line[-1] == "]":
            current = sections.setdefault(section_in(line), {})
            continue
        if current is None:
            raise unreadable()
        key, value = option_in(line)
        current[key] = value
    return sections


def section_in(line):
    name = line[1:-1].strip(SPACE)
    if not name:
        raise unreadable()
    return name


def option_in(line):
    key, rest = key_in(line)
    end = first(rest, "=:")
    if end < 0 or not key:
        raise unreadable()
    return key, value_in(rest[end + 1 :].strip(SPACE))


def key_in(line):
    """Return the key at the beginning of a line, and what follows it."""
    quote = next((quote for quote in KEY_QUOTES if line.startswith(quote)), "")
    if quote == '"""' and len(line) < 6:
        quote = '"'
    if not quote:
        end = max(first(line, "=:"), 0)
        return line[:end].strip(SPACE), line[end:]
    end = line.find(quote, len(quote))
    if end < 0:
        raise unreadable()
    return line[len(quote) : end], line[end:]


def value_in(text):
    quote = next((quote for quote in VALUE_QUOTES if text.startswith(quote)), "")
    if not quote or len(text) < 2 * len(quote):
        return text
    end = text.rfind(quote, len(quote))
    if end < 0:
        raise unreadable()
    return text[len(quote) : end]


def first(text, letters):
    """Return where the first of the letters stands, or -1."""
    return min((at for at in map(text.find, letters) if at >= 0), default=-1)


def written(sections):
    """Return a text that goconfig reads as exactly these sections.

    They come from :func:`parse` and have passed the checks: no option has a backtick in its name.
    """
    return "".join(
        f"[{name}]\n"
        + "".join(f"{word(key)} = {quoted(value)}\n" for key, value in options.items())
        + "\n"
        for name, options in sections.items()
    )


def word(key):
    return key if PLAIN.fullmatch(key) else f"`{key}`"


def quoted(value):
    if value != value.strip(SPACE) or value.startswith(VALUE_QUOTES):
        return f"`{value}`"
    return value


def unreadable():
    return DestinationFailed(
        _("The rclone configuration cannot be read."),
        hint=_("Enter what `rclone config show` prints."),
    )
