"""A remote that refuses, lies or dies: each failure has its name, and production is only read."""

import contextlib
import signal
import xmlrpc.client

import psycopg2
import pytest
from devenv.stack import SHOP
from proxy import Gateway, Proxy
from world import MASTER_PASSWORD, SOON, failed, good


def accepts(server, password):
    """Return whether it is the server's master password, by a question that changes nothing."""
    try:
        service = xmlrpc.client.ServerProxy(f"{server.url}/xmlrpc/2/db")
        return service.migrate_databases(password, [])
    except xmlrpc.client.Fault:
        return False


def test_a_wrong_master_password_is_named(world):
    instance = world.create_instance(master_password="wrong")
    check = world.call("instance", "test_connection", [instance])
    assert (check["ok"], check["error_code"]) == (False, "wrong_master_password")
    assert check["hint"]
    (run,) = world.call("job", "run_now", [world.create_job(instance)])
    run = failed(world.wait_for(run), "wrong_master_password")
    assert "Traceback" in run["traceback"]
    assert world.leftovers() == []


def test_an_insecure_remote_is_refused_and_keeps_its_password(world, server):
    insecure = server("insecure", master_password=None, workers=2)
    configuration = insecure.conf.read_bytes()
    run = failed(world.back_up(insecure.url), "insecure_remote")
    assert "Nothing was sent" in run["error"]
    assert accepts(insecure, "admin")
    assert not accepts(insecure, MASTER_PASSWORD)
    assert insecure.conf.read_bytes() == configuration


def test_an_insecure_remote_that_may_stay_so_is_backed_up_and_keeps_its_password(world, server):
    insecure = server("insecure-allowed", master_password=None, workers=2)
    instance = world.create_instance(insecure.url, allow_insecure=True)
    (run,) = world.call("job", "run_now", [world.create_job(instance)])
    good(world.wait_for(run))
    assert accepts(insecure, "admin")
    assert not accepts(insecure, MASTER_PASSWORD)


def test_a_database_that_was_dropped_is_named(world, cluster, remote):
    cluster.drop("doomed")
    SHOP.create(remote, "doomed")
    instance = world.create_instance()
    world.call("instance", "test_connection", [instance])
    (doomed,) = world.call(
        "database", "search", [["instance_id", "=", instance], ["name", "=", "doomed"]]
    )
    cluster.drop("doomed")
    job = world.create_job(
        instance, database_scope="selected", database_ids=[[6, 0, [doomed]]]
    )
    # A server in trouble may leave some out: the second answer tells.
    for present in (True, False):
        (run,) = world.call("job", "run_now", [job])
        failed(world.wait_for(run), "unknown_database")
        assert world.call("database", "read", [doomed], ["present"])[0]["present"] is present


def test_a_database_manager_that_is_off_is_named(world, server):
    closed = server("closed", master_password=MASTER_PASSWORD, list_db=False)
    failed(world.back_up(closed.url), "database_manager_disabled")


def test_an_address_where_nobody_answers_is_named(world):
    failed(world.back_up("http://127.0.0.1:9"), "connection_failed")


@pytest.mark.parametrize("workers", [2, 0], ids=["prefork", "threaded"])
def test_a_remote_killed_in_the_middle_of_a_transfer_gives_no_archive(world, server, workers):
    """A prefork server that dies looks like one that is done: only the archive tells."""
    dying = server(f"dying-{workers}", master_password=MASTER_PASSWORD, workers=workers)
    before = world.archives()
    with Proxy(dying.port, stall_at=1_000_000) as proxy:
        run = world.run_now(proxy.url)
        assert proxy.stalled.wait(60)
        dying.kill(signal.SIGKILL)
        proxy.release()
        failed(world.wait_for(run), "truncated")
    assert world.archives() == before
    assert world.leftovers() == []


def test_a_proxy_that_cuts_with_status_200_is_found_out(world, remote):
    before = world.archives()
    with Proxy(remote.port, cut_at=1_000_000) as proxy:
        run = failed(world.back_up(proxy.url), "truncated")
    assert "proxy" in run["hint"]
    assert world.archives() == before
    assert world.leftovers() == []


def test_a_remote_that_is_back_is_backed_up_by_the_next_attempt(world, server):
    absent = server("absent", master_password=MASTER_PASSWORD, workers=2)
    absent.stop()
    run = world.run_now(absent.url, max_attempts=100)
    world.wait_until(lambda: world.run(run)["error_code"] == "connection_failed", SOON, "a failure")
    absent.start()
    ended = good(world.wait_for(run))
    assert ended["attempt"] > 1
    assert "connection_failed" in ended["log"]


# --- outages ------------------------------------------------------------------------------------


def test_a_remote_whose_postgresql_is_down_keeps_its_databases_and_its_night(world, outage):
    """It lists no database then, with status 200, and calls each unknown."""
    instance = world.create_instance(outage.url)
    found = world.call("instance", "test_connection", [instance])
    assert (found["ok"], found["databases"]) == (True, ["outage"])
    outage.cluster.stop()
    for _time in range(3):
        check = world.call("instance", "test_connection", [instance])
        assert (check["ok"], check["error_code"]) == (False, "databases_unavailable")
    (run,) = world.call("job", "run_now", [world.create_job(instance, max_attempts=100)])
    world.wait_until(
        lambda: world.run(run)["error_code"] == "databases_unavailable", SOON, "a failure"
    )
    (database,) = world.call("database", "search_read", [["instance_id", "=", instance]])
    assert (database["present"], database["protection"]) == (True, "pending")
    (group,) = [
        group
        for group in world.call("overview", "load")["instances"]
        if group["id"] == instance
    ]
    assert group["check_status"] == "error"
    outage.cluster.start()
    ended = good(world.wait_for(run))
    assert ended["attempt"] > 1
    assert world.call("instance", "read", [instance], ["check_status"])[0]["check_status"] == "ok"


def test_a_remote_that_lists_what_it_is_told_to_is_tried_again(world, outage):
    """With db_name it lists its databases also without PostgreSQL: the manager answers 500."""
    outage.stop()
    # A prefork one ends when its PostgreSQL does, and so do threads of crons.
    changed = {"db_name": "outage", "workers": 0, "max_cron_threads": 0}
    outage.process, outage.options = None, {**outage.options, **changed}
    outage.start()
    instance = world.create_instance(outage.url)
    assert world.call("instance", "test_connection", [instance])["ok"]
    outage.cluster.stop()
    check = world.call("instance", "test_connection", [instance])
    assert check["error_code"] == "remote_error"
    assert "500 Internal Server Error" in check["error"]
    (run,) = world.call("job", "run_now", [world.create_job(instance, max_attempts=100)])
    world.wait_until(lambda: world.run(run)["error_code"] == "remote_error", SOON, "a failure")
    outage.cluster.start()
    assert good(world.wait_for(run))["attempt"] > 1


def test_a_wrong_master_password_is_named_while_its_postgresql_is_down(world, outage):
    instance = world.create_instance(outage.url, master_password="wrong")
    outage.cluster.stop()
    check = world.call("instance", "test_connection", [instance])
    assert check["error_code"] == "wrong_master_password"


def test_a_remote_that_is_restarted_behind_its_proxy_is_backed_up_when_it_is_back(world, server):
    restarted = server("restarted", master_password=MASTER_PASSWORD, workers=2)
    with Gateway(restarted.port) as gateway:
        restarted.stop()
        run = world.run_now(gateway.url, max_attempts=100)
        world.wait_until(
            lambda: world.run(run)["error_code"] == "connection_failed", SOON, "a failure"
        )
        assert "502 Bad Gateway. Odoo is down or restarting" in world.run(run)["error"]
        restarted.start()
        assert good(world.wait_for(run))["attempt"] > 1


def test_a_remote_that_goes_down_in_the_middle_of_a_dump_is_backed_up_when_it_is_back(
    world, server, cluster
):
    dying = server("dying-dump", master_password=MASTER_PASSWORD, workers=2)
    with Gateway(dying.port) as gateway:
        connection = psycopg2.connect(dbname="dying-dump", **cluster.dsn(dying.role))
        with contextlib.closing(connection) as lock:
            # pg_dump waits for it, and no request of Odoo.
            lock.cursor().execute("LOCK TABLE res_partner_bank")
            run = world.run_now(gateway.url, max_attempts=100)
            waiting = "query LIKE 'LOCK TABLE %IN ACCESS SHARE MODE%' AND wait_event_type = 'Lock'"
            world.wait_until(
                lambda: cluster.psql(f"SELECT 1 FROM pg_stat_activity WHERE {waiting}"),
                SOON,
                "a dump that waits",
            )
            dying.kill()
            dying.stop()
        world.wait_until(
            lambda: world.run(run)["error_code"] == "connection_failed", SOON, "a failure"
        )
        assert "limit_time_real" in world.run(run)["hint"]
        dying.start()
        assert good(world.wait_for(run))["attempt"] > 1
