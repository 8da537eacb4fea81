"""What servers and tools say, as far as it is passed on: bounded, and on one line."""

import re

from ..naming import one_line

# Characters of another's own words that are passed on.
QUOTED = 200
# How systems and services say that a disk is full or a quota used up, whatever code they give.
FULL = re.compile(
    r"no space left|(?:not enough|insufficient) (?:disk )?(?:space|storage)|"
    r"(?:disk|storage|device|volume|bucket) (?:is )?full|disk quota exceeded|"
    r"out of (?:disk )?space|\bENOSPC\b|\bEDQUOT\b",
    re.IGNORECASE,
)


def quoted(words, limit=QUOTED):
    """Return what another says as the end of a sentence of ours."""
    text = one_line(" ".join(str(words)[: 4 * limit].split())).rstrip(".")
    return text if len(text) <= limit else text[: limit - 1] + "\N{HORIZONTAL ELLIPSIS}"


def is_full(words):
    """Return whether that is said of a disk or a quota."""
    return bool(FULL.search(words))
