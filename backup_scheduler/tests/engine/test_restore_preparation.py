"""An empty database is made as Odoo makes it, before a dump is loaded into it."""

import pytest
import restore_legal_world as legal
import restore_world as world
from engine.errors import DatabaseServerFailed
from restore_legal_world import drilled

nothing_left = world.nothing_left
cluster, make, archive_format = legal.cluster, legal.make, legal.archive_format
AS_ODOO = """
    CREATE EXTENSION unaccent; ALTER FUNCTION unaccent(text) IMMUTABLE;
    CREATE INDEX note_unaccent ON public.note USING gin (unaccent(body) gin_trgm_ops);
"""


@pytest.fixture
def spool(tmp_path_factory):
    folder = tmp_path_factory.mktemp("spool")
    for path in (folder, folder.parent, folder.parent.parent):
        path.chmod(0o755)
    return str(folder)


def test_an_index_over_unaccent_is_restored_where_the_role_may(cluster, make, archive_format):
    path = make(archive_format, by_superuser=AS_ODOO)
    assert drilled(path, archive_format, cluster, by="postgres")["level"] == 4


def test_an_index_over_unaccent_is_restored_in_a_cluster_of_its_own(
    cluster, make, archive_format, spool
):
    path = make(archive_format, by_superuser=AS_ODOO)
    assert drilled(path, archive_format, cluster, isolation={"spool": spool})["level"] == 4


def test_where_the_role_may_not_it_says_nothing_about_the_archive(cluster, make, archive_format):
    path = make(archive_format, by_superuser=AS_ODOO)
    with pytest.raises(DatabaseServerFailed, match="note_unaccent") as caught:
        drilled(path, archive_format, cluster)
    assert "unaccent()" in caught.value.hint


def test_unaccent_in_a_schema_of_its_own_is_left_to_the_dump(cluster, make, archive_format):
    wrapped = """
        CREATE SCHEMA apart; CREATE EXTENSION unaccent WITH SCHEMA apart;
        CREATE FUNCTION public.unaccent(value text) RETURNS text LANGUAGE sql IMMUTABLE STRICT
            RETURN (SELECT apart.unaccent('apart.unaccent'::regdictionary, value));
        CREATE INDEX note_unaccent ON public.note (public.unaccent(body));
    """
    path = make(archive_format, wrapped)
    assert drilled(path, archive_format, cluster, by="postgres")["level"] == 4


def test_harmless_extensions_of_superusers_are_there_in_a_cluster_of_its_own(
    cluster, make, archive_format, spool
):
    path = make(archive_format, by_superuser="CREATE EXTENSION pg_buffercache;")
    assert drilled(path, archive_format, cluster, isolation={"spool": spool})["level"] == 4
    with pytest.raises(DatabaseServerFailed) as caught:
        drilled(path, archive_format, cluster)
    assert "“pg_buffercache”" in caught.value.hint


def test_extensions_that_reach_other_servers_are_not_made(cluster, make, archive_format, spool):
    path = make(archive_format, by_superuser="CREATE EXTENSION dblink;")
    with pytest.raises(DatabaseServerFailed, match="dblink"):
        drilled(path, archive_format, cluster, isolation={"spool": spool})
