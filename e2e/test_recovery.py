"""docs/recovery.md, followed line by line: a company comes back without this product."""

import base64
import os
import queue
import re
import shlex
import subprocess
from pathlib import Path

import pyrage
import pytest
from devenv.odoo import ODOO_BIN, location
from devenv.paths import PYTHON, ROOT
from devenv.postgres import binaries
from engine_process import EngineProcess

DOCUMENT = ROOT / "docs" / "recovery.md"
PASSWORD = "master-of-recovery"
DATABASE, NEW = "recovery", "recovered"
CUSTOMER = "Customer of the day before"
TIMEOUT = 300
# The steps, by the beginnings of their headings.
COMMON = ("1.", "2.", "4.", "7.")


def blocks(*steps):
    """Return the commands of the document's steps as one script, in the document's order."""
    found = []
    for section in re.split(r"^## ", DOCUMENT.read_text(), flags=re.MULTILINE)[1:]:
        if section.startswith((*COMMON, *steps)):
            found += re.findall(r"^```sh\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    return "\n".join(found)


def with_settings(script, **settings):
    """Return the script with the reader's own values in place of the document's."""
    for name, value in settings.items():
        line = f"{name}={shlex.quote(str(value))}"
        script, count = re.subn(rf"^{name}=.*$", lambda _match, line=line: line, script, flags=re.M)
        assert count == 1, name
    return script


def back_up(server, folder, archive_format, recipients):
    """Let the engine back up the server's database into ``folder``."""
    name = f"2026-11-20T02-00-00Z.{archive_format}{'.age' if recipients else ''}"
    order = {
        "action": "backup",
        "source": {"connection": "http", "url": server.url, "master_password": PASSWORD},
        "database": DATABASE,
        "archive_format": archive_format,
        "include_filestore": True,
        "expected_size": 0,
        "verify_level": 3,
        "spool": str(folder / "spool"),
        "token": "run-1-1",
        "destinations": [
            {
                "id": 1,
                "kind": "local",
                "settings": {"path": str(folder / "bucket")},
                "archive_path": f"Shop/{DATABASE}/{name}",
                "recipients": recipients,
            }
        ],
        "catalogue": {"run": "uuid/1", "instance": "Shop", "database": DATABASE},
    }
    events = queue.Queue()
    process = EngineProcess(order, events.put)
    try:
        while (event := events.get(timeout=TIMEOUT))["event"] not in ("done", "failed", "lost"):
            if event["event"] == "ready":
                process.publish()
    finally:
        process.end()
    assert event["event"] == "done", event
    assert "finding" not in event


def environment(server, folder):
    """Return the environment of the reader: ``odoo-bin`` on the path, libpq's variables set."""
    command = folder / "bin" / "odoo-bin"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {PYTHON} {ODOO_BIN} "$@"\n')
    command.chmod(0o755)
    return {
        **server.cluster.environment(server.role),
        "PATH": f"{command.parent}:{binaries()}:{os.environ['PATH']}",
        "PYTHONPATH": str(location()),
    }


def follow(script, server, folder):
    """Run the script as its reader does, stopping at the first error."""
    done = subprocess.run(
        ["bash", "-eu", "-o", "pipefail", "-c", script],
        env=environment(server, folder),
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def shop(server, cluster):
    """A production server, with a customer and with attachments."""
    cluster.drop(NEW)
    shop = server(DATABASE, master_password=PASSWORD)
    shop.rpc(DATABASE).call("res.partner", "create", [{"name": CUSTOMER}])
    yield shop
    cluster.drop(NEW)


def attachments(server, database):
    """Return the contents of the seed's attachments, through Odoo."""
    domain = [("name", "like", "seed-")]
    rows = server.rpc(database).call("ir.attachment", "search_read", domain, ["name", "datas"])
    return {row["name"]: base64.b64decode(row["datas"] or b"") for row in rows}


def test_an_encrypted_zip_becomes_the_company_again(shop, tmp_path):
    identity = pyrage.x25519.Identity.generate()
    key = tmp_path / "key.txt"
    key.write_text(f"# public key: {identity.to_public()}\n{identity}\n")
    back_up(shop, tmp_path, "zip", [str(identity.to_public())])
    script = with_settings(blocks("3a.", "5a."), **settings(shop, tmp_path), KEY=key)
    follow(script, shop, tmp_path)
    restored = shop.rpc(NEW)
    assert restored.call("res.partner", "search_count", [("name", "=", CUSTOMER)]) == 1
    original = attachments(shop, DATABASE)
    assert len(original) == 320
    assert attachments(shop, NEW) == original
    assert sum(map(len, original.values())) > 50_000_000
    assert not (tmp_path / "work").exists()


def test_a_dump_becomes_a_harmless_copy(shop, tmp_path):
    back_up(shop, tmp_path, "dump", [])
    script = with_settings(blocks("3b.", "5b.", "6."), **settings(shop, tmp_path))
    follow(script, shop, tmp_path)
    restored = shop.rpc(NEW)
    assert restored.call("res.partner", "search_count", [("name", "=", CUSTOMER)]) == 1
    parameters = restored.call("ir.config_parameter", "get_param", "database.is_neutralized")
    assert parameters in ("True", "true", True)


def settings(server, folder):
    return {
        "ARCHIVES": folder / "bucket",
        "INSTANCE": "Shop",
        "DATABASE": DATABASE,
        "WORK": folder / "work",
        "NEW": NEW,
        "CONF": server.conf,
        "DATA": server.data_dir,
    }


def test_an_archive_that_was_changed_is_not_restored(tmp_path):
    """The document's comparison stops its reader."""
    folder = tmp_path / "bucket" / "Shop" / "shop"
    folder.mkdir(parents=True)
    archive = folder / "2026-11-20T02-00-00Z.zip"
    archive.write_bytes(b"changed")
    Path(f"{archive}.json").write_text('{\n  "sha256": "' + "0" * 64 + '",\n  "size": 7\n}\n')
    script = with_settings(
        blocks("3b."), ARCHIVES=tmp_path / "bucket", WORK=tmp_path / "work", DATABASE="shop"
    )
    done = subprocess.run(
        ["bash", "-eu", "-c", script], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode
    assert "archive: FAILED" in done.stdout
    assert (tmp_path / "work").exists()
