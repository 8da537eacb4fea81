"""SFTP servers that lack something which is optional: archives are kept there all the same."""

import contextlib
import os

import paramiko
import places
import pytest
from engine.destinations import words
from engine.destinations.sftp import SFTPDestination
from engine.errors import DestinationFailed, NoSpace
from servers_lame import Options, lame_server
from sftp_uploads import CATALOGUE, CONTENT, OWNER, PATH, store

LACKING = {
    "nothing": (),
    "types": ("types",),
    "types, also in listings": ("types", "long_names"),
    "all but sizes": ("modes",),
    "all but sizes, also in listings": ("modes", "long_names"),
    "exclusive": ("exclusive",),
    "hidden": ("hidden",),
    "everything": ("types", "modes", "long_names", "exclusive", "hidden"),
}


@pytest.fixture(params=LACKING.values(), ids=LACKING)
def options(request):
    return Options(*request.param)


@pytest.fixture
def settings(tmp_path, options):
    with lame_server(str(tmp_path), options) as settings:
        yield settings


def test_the_check_finds_every_right_a_second_time_too_and_marks_the_folder(settings, tmp_path):
    marker = ""
    for _time in range(2):
        found = SFTPDestination(**settings, marker=marker).check()
        assert found["rights"] == dict.fromkeys(("write", "read", "list", "delete"), True)
        # That it cannot write through to its disk, as before.
        assert len(found["warnings"]) == 1
        marker = marker or found["marker"]
        assert marker == found["marker"]
    assert len(places.files(tmp_path / "backups")) == 1
    os.remove(tmp_path / "backups" / places.files(tmp_path / "backups")[0])
    # A server that refuses hidden names does not tell whether the usual one would be there.
    with pytest.raises(DestinationFailed, match="not the one that it was|Permission denied"):
        SFTPDestination(**settings, marker=marker).stat(PATH)


def test_archives_are_stored_replaced_found_read_and_deleted(settings, tmp_path):
    destination = SFTPDestination(**settings)
    other = PATH.replace("T02", "T03")
    store(destination)
    store(destination, content=2 * CONTENT, attempt="run-2")
    store(destination, path=other)
    # Beside what is no archive and no folder.
    (tmp_path / "backups" / "notes").write_text("x")
    assert destination.stat(PATH) == 2 * len(CONTENT)
    assert b"".join(bytes(block) for block in destination.read(PATH)) == 2 * CONTENT
    assert [path for path, _catalogue in destination.catalogues()] == [PATH, other]
    destination.delete(PATH, OWNER)
    assert places.contents(tmp_path / "backups") == {
        other: CONTENT, f"{other}.json": CATALOGUE, "notes": b"x",
    }  # fmt: skip


@contextlib.contextmanager
def refused(destination, kind):
    place = destination._open()
    with place, pytest.raises(kind), place.failures_named("It cannot be made"):
        yield place


def test_what_stands_there_is_not_overwritten_where_nothing_can_be_made_exclusively(tmp_path):
    with lame_server(str(tmp_path), Options("exclusive")) as settings:
        destination = SFTPDestination(**settings)
        store(destination)
        with refused(destination, DestinationFailed) as place:
            place.write_new(destination._locate(PATH), b"other")
        assert places.contents(tmp_path / "backups")[PATH] == CONTENT


@pytest.mark.parametrize("code", [paramiko.SFTP_FAILURE, paramiko.SFTP_BAD_MESSAGE])
def test_no_space_left_is_known_by_its_words(tmp_path, code):
    options = Options()
    with lame_server(str(tmp_path), options) as settings:
        destination = SFTPDestination(**settings)
        store(destination)
        options.refusal = (code, "write: No space left on device")
        with refused(destination, NoSpace) as place:
            place.sftp.create("no/such/folder")


def test_what_a_server_says_is_bounded_and_on_one_line(tmp_path):
    options = Options()
    with lame_server(str(tmp_path), options) as settings:
        destination = SFTPDestination(**settings)
        store(destination)
        options.refusal = (paramiko.SFTP_FAILURE, "no\n\x1b[31m" + "x" * 44_000)
        place = destination._open()
        with place, pytest.raises(DestinationFailed) as raised, place.failures_named("It"):
            place.sftp.create("no/such/folder")
    assert len(raised.value.message) < 2 * words.QUOTED
    assert raised.value.message.isprintable()
