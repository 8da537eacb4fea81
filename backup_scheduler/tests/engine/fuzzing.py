"""What the fuzzing of parsers shares: how many examples, hostile texts, and budgets.

``make test`` tries the same few examples each time; ``make fuzz`` tries many, and others each time
(``FUZZ_EXAMPLES``). What it finds stays as an ``@example``.
"""

import contextlib
import os
import resource
import sys
import traceback
import tracemalloc

from engine.errors import BackupError
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

MANY = int(os.environ.get("FUZZ_EXAMPLES") or 0)
FEW = 20
# Bytes of memory that a parser may use whatever its input, and for each byte of it.
FIXED, PER_BYTE = 24 << 20, 64
# Seconds of the processor for inputs of LONG characters: linear parsers take a fraction of one for
# all of them, a quadratic one takes minutes for one.
LONG = 200_000
CPU_LIMIT = 10


def fuzzed(few=FEW, share=1):
    """Return the settings of a test: the same examples each time, unless many are wanted.

    :param share: of slow tests: one for so many examples that are wanted
    """
    return settings(
        max_examples=max(few, MANY // share),
        derandomize=not MANY,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


# --- inputs -------------------------------------------------------------------------------------

# What the parsers look for, in pieces and in wrong places.
TOKENS = (
    "<", ">", "<div class=\"", "alert-danger", "</div>", "<title>", "</title", "&#x", "&amp;",
    "[", "]", "[a]\n", "=", ":", ";", "#", "//", "@", "%(", ")s", "\"", "'", "`", "\\", "\\.",
    "--", "/*", "*/", "$$", "$x$", "COPY t (a) FROM stdin;\n", "\t", "\n", "\r\n", "\0", "\N{BOM}",
    "*", "*/", ",", "-", "0", "59", "1-5", "jan", "sun", "AGE-SECRET-KEY-1", "age1", "ssh-ed25519",
    "AAAA", "-----BEGIN OPENSSH PRIVATE KEY-----", "-----END", "{", "}", "null", "1e999", "true",
    "type = drive\n", "token = {\"", "pass = ", "://", "\u202e", "\u2028", "\ud7ff", "é", "😀",
)  # fmt: skip
tokens = st.sampled_from(TOKENS)
pieces = st.lists(st.one_of(tokens, st.text(max_size=8)), max_size=60)
texts = st.one_of(st.text(max_size=300), pieces.map("".join))
# One or two pieces over and over: what makes careless parsers slow.
long_texts = st.builds(
    lambda head, unit, tail: head + unit * (LONG // len(unit)) + tail,
    texts,
    st.lists(tokens, min_size=1, max_size=3).map("".join),
    texts,
)
plain = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20)),
    lambda children: st.one_of(
        st.lists(children, max_size=4),
        st.dictionaries(st.text(max_size=12), children, max_size=4),
    ),
    max_leaves=12,
)


NUMBERS = (b"\xff\xff\xff\xff", b"\0\0\0\0", b"\xff\xff\xff\x7f", b"\1\0\0\0")


@st.composite
def damaged(draw, contents):
    """Return one of the contents (bytes) with some damage: changed, cut, repeated, moved."""
    content = bytearray(draw(st.sampled_from(contents)))
    for _time in range(draw(st.integers(0, 5))):
        if not content:
            break
        at = draw(st.integers(0, len(content) - 1))
        length = draw(st.integers(1, 64))
        how = draw(st.sampled_from(("set", "flip", "cut", "drop", "insert", "repeat", "number")))
        piece = bytes(content[at : at + length])
        if how == "set":
            content[at] = draw(st.integers(0, 255))
        elif how == "flip":
            content[at] ^= 1 << draw(st.integers(0, 7))
        elif how == "cut":
            del content[at:]
        elif how == "drop":
            del content[at : at + length]
        elif how == "insert":
            content[at:at] = draw(st.binary(max_size=64))
        elif how == "repeat":
            content[at:at] = piece * draw(st.integers(1, 50))
        else:
            # Lengths and offsets that lie.
            content[at : at + 4] = draw(st.sampled_from(NUMBERS))
    return bytes(content)


# --- what has to hold ---------------------------------------------------------------------------


def outcome(parse, *given, refuses=BackupError, size=None):
    """Parse; return the result, or the error with which the parser refuses.

    Anything else that is raised fails the test, and so does more memory than the input is worth.
    """
    size = sum(map(len, given)) if size is None else size
    with memory_within(FIXED + PER_BYTE * size):
        try:
            return parse(*given)
        except refuses as error:
            assert str(error), "an error says something"
            return error


@contextlib.contextmanager
def memory_within(limit):
    tracemalloc.start()
    try:
        yield
        _size, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak <= limit, f"{peak} bytes of memory where {limit} are enough"


def ends_in_time(parse, inputs, refuses=BackupError):
    """Parse all inputs in a process of its own, which the kernel kills at its limit: neither a
    signal handler nor a thread stops a regular expression."""
    child = os.fork()
    if not child:
        code = 1
        try:
            resource.setrlimit(resource.RLIMIT_CPU, (CPU_LIMIT, CPU_LIMIT))
            for given in inputs:
                with contextlib.suppress(refuses):
                    parse(given)
            code = 0
        except BaseException:  # noqa: BLE001 - told by the exit code
            traceback.print_exc(file=sys.stderr)
        finally:
            os._exit(code)
    _child, status = os.waitpid(child, 0)
    assert not os.WIFSIGNALED(status), f"it took more than {CPU_LIMIT} s of the processor"
    assert os.WEXITSTATUS(status) == 0, "it fails with none of the parser's own errors"
