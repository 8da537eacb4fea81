"""The SFTP destination before anything is stored: who answers there, and who is let in."""

import contextlib
import os
import socket
import sys

import places
import pytest
import servers_sftp
from devenv.processes import free_port
from engine.destinations import sftp_keys, sftp_session
from engine.destinations.sftp import SFTPDestination
from engine.errors import (
    DestinationDenied,
    DestinationFailed,
    HostKeyChanged,
    HostKeyUnknown,
    LibraryMissing,
)
from sftp_uploads import EVERY_METHOD
from waiting import beside, joined, until


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("sftp"))
    with servers_sftp.sftp_server(folder, key_types=servers_sftp.KEY_TYPES) as server:
        yield server


# --- the host key -------------------------------------------------------------------------------


@EVERY_METHOD
def test_a_host_key_that_nobody_accepted_is_shown_and_not_used(server, folder, touch):
    with open(server.log, "rb") as log:
        log.seek(0, os.SEEK_END)
        with pytest.raises(HostKeyUnknown) as raised:
            touch(SFTPDestination(**server.settings(folder, host_key="")))
        told = raised.value.as_dict()
        assert told["host_key"] == servers_sftp.public_key(server.host_key_path())
        assert told["fingerprint"] == servers_sftp.fingerprint(server.host_key_path())
        assert told["fingerprint"] in told["error"]
        assert "ssh_host_ed25519_key.pub" in told["hint"]
        assert (told["error_code"], told["retryable"]) == ("host_key_unknown", False)
        assert b"archives" not in log.read(), "the server was told who wants in"
    assert not os.path.exists(os.path.join(server.home, folder))


@pytest.mark.parametrize("key_type", servers_sftp.KEY_TYPES)
def test_of_several_host_keys_any_one_can_be_the_accepted_one(server, folder, key_type):
    """The server is asked for a key of that type, and would show another one unasked."""
    pinned = servers_sftp.public_key(server.host_key_path(key_type))
    SFTPDestination(**server.settings(folder, host_key=pinned)).check()


@pytest.mark.parametrize("form", ["{key} root@nas\n", "[127.0.0.1]:22 {key}", "\n  {key}  \n"])
def test_a_host_key_may_be_pasted_from_where_it_stands(server, folder, form):
    key = form.format(key=servers_sftp.public_key(server.host_key_path()))
    SFTPDestination(**server.settings(folder, host_key=key)).check()


@pytest.mark.parametrize(
    "text", ["SHA256:abc", "ssh-ed25519", "ssh-ed25519 AAAA", "ssh-rsa nas12345"]
)
def test_a_host_key_that_is_none_is_told(server, text):
    with pytest.raises(HostKeyUnknown, match="that is entered is none"):
        SFTPDestination(**server.settings(host_key=text)).check()


@EVERY_METHOD
def test_another_host_key_is_an_error_that_names_both(server, folder, tmp_path, touch):
    servers_sftp.make_key(str(tmp_path / "other"))
    accepted = servers_sftp.public_key(str(tmp_path / "other"))
    with pytest.raises(HostKeyChanged) as raised:
        touch(SFTPDestination(**server.settings(folder, host_key=accepted)))
    told = raised.value.as_dict()
    assert (told["error_code"], told["retryable"]) == ("host_key_changed", False)
    assert told["fingerprint"] == servers_sftp.fingerprint(server.host_key_path())
    assert told["accepted"] == servers_sftp.fingerprint(str(tmp_path / "other"))
    assert told["fingerprint"] in told["error"]
    assert told["accepted"] in told["error"]
    assert not os.path.exists(os.path.join(server.home, folder))


def test_a_server_that_was_set_up_anew_is_not_the_accepted_one(tmp_path):
    with servers_sftp.sftp_server(str(tmp_path / "old")) as server:
        settings = server.settings()
        SFTPDestination(**settings).check()
    with servers_sftp.sftp_server(
        str(tmp_path / "new"), port=settings["port"], key_types=("rsa",)
    ) as server:
        with pytest.raises(HostKeyChanged) as raised:
            SFTPDestination(**settings).check()
        assert raised.value.host_key == servers_sftp.public_key(server.host_key_path("rsa"))
        settings["host_key"] = ""
        with pytest.raises(HostKeyUnknown) as raised:
            SFTPDestination(**settings).check()
        assert "ssh_host_rsa_key.pub" in raised.value.hint
        assert places.files(server.home) == []


# --- the account --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key_type", "passphrase", "key_format"),
    [
        ("ed25519", "", None),
        ("ed25519", "sesam", None),
        ("rsa", "", "PEM"),
        ("rsa", "sesam", "PEM"),
        ("rsa", "", None),
        ("rsa", "sesam", "PKCS8"),
        ("ecdsa", "", "PKCS8"),
        ("ecdsa", "", None),
    ],
)
def test_keys_of_every_usual_form_are_read(tmp_path, key_type, passphrase, key_format):
    path = str(tmp_path / "key")
    text = servers_sftp.make_key(path, key_type, passphrase, key_format)
    account = sftp_session.Account("h", 22, "u", private_key=text, passphrase=passphrase)
    key = sftp_keys.load_key(account)
    assert f"{key.get_name()} {key.get_base64()}" == servers_sftp.public_key(path)


def test_a_passphrase_that_is_not_needed_does_no_harm(tmp_path):
    for key_format in ("PEM", "PKCS8", None):
        text = servers_sftp.make_key(str(tmp_path / f"key{key_format}"), "rsa", "", key_format)
        account = sftp_session.Account("h", 22, "u", private_key=text, passphrase="sesam")
        assert sftp_keys.load_key(account)


def test_a_key_that_is_no_good_says_why(tmp_path):
    good = servers_sftp.make_key(str(tmp_path / "good"))
    for name, key_format in (("new", None), ("pem", "PEM")):
        locked = servers_sftp.make_key(str(tmp_path / name), "rsa", "sesam", key_format)
        expect_key_failure(locked, "", "protected by a passphrase")
        expect_key_failure(locked, "wrong", "passphrase does not open")
    lines = good.splitlines()
    for text, reason in (
        ("nonsense", "cannot be read"),
        ("\n".join(lines[:-1]), "cannot be read"),
        ("\n".join([lines[0], *lines[2:]]), "cannot be read"),
        (servers_sftp.public_key(str(tmp_path / "good")), "a public one"),
        ("PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none", "one of PuTTY's"),
    ):
        expect_key_failure(text, "", reason)


def expect_key_failure(text, passphrase, reason):
    destination = SFTPDestination(
        host="nowhere.invalid", user="u", private_key=text, passphrase=passphrase
    )
    with pytest.raises(DestinationDenied, match=reason) as raised:
        destination.check()
    told = str(raised.value.as_dict())
    assert not any(line in told for line in text.splitlines() if "KEY" not in line and line)


def test_a_key_of_somebody_else_is_not_let_in(server, tmp_path):
    other = servers_sftp.make_key(str(tmp_path / "other"))
    with pytest.raises(
        DestinationDenied, match="does not let .* in by this key. It takes: publick"
    ):
        SFTPDestination(**server.settings(private_key=other)).check()


def test_an_account_without_password_and_key_is_told(server):
    with pytest.raises(DestinationFailed, match="neither a password nor a key"):
        SFTPDestination(**server.settings(private_key="")).check()


def test_host_and_user_have_to_be_there():
    with pytest.raises(DestinationFailed, match="has no host"):
        SFTPDestination(host="", user="u")
    with pytest.raises(DestinationFailed, match="has no user"):
        SFTPDestination(host="h", user="")


def test_without_the_library_it_is_named(server, monkeypatch):
    monkeypatch.setitem(sys.modules, "paramiko", None)
    with pytest.raises(LibraryMissing) as raised:
        SFTPDestination(**server.settings()).check()
    assert "pip install paramiko" in raised.value.hint


if places.can_mount():

    def test_a_password_lets_in_and_a_wrong_one_does_not(server, folder):
        def with_password(password):
            return SFTPDestination(**server.settings(folder, private_key="", password=password))

        with_password(server.password).check()
        with pytest.raises(DestinationDenied, match="this password") as raised:
            with_password("wrong horse").check()
        assert "wrong horse" not in str(raised.value.as_dict())

    def test_a_password_helps_where_the_key_does_not(server, folder, tmp_path):
        other = servers_sftp.make_key(str(tmp_path / "other"))
        settings = server.settings(folder, private_key=other, password=server.password)
        SFTPDestination(**settings).check()

    @pytest.mark.parametrize(
        ("methods", "offered"),
        [("publickey,password", None), ("publickey", "publickey")],
    )
    def test_a_server_may_want_both_or_only_keys(tmp_path, methods, offered):
        options = [f"AuthenticationMethods {methods}"]
        with servers_sftp.sftp_server(str(tmp_path / "sftp"), options=options) as server:
            password = server.settings(private_key="", password=server.password)
            with pytest.raises(DestinationDenied, match="It takes: publickey"):
                SFTPDestination(**password).check()
            if offered is None:
                SFTPDestination(**server.settings(password=server.password)).check()


# --- the server ---------------------------------------------------------------------------------


def test_nobody_at_the_port_and_no_such_name_are_told(server):
    with pytest.raises(DestinationFailed, match="127.0.0.1:.*Connection refused"):
        SFTPDestination(**server.settings(port=free_port())).check()
    with pytest.raises(DestinationFailed, match="no server of the name 'nowhere.invalid'"):
        SFTPDestination(**server.settings(host="nowhere.invalid")).check()


@contextlib.contextmanager
def answering(answer):
    """Listen on a free port, and say ``answer`` to whoever comes; yield the port."""
    taken = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve():
            with contextlib.suppress(OSError):
                while True:
                    connection, _address = listener.accept()
                    connection.sendall(answer)
                    taken.append(connection)

        thread = beside(serve)
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        joined(thread)
    for connection in taken:
        connection.close()


@pytest.mark.parametrize(
    "answer", [b"", b"HTTP/1.0 400 Bad Request\r\n\r\n" * 50, b"SSH-2.0-silence\r\n"]
)
def test_something_else_at_the_port_is_given_up(server, monkeypatch, answer):
    monkeypatch.setattr(sftp_session, "STEP_TIMEOUT", 1)
    with answering(answer) as port, pytest.raises(DestinationFailed, match="No connection to"):
        SFTPDestination(**server.settings(port=port)).check()


# sshd ends at once when it has let somebody in: its word that it did may be lost on the way.
NO_JAIL = "no SFTP for this account|ended the connection at the login of"


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (
            ["ChrootDirectory none", "ForceCommand /bin/echo Welcome"],
            "something else is said there",
        ),
        (["ChrootDirectory /mnt/jail/home"], NO_JAIL),
        (["ChrootDirectory /mnt/nowhere"], NO_JAIL),
    ],
    ids=["a login that speaks", "a jail of the account's own", "no jail"],
)
def test_an_account_without_sftp_is_told(tmp_path, options, reason):
    with servers_sftp.sftp_server(str(tmp_path / "sftp"), options=options) as server:
        with pytest.raises(DestinationFailed, match=reason) as raised:
            SFTPDestination(**server.settings()).check()
        assert "Subsystem sftp internal-sftp" in raised.value.hint


def test_what_a_login_said_that_has_ended_already_is_told(tmp_path, monkeypatch):
    """Who is first, the login that ends or we who speak SFTP to it, is for the machine to say."""
    really_speak = sftp_session.Protocol

    def speak(channel):
        until(lambda: channel.closed)
        return really_speak(channel)

    monkeypatch.setattr(sftp_session, "Protocol", speak)
    options = ["ChrootDirectory none", "ForceCommand /bin/echo Welcome"]
    spoken = pytest.raises(DestinationFailed, match="something else is said there")
    with servers_sftp.sftp_server(str(tmp_path / "sftp"), options=options) as server, spoken:
        SFTPDestination(**server.settings()).check()
