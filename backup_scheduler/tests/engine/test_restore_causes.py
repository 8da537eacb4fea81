"""Whose fault it is that a dump is not restored, and that no value of a row is told with it."""

import re

import pytest
import restore_legal_world as legal
import restore_world as world
from bounded import run_bounded
from engine.errors import DatabaseServerFailed, RestoreFailed
from engine.restore.causes import error_of
from engine.restore.failures import of_program
from engine.restore.statements import Feed, Statement
from restore_legal_world import drilled

sql, restored, nothing_left = world.sql, world.restored, world.nothing_left
cluster, make, archive_format = legal.cluster, legal.make, legal.archive_format
# A row of a customer, in a table that a legal database has.
INSERT = "INSERT INTO aaa (name, iban) VALUES ('Jane Roe', 'BE00 1111 2222 3333');"
SLUG = """
    CREATE EXTENSION unaccent;
    CREATE FUNCTION public.slug(v text) RETURNS text LANGUAGE plpgsql IMMUTABLE
        AS $$ BEGIN RETURN lower(unaccent(v)); END $$;
"""


# --- no value of a row is told ------------------------------------------------------------------

LEAKS = {
    "check": """
        CREATE FUNCTION public.ok(i text) RETURNS bool LANGUAGE sql STABLE
            AS 'SELECT EXISTS (SELECT FROM public.res_users WHERE id = 1)';
        CREATE TABLE aaa (name text, iban text, CHECK (public.ok(name)));
    """,
    "generated": SLUG + """
        CREATE TABLE aaa (name text, iban text,
            s text GENERATED ALWAYS AS (public.slug(name)) STORED);
    """,
    "raise": """
        CREATE FUNCTION public.strict(v text) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN
            IF current_setting('search_path') !~ 'public'
            THEN RAISE EXCEPTION 'bad: %', v USING
                ERRCODE = '42501', HINT = v, DETAIL = v, TABLE = v, COLUMN = v, CONSTRAINT = v;
            END IF; RETURN true; END $$;
        CREATE TABLE aaa (name text CHECK (public.strict(name)), iban text);
    """,
    "statement of a value": """
        CREATE FUNCTION public.made(v text) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN
            IF current_setting('search_path') !~ 'public'
            THEN EXECUTE format('SELECT %I()', v); END IF; RETURN true; END $$;
        CREATE TABLE aaa (name text CHECK (public.made(name)), iban text);
    """,
    "value": """
        CREATE FUNCTION public.number(v text) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN
            IF current_setting('search_path') !~ 'public' THEN RETURN v::int > 0; END IF;
            RETURN true; END $$;
        CREATE TABLE aaa (name text CHECK (public.number(name)), iban text);
    """,
}
EXPECTED = {
    "check": ("23514", "aaa_name_check", "table public.aaa", "row 1"),
    "generated": ("42883", "function unaccent(text) does not exist", "public.slug(text)", "aaa"),
    "raise": ("42501", "public.strict(text)", "table aaa", "row 1"),
    "statement of a value": ("42883", "undefined_function", "public.made(text)"),
    "value": ("22P02", "invalid_text_representation", "public.number(text)"),
}


@pytest.mark.parametrize("name", LEAKS)
def test_a_row_stays_where_it_is(cluster, make, archive_format, name):
    path = make(archive_format, LEAKS[name] + INSERT)
    with pytest.raises(RestoreFailed) as caught:
        drilled(path, archive_format, cluster)
    told = f"{caught.value.message} {caught.value.hint}"
    assert not any(value in told for value in ("Jane", "Roe", "BE00", "3333"))
    for expected in EXPECTED[name]:
        assert expected in told
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


NAMED = """
    CREATE FUNCTION public.named(v text) RETURNS bool LANGUAGE {} IMMUTABLE AS $$ {}
        CASE WHEN current_setting('search_path') ~ 'public' THEN true
        ELSE v::regclass IS NOT NULL END {} $$;
    CREATE TABLE aaa (name text CHECK (public.named(name)));
    INSERT INTO aaa VALUES ('mueller');
"""


@pytest.mark.parametrize("code", [("sql", "SELECT", ""), ("plpgsql", "BEGIN RETURN", "; END")])
def test_a_row_that_is_taken_for_a_name_is_not_told(cluster, make, code):
    path = make("zip", NAMED.format(*code))
    with pytest.raises(RestoreFailed) as caught:
        drilled(path, "zip", cluster)
    assert "mueller" not in f"{caught.value.message} {caught.value.hint}"
    assert "undefined_table" in str(caught.value)


def test_a_row_that_a_dump_inserts_by_statements_is_not_told(restored, sql):
    insert = "INSERT INTO public.res_users VALUES (1, 'Jane Roe');"
    end = b"\n--\n-- PostgreSQL database dump complete"
    with pytest.raises(RestoreFailed) as caught:
        restored(sql.replace(end, insert.encode() + end))
    assert "Jane" not in caught.value.message
    assert "statement INSERT INTO public.res_users" in caught.value.message


def test_a_row_with_line_ends_and_labels_of_its_own_is_not_told():
    lines = [
        'psql:<stdin>:9: ERROR:  23514: new row for relation "t" violates check constraint "c"',
        "DETAIL:  Failing row contains (Jane",
        "HINT:  Roe",
        "TABLE NAME:  Jane",
        "psql:<stdin>:9: ERROR:  42501: Jane",
        ").",
        'CONTEXT:  COPY t, line 3: "Jane Roe"',
        "SCHEMA NAME:  public",
        "TABLE NAME:  t",
        "CONSTRAINT NAME:  c",
        "LOCATION:  ExecConstraints, execMain.c:2039",
    ]
    told = of_program(lines, "").message()
    assert "Jane" not in told
    assert "row 3" in told


def test_what_has_no_sqlstate_is_told_only_where_it_is_the_program_s_own():
    assert "Jane" not in of_program(["psql:<stdin>:3: error: invalid command \\Jane"], "").message()
    known = "psql: error: connection to server on socket failed: FATAL:  no"
    assert "connection to server" in of_program([known], "").message()


@pytest.mark.parametrize(
    ("statement", "title"),
    [
        (b"INSERT INTO public.x VALUES (1, 'Jane');", "INSERT INTO public.x"),
        (b"CREATE INDEX i ON public.x USING gin (a);", "CREATE INDEX i ON public.x"),
        (
            b"ALTER TABLE ONLY public.x\n    ADD CONSTRAINT y CHECK (a <> 'Jane');",
            "ALTER TABLE ONLY public.x ADD CONSTRAINT y",
        ),
        (b"SELECT pg_catalog.lowrite(0, 'Jane');", "SELECT pg_catalog.lowrite"),
        (b"SELECT 'Jane';", "SELECT"),
        (b"DO $$ Jane $$;", "DO"),
    ],
)
def test_a_statement_is_told_by_its_kind_and_names(statement, title):
    assert Statement(statement).title == title


# --- whose fault it is --------------------------------------------------------------------------

# SQLSTATE, message, statement, and whether it is the archive's fault.
CAUSES = [
    ("42501", 'permission denied to create event trigger "x"', b"CREATE EVENT TRIGGER x", False),
    ("42501", "only superuser can define a leakproof function", b"CREATE FUNCTION public.f", False),
    ("42501", "must be owner of database precious", b"DROP DATABASE precious;", True),
    ("42501", "permission denied to grant role", b"GRANT odoo TO x;", True),
    ("42704", 'collation "pg_catalog.sv_SE.utf8" for encoding "UTF8" does not exist', b"", False),
    ("22023", 'could not create locale "sv_SE": No such file or directory', b"", False),
    ("42704", 'text search dictionary "hunspell_fr" does not exist', b"", False),
    ("F0000", 'could not open dictionary file "/usr/share/x.dict": No such file', b"", False),
    ("42704", 'language "plpython3u" does not exist', b"", False),
    ("42704", 'tablespace "fast" does not exist', b"", False),
    ("42704", 'role "bi" does not exist', b"CREATE POLICY p ON public.x TO bi;", False),
    ("42704", 'type "public.nothing" does not exist', b"CREATE TABLE public.x", True),
    ("42704", 'operator class "o" does not exist for access method "gin"', b"", True),
    ("0A000", "ICU is not supported in this build", b"CREATE COLLATION public.c", False),
    ("58P01", 'could not access file "$libdir/vector": No such file', b"", False),
    ("54000", "index row size 9000 exceeds maximum 8191 for index x", b"CREATE INDEX x", False),
    ("42P17", "functions in index expression must be marked IMMUTABLE",
     b"CREATE INDEX x ON public.y (public.unaccent(name));", False),
    ("42P17", "functions in index expression must be marked IMMUTABLE",
     b"CREATE INDEX x ON public.y (public.mine(name));", True),
    ("57014", "canceling statement due to statement timeout", b"", False),
    ("55P03", "canceling statement due to lock timeout", b"", False),
    ("XX000", "could not find tuple", b"", False),
    ("53200", "out of memory", b"", False),
    ("23505", 'duplicate key value violates unique constraint "x"', b"", True),
    ("23503", 'insert or update on table "a" violates foreign key constraint "b"', b"", True),
    ("42601", 'syntax error at or near "x"', b"", True),
    ("42P01", 'relation "public.x" does not exist', b"", True),
    ("22P04", "extra data after last expected column", b"", True),
]  # fmt: skip


@pytest.mark.parametrize(("sqlstate", "text", "statement", "is_archive_s"), CAUSES)
def test_an_archive_is_bad_only_where_no_server_could_restore_it(
    sqlstate, text, statement, is_archive_s
):
    failure = of_program([f"psql:<stdin>:7: ERROR:  {sqlstate}: {text}"], "")
    failure.note_statement(Statement(statement) if statement else None)
    error = error_of(failure)
    assert isinstance(error, RestoreFailed if is_archive_s else DatabaseServerFailed)
    assert error.failure is failure


@pytest.mark.parametrize(
    ("sqlstate", "text", "name"),
    [
        ("F0000", 'could not open dictionary file "/usr/share/x.dict": No such file', "x.dict"),
        ("42704", 'text search dictionary "hunspell_fr" does not exist', "“hunspell_fr”"),
        ("22023", 'could not create locale "sv_SE": No such file or directory', "“sv_SE”"),
        ("58P01", 'could not access file "$libdir/vector": No such file', "“vector”"),
        ("0A000", 'extension "vector" is not available', "“vector”"),
        ("58P01", 'could not open extension control file "/x/extension/vector.control": No such',
         "“vector”"),
        ("42501", "only superuser can define a leakproof function", "superuser"),
        ("42704", 'role "bi" does not exist', 'CREATE ROLE "bi"'),
    ],
)  # fmt: skip
def test_what_is_the_server_s_names_what_to_install_or_grant(sqlstate, text, name):
    error = error_of(of_program([f"psql:<stdin>:7: ERROR:  {sqlstate}: {text}"], ""))
    assert name in error.hint
    assert "nothing about the archive" in error.hint


GERMAN = [
    ("Sortierfolge »pg_catalog.sv_SE.utf8« für Kodierung »UTF8« existiert nicht",
     "get_collation_oid, namespace.c:3848", "“pg_catalog.sv_SE.utf8”"),
    ("Textsuchewörterbuch »hunspell_fr« existiert nicht", "get_ts_dict_oid, namespace.c:2629",
     "“hunspell_fr”"),
    ("Sprache »plpython3u« existiert nicht", "CreateFunction, functioncmds.c:1079",
     "“plpython3u”"),
    ("Zugriffsmethode »hnsw« existiert nicht", "DefineIndex, indexcmds.c:819", "“hnsw”"),
    ("le rôle « bi » n'existe pas", "get_role_oid, acl.c:5172", 'CREATE ROLE "bi"'),
    ("unbekannter Konfigurationsparameter »x«", "find_option, guc.c:5722", "another version"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "place", "name"), GERMAN)
def test_a_server_whose_messages_are_not_in_english_is_not_held_against_the_archive(
    text, place, name
):
    lines = [f"psql:<stdin>:7: FEHLER:  42704: {text}", f"LOCATION:  {place}"]
    error = error_of(of_program(lines, ""))
    assert isinstance(error, DatabaseServerFailed)
    assert name in error.hint


def test_a_statement_that_was_wrapped_is_no_code_of_the_dump_in_any_language():
    lines = [
        "psql:<stdin>:7: FEHLER:  42704: Rolle »bi« existiert nicht",
        "CONTEXT:  SQL-Anweisung »CREATE POLICY p ON public.x TO bi;«",
        "PL/pgSQL-Funktion inline_code_block Zeile 1 bei EXECUTE",
        "LOCATION:  get_role_oid, acl.c:5172",
    ]
    failure, feed = of_program(lines, ""), Feed()
    feed.statement(b"CREATE POLICY p ON public.x TO bi;")
    failure.note_statement(feed.at(1))
    assert 'CREATE ROLE "bi"' in error_of(failure).hint


def test_a_missing_type_is_the_archive_s_in_any_language():
    lines = [
        "psql:<stdin>:7: FEHLER:  42704: Typ »public.nothing« existiert nicht",
        "LOCATION:  typenameType, parse_type.c:270",
    ]
    assert isinstance(error_of(of_program(lines, "")), RestoreFailed)


def test_code_of_a_dump_does_not_put_its_failure_on_the_server():
    lines = [
        "psql:<stdin>:7: ERROR:  53100: disk full",
        "CONTEXT:  PL/pgSQL function public.f() line 1 at RAISE",
        "LOCATION:  exec_stmt_raise, pl_exec.c:3923",
    ]
    assert isinstance(error_of(of_program(lines, "")), RestoreFailed)


def test_psql_that_was_killed_says_nothing_about_the_archive():
    assert isinstance(error_of(of_program([], "psql ended with code -9.")), DatabaseServerFailed)


# --- what is left out, or left to the server ----------------------------------------------------

LEGAL = {
    "event trigger": """
        CREATE FUNCTION public.ddl() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN END $$;
        CREATE EVENT TRIGGER ddl ON ddl_command_end EXECUTE FUNCTION public.ddl();
    """,
    "publication": "CREATE PUBLICATION everything FOR ALL TABLES;",
    "grants": """
        CREATE ROLE bi; GRANT SELECT ON public.note TO bi WITH GRANT OPTION;
        SET SESSION AUTHORIZATION bi; GRANT SELECT ON public.note TO PUBLIC;
        RESET SESSION AUTHORIZATION; ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO bi;
    """,
    "leakproof": """
        CREATE FUNCTION public.tight(a text) RETURNS bool LANGUAGE sql IMMUTABLE STRICT LEAKPROOF
            AS 'SELECT a = $$ LEAKPROOF $$';
        CREATE INDEX ON public.note (public.tight(body));
    """,
    "view": """
        CREATE FUNCTION public.n() RETURNS bigint LANGUAGE sql STABLE
            AS 'SELECT count(*) FROM note';
        CREATE MATERIALIZED VIEW public.stats AS SELECT public.n() AS n;
        CREATE UNIQUE INDEX ON public.stats (n);
    """,
}


@pytest.mark.parametrize("name", LEGAL)
def test_what_does_not_matter_to_a_restore_does_not_fail_it(
    cluster, make, archive_format, name
):
    path = make(archive_format, by_superuser=LEGAL[name])
    if name == "grants":
        cluster.psql("DROP OWNED BY bi CASCADE", "legal")
        cluster.psql("DROP ROLE bi")
    report = drilled(path, archive_format, cluster)
    assert report["level"] == 4
    noted = " ".join(report["notes"])
    if name != "grants" or archive_format == "zip":
        words = {
            "event trigger": "CREATE EVENT TRIGGER ddl",
            "publication": "CREATE PUBLICATION everything",
            "grants": "Privileges of other roles were left out",
            "leakproof": "CREATE FUNCTION public.tight",
            "view": "REFRESH MATERIALIZED VIEW public.stats",
        }
        assert words[name] in noted


def test_whose_tables_are_and_where_they_lie_is_left_out(restored, sql):
    elsewhere = """
        SET default_tablespace = fast;
        CREATE TABLE public.far (id int);
        ALTER TABLE public.far OWNER TO somebody;
        ALTER FUNCTION public.similarity(text, text) OWNER TO somebody;
        SET default_tablespace = '';
        DROP TABLE public.far;"""
    assert restored(world.with_statement(sql, elsewhere))["level"] == 4


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER DATABASE precious OWNER TO CURRENT_USER;",
        "ALTER TABLE public.note ADD COLUMN x text DEFAULT ' OWNER TO a';",
        "GRANT odoo TO CURRENT_USER;",
        "SELECT 'REFRESH MATERIALIZED VIEW x';",
    ],
)
def test_nothing_else_is_left_out(statement):
    feed = Feed()
    feed.statement(statement.encode())
    assert feed.take() == statement.encode()


def test_a_statement_within_the_body_of_a_routine_is_left_as_it_is(restored, sql):
    body = """CREATE PROCEDURE public.p(INOUT a int) LANGUAGE sql
        BEGIN ATOMIC SELECT a + 1; SELECT a + 2; END;"""
    assert restored(world.with_statement(sql, body))["level"] == 4


def test_privileges_on_many_columns_are_tried_too():
    columns = ",".join(f"SELECT(a_column_{number})" for number in range(200))
    feed = Feed()
    feed.statement(f"GRANT {columns} ON TABLE public.x TO bi;".encode())
    assert feed.take().startswith(b"DO $backup_")


def test_a_full_disk_while_a_view_is_computed_is_not_passed_over():
    feed = Feed()
    feed.statement(b"REFRESH MATERIALIZED VIEW public.x;")
    assert re.search(rb"NOT LIKE '53%'", feed.take())


def test_lines_of_a_dump_are_counted_as_psql_does(restored, sql):
    left_out = "SET default_tablespace = fast;\nALTER TABLE public.x\n OWNER TO y;\n"
    dump = world.with_statement(sql, left_out + "SELECT nothing;")
    line = dump[: dump.index(b"SELECT nothing")].count(b"\n") + 1
    with pytest.raises(RestoreFailed, match=f"statement SELECT nothing; line {line} of the dump"):
        restored(dump)


@pytest.mark.parametrize(
    "definition",
    [
        b"LANGUAGE sql  LEAKPROOF$x$ AS $x$\n\\! id\n$x$;\n",
        b"LANGUAGE e LEAKPROOF'\\' AS '\n\\! id\n';\n",
        b"LANGUAGE e LEAKPROOF\xc3\xa9'\\' AS '\n\\! id\n';\n",
    ],
)
def test_no_quote_gets_another_meaning_by_what_is_left_out(definition):
    """psql would take what is quoted for a command of its own."""
    statement = b"CREATE FUNCTION public.f() RETURNS int\n    " + definition
    feed = Feed()
    feed.statement(statement)
    assert feed.take() == statement


LONG_STATEMENTS = """
from engine.restore.statements import Feed

for beginning in (
    b"CREATE FUNCTION f()\\n    LANGUAGE ", b"GRANT ", b"ALTER TABLE ", b"ALTER TABLE x OWNER TO ",
    b"CREATE POLICY ", b"COMMENT ON SCHEMA ", b"CREATE EXTENSION ", b"SET default_tablespace = ",
    b"SECURITY LABEL ", b"REFRESH MATERIALIZED VIEW ",
):
    for unit in (b"A", b" A", b" ", b'"', b" ON", b".a", b" LEAKPROOF", b"\\n    LANGUAGE a"):
        Feed().statement(beginning + unit * (400_000 // len(unit)) + b";")
"""


def test_long_statements_are_looked_at_in_linear_time():
    run_bounded(LONG_STATEMENTS, cpu=20)
