"""Backups into destinations that keep archives encrypted."""

import hashlib
import json
import os

import ages
import fake_odoo
import pytest
from ages import IDENTITY, OTHER_IDENTITY, OTHER_RECIPIENT, RECIPIENT
from engine.errors import BackupError, EncryptionFailed
from fake_odoo import ARCHIVE
from orders import (
    PATH,
    RUN,
    SEALED_PATH,
    backup_order,
    carry_out,
    copy_order,
    left_in,
    run_here,
    sealed_order,
)


def read(*parts):
    with open(os.path.join(*parts), "rb") as file:
        return file.read()


def test_an_archive_is_stored_encrypted_and_the_age_program_opens_it(odoo, folder, tmp_path):
    odoo.archive = fake_odoo.large_archive(3_000_000)
    result = run_here(backup_order(odoo, folder, [sealed_order(folder, "sealed")]))
    content = read(folder, "sealed", SEALED_PATH)
    assert left_in(folder) == [f"sealed/{SEALED_PATH}", f"sealed/{SEALED_PATH}.json"]
    assert ages.opened_by_age(tmp_path, content) == odoo.archive
    (copy,) = result["copies"]
    assert (copy["stored"], copy["encryption"]) == (True, "age")
    assert copy["size"] == len(content) > result["size"] == len(odoo.archive)
    assert copy["sha256"] == hashlib.sha256(content).hexdigest() != result["sha256"]


def test_the_catalogue_tells_what_lies_there_and_what_is_inside(odoo, folder):
    copy = sealed_order(folder, "sealed", recipients=[RECIPIENT, OTHER_RECIPIENT])
    (stored,) = run_here(backup_order(odoo, folder, [copy]))["copies"]
    catalogue = json.loads(read(folder, "sealed", f"{SEALED_PATH}.json"))
    assert catalogue["run"] == RUN
    assert (catalogue["size"], catalogue["sha256"]) == (
        len(ARCHIVE),
        hashlib.sha256(ARCHIVE).hexdigest(),
    )
    assert catalogue["encryption"] == "age"
    assert catalogue["recipients"] == [RECIPIENT, OTHER_RECIPIENT]
    assert (catalogue["stored_size"], catalogue["stored_sha256"]) == (
        stored["size"],
        stored["sha256"],
    )


def test_one_archive_goes_plain_and_encrypted_for_each_as_it_should(odoo, folder, tmp_path):
    orders = [
        copy_order(folder, "plain", 1),
        sealed_order(folder, "sealed", 2),
        sealed_order(folder, "other", 3, recipients=[OTHER_RECIPIENT]),
    ]
    result = run_here(backup_order(odoo, folder, orders))
    assert [copy["encryption"] for copy in result["copies"]] == ["", "age", "age"]
    assert read(folder, "plain", PATH) == ARCHIVE
    assert "encryption" not in json.loads(read(folder, "plain", f"{PATH}.json"))
    for name, key in (("sealed", IDENTITY), ("other", OTHER_IDENTITY)):
        content = read(folder, name, SEALED_PATH)
        assert ages.opened_by_age(tmp_path, content, key) == ARCHIVE


def test_no_plain_byte_ever_lies_in_an_encrypted_destination(odoo, folder):
    """The spool is on the same file system: a hard link to it would be the archive itself."""
    found = []

    def look(control, event):
        names = [name for name in left_in(folder) if name.startswith("sealed/")]
        found.extend(read(folder, name) for name in names if name.endswith(".part"))

    odoo.archive = fake_odoo.large_archive(3_000_000)
    run_here(backup_order(odoo, folder, [sealed_order(folder, "sealed")]), look)
    assert any(found)
    assert all(content[:30].startswith(b"age-encryption.org/v1") for content in found if content)


@pytest.mark.parametrize("recipient", ["age1mistyped", "hunter2", IDENTITY])
def test_a_recipient_that_is_none_is_told_before_the_server_dumps(odoo, folder, recipient):
    order = backup_order(odoo, folder, [sealed_order(folder, "a", recipients=[recipient])])
    with pytest.raises(EncryptionFailed):
        run_here(order)
    assert odoo.backup_forms() == []
    assert left_in(folder) == []


@pytest.mark.parametrize(
    "place",
    [{"archive_path": PATH}, {"recipients": []}],
    ids=["encrypted under a plain name", "plain under an encrypted name"],
)
def test_a_name_that_does_not_say_what_it_holds_is_refused(odoo, folder, place):
    orders = [copy_order(folder, "good", 1), sealed_order(folder, "bad", 2, **place)]
    good, bad = run_here(backup_order(odoo, folder, orders))["copies"]
    assert good["stored"]
    assert (bad["stored"], bad["error_code"]) == (False, "encryption_failed")
    assert left_in(folder) == [f"good/{PATH}", f"good/{PATH}.json"]


def test_a_transfer_that_is_cut_leaves_nothing_encrypted_either(odoo, folder):
    odoo.how = fake_odoo.prefork_cut
    with pytest.raises(BackupError) as raised:
        run_here(backup_order(odoo, folder, [sealed_order(folder, "sealed")]))
    assert raised.value.code == "truncated"
    assert left_in(folder) == []


def test_a_process_of_its_own_encrypts_as_well(odoo, folder, tmp_path):
    done = carry_out(backup_order(odoo, folder, [sealed_order(folder, "sealed")]))
    assert done["copies"][0]["encryption"] == "age"
    assert ages.opened_by_age(tmp_path, read(folder, "sealed", SEALED_PATH)) == ARCHIVE
