"""The configuration of rclone: looked through, lent to the program, taken back, told to nobody."""

import http.server
import json
import os
import tempfile
import threading

import places
import pytest
import servers_rclone
from engine.destinations import rclone_config, rclone_options, rclone_program
from engine.destinations.rclone import RcloneDestination
from engine.errors import ArchiveMissing, DestinationFailed, LibraryMissing
from rclone_uploads import PATH, needs_rclone
from waiting import until

CLIENT_SECRET = "the client's secret"  # noqa: S105 - of the test's own server
NEW_TOKEN = {"access_token": "access-2", "refresh_token": "refresh-2", "expires_in": 3600}


@pytest.fixture
def memory(tmp_path, monkeypatch):
    """The folder in which the private ones are made."""
    (tmp_path / "memory").mkdir()
    monkeypatch.setattr(rclone_config, "MEMORY", str(tmp_path / "memory"))
    return str(tmp_path / "memory")


@pytest.fixture
def destination(tmp_path, memory):
    (tmp_path / "archives").mkdir()
    config = servers_rclone.folder_configuration(str(tmp_path / "archives"))
    return RcloneDestination(config, "there")


# --- what is refused ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "remote", "words"),
    [
        ("", "there", "no remote 'there'. It has: none"),
        ("[a]\ntype = sftp\n[b c]\ntype = sftp\n", "there", "It has: a, b c"),
        ("[there]\ntype = local\n", "", "no remote ''"),
        ("[there]\ntype = local\n", "there:x", "no remote"),
        ("[x,y='z']\ntype = local\n", "x,y='z'", "no remote"),
        ("s3cret without a section\n", "there", "cannot be read"),
        ("# Encrypted rclone configuration File\n\nRCLONE_ENCRYPT_V0:\nabc", "there", "encrypted"),
    ],
)
def test_a_remote_that_is_not_in_the_configuration_is_told(config, remote, words):
    with pytest.raises(DestinationFailed, match=".") as caught:
        RcloneDestination(config, remote)
    assert words in caught.value.message
    assert "s3cret" not in caught.value.message


@needs_rclone
def test_what_rclone_does_not_know_is_told_in_its_words(monkeypatch):
    monkeypatch.setitem(rclone_options.TYPES, "nosuch", "")
    with pytest.raises(DestinationFailed, match="didn't find backend") as caught:
        RcloneDestination("[there]\ntype = nosuch\n", "there").check()
    assert "newer rclone" in caught.value.hint


@pytest.mark.parametrize(("kept", "missing"), [((), "rclone"), (("rclone",), "util-linux")])
def test_a_program_that_is_missing_is_told_with_what_installs_it(
    destination, tmp_path, monkeypatch, kept, missing
):
    for name in kept:
        (tmp_path / name).write_text("")
        (tmp_path / name).chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LibraryMissing) as caught:
        destination.stat(PATH)
    assert f"apt-get install {missing}" in caught.value.hint


@needs_rclone
def test_an_rclone_that_is_too_old_is_told(destination, monkeypatch):
    monkeypatch.setattr(rclone_program, "FLAGS", ("--no-such-flag",))
    with pytest.raises(LibraryMissing, match="unknown flag") as caught:
        destination.stat(PATH)
    assert "1.60 or newer" in caught.value.hint


# --- where it lies meanwhile --------------------------------------------------------------------


@needs_rclone
def test_the_configuration_is_private_while_it_is_lent_and_gone_afterwards(destination, memory):
    upload = destination.begin(PATH, "uuid/1", "token")
    (folder,) = os.listdir(memory)
    assert os.stat(os.path.join(memory, folder)).st_mode & 0o777 == 0o700
    file = os.path.join(memory, folder, "rclone.conf")
    assert os.stat(file).st_mode & 0o777 == 0o600
    upload.abort()
    assert os.listdir(memory) == []


@needs_rclone
def test_what_a_killed_process_left_is_removed_by_the_next_and_a_living_ones_stays(
    destination, memory
):
    servers_rclone.killed_after(lambda: destination.begin(PATH, "uuid/1", "token"))
    # Its rclone ends a moment later, and may still write into the folder.
    until(lambda: not servers_rclone.programs_running(PATH))
    assert len(os.listdir(memory)) == 1
    with rclone_config.private_folder(memory) as folder:
        assert os.listdir(memory) == [os.path.basename(folder)]
        with pytest.raises(ArchiveMissing):
            destination.stat(PATH)
        assert os.listdir(memory) == [os.path.basename(folder)]


@needs_rclone
def test_what_a_killed_rclone_kept_of_a_stream_is_removed_by_the_next(
    destination, tmp_path, monkeypatch
):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    left = tmp_path / "temporary" / f"{rclone_config.PREFIX}x" / "rclone-spool" / "archive"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half an archive")
    with pytest.raises(ArchiveMissing):
        destination.stat(PATH)
    assert os.listdir(tmp_path / "temporary") == []


@needs_rclone
def test_rclone_sees_neither_a_foreign_environment_nor_secrets_in_its_arguments(
    destination, tmp_path, monkeypatch
):
    """RCLONE_CONFIG_THERE_REMOTE would send the archives elsewhere."""
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.setenv("RCLONE_CONFIG_THERE_REMOTE", str(tmp_path / "elsewhere"))
    upload = destination.begin(PATH, "uuid/1", "token")
    upload.write(bytes(1 << 20))
    until(lambda: servers_rclone.programs_running(PATH))
    (number,) = servers_rclone.programs_running(PATH)
    with open(f"/proc/{number}/cmdline", encoding="utf-8") as file:
        assert str(tmp_path / "archives") not in file.read()
    upload.flush()
    assert places.files(tmp_path / "elsewhere") == []
    assert len(places.files(tmp_path / "archives")) == 1
    upload.abort()


# --- what rclone writes into it -----------------------------------------------------------------


class TokenServer(http.server.BaseHTTPRequestHandler):
    """Renews a token as OAuth servers do, and refuses everything else, quoting the token."""

    def do_POST(self):
        asked = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path == "/token":
            self.server.asked.append(asked.decode())
            self._answer(200, NEW_TOKEN)
        else:
            self._answer(403, {"code": "403", "msg": f"no: {self.headers['Authorization']}"})

    do_GET = do_POST

    def _answer(self, status, content):
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments):
        pass


@pytest.fixture
def expired(memory):
    """A remote of a service with OAuth, whose access has expired, and the server's memory."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), TokenServer)
    server.asked = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    token = {"access_token": "access-1", "refresh_token": "refresh-1", "token_type": "Bearer"}
    config = servers_rclone.section(
        "there",
        type="hidrive",
        endpoint=f"{address}/api",
        token_url=f"{address}/token",
        client_id="id",
        client_secret=CLIENT_SECRET,
        token=json.dumps({**token, "expiry": "2020-01-01T00:00:00Z"}),
    )
    yield RcloneDestination(config, "there", "backups"), server.asked
    server.shutdown()
    server.server_close()


@needs_rclone
def test_a_token_that_was_renewed_is_handed_up_also_when_the_command_fails(expired):
    destination, asked = expired
    assert destination.changed_settings == {}
    for _time in range(2):
        with pytest.raises(DestinationFailed):
            destination.stat(PATH)
    assert len(asked) == 1 and "refresh-1" in asked[0]
    (config,) = destination.changed_settings.values()
    token = json.loads(rclone_config.parse(config)["there"]["token"])
    assert (token["access_token"], token["refresh_token"]) == ("access-2", "refresh-2")
    assert rclone_config.parse(config)["there"]["client_secret"] == CLIENT_SECRET


@needs_rclone
def test_a_configuration_that_rclone_leaves_as_it_is_has_not_changed(destination):
    destination.check()
    assert destination.changed_settings == {}


@needs_rclone
def test_no_message_repeats_a_secret_not_even_one_that_is_new(expired):
    destination, _asked = expired
    with pytest.raises(DestinationFailed, match="rclone says: .*Bearer [*]+") as caught:
        destination.stat(PATH)
    assert "access-2" not in str(caught.value.as_dict())


def test_what_is_secret_in_a_configuration_is_known():
    config = servers_rclone.section(
        "there",
        type="webdav",
        url="https://me:in-the-address@example.com",
        vendor="nextcloud",
        token='{"access_token": "the-token", "expiry": "2026"}',
        sas_url="https://account.example.com/?sig=abc",
        **{"pass": "obscured", "private_key": "-----BEGIN"},
    )
    assert set(rclone_config.secrets_in(config)) >= {
        "in-the-address",
        "the-token",
        "https://account.example.com/?sig=abc",
        "obscured",
        "-----BEGIN",
    }
    assert "nextcloud" not in rclone_config.secrets_in(config)
