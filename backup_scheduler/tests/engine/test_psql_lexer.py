r"""No script that is accepted makes psql run a command; and whatever pg_dump writes is accepted."""


import contextlib
import subprocess

import pytest
import restore_world as world
from corpus_good import UNUSUAL, UNUSUAL_BEHIND
from corpus_samples import Sample
from engine.archive import sqlscript
from engine.archive.sqlscript import Script
from engine.errors import Damaged, UnsafeDump
from verify_archives import dice

TABLE = b"CREATE TABLE public.t (a text);\n"
COPY = b"COPY public.t (a) FROM stdin;\n"
EVIL = b"\\! id\n"

UNSAFE = {
    "a command on a line of its own": EVIL,
    "a command behind a statement": b"SELECT 1; \\! id\n",
    "a command within a statement": b"SELECT 1 \\g |id\n",
    "a command within parentheses": b"SELECT (1 \\! id\n);\n",
    "what is generated is executed": b"SELECT 'DROP DATABASE x' \\gexec\n",
    "a file is read": b"\\i /etc/passwd\n",
    "another database": b"\\connect postgres\n",
    "behind a comment that ends with CR": b"-- quiet\r" + EVIL,
    "behind nested comments": b"/* /* */ ' */ \\! id\n-- '\n",
    "behind a comment within an operator": b"SELECT 1 +/* ' */ 1; \\! id\n",
    "behind an escaped quote": b"SELECT E'\\'; $$'; \\! id\n$$;\n",
    "behind a word that ends with E": b"SELECT type'\\'; \\! id\n';\n",
    "a number before E'": b"SELECT 1E'\\'; \\! id\n';\n",
    "a point before E'": b"SELECT 1.e'\\'; \\! id\n';\n",
    "a number before a comment": b"SELECT 1e--\\! id\n;\n",
    "a number with a point before a comment": b"SELECT 1.E--\\! id\n;\n",
    "two strings that are one": b"SELECT E'a'\n'\\'; \\! id\n';\n",
    "two strings with a comment between": b"SELECT E'a' -- b\n'\\'; \\! id\n';\n",
    "a dollar quote that is a name": b"SELECT a$$; \\! id\n$$;\n",
    "a dollar quote behind a number": b"SELECT 0x1F$$ '; \\! id\n$$;\n",
    "another tag": b"SELECT $a$ $b$ $A$ $a$; \\! id\n$a$;\n",
    "a name in quotes": b'CREATE TABLE "a\\" (a int); \\! id\n--";\n',
    "strings with escapes everywhere":
        b"SET standard_conforming_strings = off;\nSELECT '\\'; SELECT ';\\! id\n';\n",
    "rows of a COPY in parentheses": b"SELECT (;\n" + COPY + EVIL + b"\\.\n",
    "rows of a COPY in a routine":
        b"CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1;\n" + COPY + EVIL + b"\\.\n",
    "rows of a COPY from elsewhere": b"COPY t FROM PROGRAM 'id';\n",
    "rows of a COPY in small letters": b"copy t from stdin;\n" + EVIL + b"\\.\n",
    "rows of a COPY behind a comment": b"/**/COPY t FROM '/dev/null';\n" + EVIL + b"\\.\n",
    "rows of a COPY with options": b"COPY t (a) FROM stdin WITH (FORMAT csv);\n1\n\\.\n",
    "rows of a COPY that goes on": COPY[:-1] + b" SELECT 1;\n1\n\\.\n",
    "rows of a COPY of columns that are none":
        b"COPY t (a) FROM PROGRAM 'id' (b) FROM stdin;\n1\n\\.\n",
    "rows that end with CR LF": TABLE + COPY + b"1\n\\.\r\n" + EVIL + b"\\.\n",
    "rows that end in the middle": TABLE + COPY + b"1\n\\.x\n\\.\n",
    "a zero byte in a string": b"SELECT 'a\0';\n" + EVIL,
    "a zero byte in rows": TABLE + COPY + b"1\0\n\\.\n" + EVIL,
    "a variable": b'DROP DATABASE :"DBNAME";\n',
    "a variable as text": b"SELECT :'HOST';\n",
    "a variable as it is": b"SELECT :PORT;\n",
    "a question about a variable": b"SELECT :{?DBNAME};\n",
    "a variable behind a cast": b'SELECT 1:::"DBNAME";\n',
    "an encoding of clients": b"SET client_encoding = 'SJIS';\n",
    "a lock in the middle": b"SELECT 1;\n\\restrict abc\n",
    "a lock that is taken off": b"\\unrestrict abc\n" + EVIL,
    "text behind the end of the lock": b"\\restrict abc\n\\unrestrict abc\nSELECT 1;\n",
    "no statement": b"(SELECT 1);\n",
    "a command at the very end": b"\\!",
}
SAFE = {
    "a lock around it": b"\\restrict abc\n\n-- x\n\nSELECT 1;\n\n\\unrestrict abc\n\n",
    "a lock without the last line end": b"\\restrict abc\nSELECT 1;\n\\unrestrict abc",
    "backslashes in texts": b"COMMENT ON TABLE t IS 'C:\\dir \\! id';\nSELECT E'\\\\! \\'';\n",
    "backslashes at the end of a text": b"COMMENT ON TABLE t IS 'C:\\dir\\';\nSELECT 1;\n",
    "backslashes in rows": TABLE + COPY + b"\\N\na\\tb\\\\! id\n\\\\.\n\\.\n",
    "backslashes in comments": b"-- \\! id\n/* \\! id */\nSELECT 1;\n",
    "backslashes in a body": b"CREATE FUNCTION f() AS $_$\n\\! id\n$_$;\nDO $$\\!$$;\n",
    "backslashes in names": b'CREATE TABLE "a\\!" ("b""\\c" int);\n',
    "no rows": TABLE + COPY + b"\\.\n\n\n" + TABLE,
    "no columns": b"COPY public.t  FROM stdin;\n\\.\n",
    "columns with odd names": b'COPY public.t (a, "b c", "d""e(,", "f$") FROM stdin;\n\\.\n',
    "slices and casts": b"SELECT a[1:2], a[1:n], b::text, c[:\"Name\"], d(x := 1);\n",
    "names with dollars": b"SELECT a$b$c, $1, $2;\nSELECT 1;\n",
    "the body of a routine": b"CREATE OR REPLACE FUNCTION f() RETURNS int BEGIN ATOMIC\n"
        b" SELECT CASE WHEN true THEN 1 END;\n SELECT 2;\nEND;\n" + TABLE + COPY + b"1\n\\.\n",
    "columns called like the words of a routine": b"CREATE VIEW v AS SELECT begin FROM x;\n"
        b"CREATE FUNCTION g(begin int) AS $$x$$;\n" + TABLE + COPY + b"1\n\\.\n",
    "a rule with two actions": b"CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2);\n" + COPY
        + b"\\.\n",
    "an operator of odd letters": b"CREATE OPERATOR public.@-@ (FUNCTION = f);\n",
    "strings with escapes everywhere":
        b"SET standard_conforming_strings = off;\nSELECT 'it\\'s;', 'a\\\\';\nSELECT 1;\n",
}  # fmt: skip


def refusal(script, size=None, strict=False):
    """Return what is said against a script that comes in blocks of that size."""
    reader = Script(strict=strict)
    for at in range(0, len(script), size or len(script)):
        reader.feed(script[at : at + (size or len(script))])
    try:
        reader.finish()
    except UnsafeDump as error:
        return str(error)
    return None


@pytest.mark.parametrize("size", [None, 1, 2, 7])
@pytest.mark.parametrize("name", UNSAFE)
def test_what_psql_would_obey_is_refused(name, size):
    assert refusal(UNSAFE[name], size), UNSAFE[name]
    assert refusal(TABLE + COPY + b"1\n\\.\n" + UNSAFE[name], size)


@pytest.mark.parametrize("size", [None, 1, 2, 7])
@pytest.mark.parametrize("name", SAFE)
def test_what_pg_dump_writes_is_accepted(name, size):
    assert refusal(SAFE[name], size) is None


@pytest.mark.parametrize("strict", [False, True])
def test_a_dump_with_unusual_texts_is_accepted(strict):
    sample = Sample()
    sample.before, sample.behind = UNUSUAL, UNUSUAL_BEHIND
    for script in (sample.script(), sample.script().replace(b"\n", b"\r\n")):
        assert refusal(script, 1000, strict) is None


def test_text_that_a_setting_would_turn_into_a_command_is_refused_where_it_leaves_this_server():
    script = b"COMMENT ON TABLE t IS 'a \\';\n"
    assert refusal(script) is None
    assert "a backslash before its quote" in refusal(script, strict=True)
    assert refusal(b"COMMENT ON TABLE t IS 'a \\\\';\n", strict=True) is None


def test_nothing_behind_what_is_refused_goes_unnoticed_where_statements_are_long(monkeypatch):
    monkeypatch.setattr(sqlscript, "MAX_STATEMENT", 5000)
    filler = b"x" * 100_000
    for opening, closing in (
        (b"SELECT '", b"'"), (b"SELECT $tag$", b"$tag$"), (b"SELECT E'", b"'"),
        (b"SELECT /*", b"*/ 1"), (b'SELECT "', b'"'),
    ):  # fmt: skip
        whole = opening + filler + closing + b";\n"
        assert refusal(whole, 1000) is None
        assert refusal(whole + EVIL, 1000)
    assert refusal(b"SELECT " + filler + b";\n", 1000), "No name is as long"


def test_a_script_is_told_by_where_it_stands():
    text = refusal(TABLE + EVIL)
    assert "the psql command \\!" in text
    assert f"at byte {len(TABLE)}" in text


def test_a_damaged_script_is_not_called_unsafe_before_its_checksum_is_known():
    reader = Script()
    reader.feed(EVIL)
    with pytest.raises(UnsafeDump):
        reader.require_safe()


def test_rows_and_statements_without_end_stay_damaged():
    for script in (COPY + b"1\n", b"SELECT 'a"):
        reader = Script()
        reader.feed(script)
        with pytest.raises(Damaged):
            reader.finish()


# --- against psql itself ------------------------------------------------------------------------

SHORT = r"""
    ' '' E' e' \' \\ \ " $$ $a$ $ a E 1 1e 0x1 0b1 5E -- /* */ ; ( ) : :: U& N' + * _ e - . é €
    'abc' E'a\'b' $$x$$ END
"""
LONG = (
    "\n", "\n", "\r", "\r\n", " ", "\0", "-- c\n", "; \n", "SELECT ", "SELECT 1;\n", "CASE ",
    "CREATE FUNCTION f() RETURNS int ", " BEGIN ATOMIC ", COPY.decode(), "\n\\.\n", "\\.\n",
    "\n\\.\r\n", "x\\ty\n", "\\N\n", "COMMENT ON TABLE t IS ",
    "SET standard_conforming_strings = off;\n", "SET standard_conforming_strings = on;\n",
    *["\\echo OBEYED\n"] * 4,
)  # fmt: skip
PIECES = (*SHORT.split(), *LONG)
ACCEPTED_SCRIPTS = 60


@pytest.fixture(scope="module")
def psql():
    with world.postgresql() as cluster:
        cluster.psql("CREATE TABLE IF NOT EXISTS public.t (a text)")

        def obeys(script):
            """Return whether psql runs the command in a script, with all its errors passed over."""
            done = subprocess.run(
                ["psql", "-X", "-q", "-d", "postgres", "-f", "-"], input=script,
                env=cluster.environment("postgres"), capture_output=True, check=False,
            )  # fmt: skip
            return b"OBEYED" in [line.strip() for line in done.stdout.splitlines()]

        yield obeys


def test_no_script_that_is_accepted_makes_psql_run_a_command(psql):
    """Scripts of the pieces that decide how SQL is read, thrown together."""
    chance, accepted = dice(19), 0
    while accepted < ACCEPTED_SCRIPTS:
        pieces = chance.choices(PIECES, k=chance.randint(2, 14))
        script = "".join([*pieces, "\\echo OBEYED\n"]).encode()
        with contextlib.suppress(Damaged):
            if refusal(script, 13):
                continue
        accepted += 1
        assert not psql(script), script


def test_psql_obeys_what_is_refused(psql):
    """So that the test above can fail."""
    obeyed = [name for name in UNSAFE if psql(UNSAFE[name].replace(b"\\! id", b"\\echo OBEYED"))]
    assert len(obeyed) > len(UNSAFE) / 3
    assert {"behind a comment that ends with CR", "rows of a COPY in a routine"} <= set(obeyed)
