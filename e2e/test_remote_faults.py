"""A remote that refuses, lies or dies: each failure has its name, and production is only read."""

import signal
import xmlrpc.client

import pytest
from devenv.stack import SHOP
from proxy import Proxy
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
    (run,) = world.call("job", "run_now", [job])
    failed(world.wait_for(run), "unknown_database")
    assert world.call("database", "read", [doomed], ["present"])[0]["present"] is False


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
