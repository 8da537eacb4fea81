"""What an rclone configuration may say: read as rclone reads it, and nothing of this machine."""

import json
import os
import subprocess

import pytest
import servers_rclone
from engine.destinations import rclone_config, rclone_ini, rclone_options
from engine.destinations.rclone import RcloneDestination
from engine.errors import DestinationFailed
from rclone_uploads import PATH, needs_rclone
from waiting import until

WEBDAV = "type = webdav\nurl = http://127.0.0.1:1/\nvendor = other\n"
COMMAND = "bearer_token_command"
SERVICE_ACCOUNT = '{"type": "service_account", "client_email": "a@b"}'


@pytest.fixture
def folders():
    """Here remotes of this machine are refused, as they are outside of tests."""


def refused(config, remote="there", words="not allowed here", path=""):
    with pytest.raises(DestinationFailed, match=words):
        RcloneDestination(config, remote, path)


# --- what runs programs or reads files ----------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        f"{COMMAND} = touch MARK",
        f'"{COMMAND}" = touch MARK',
        f"`{COMMAND}` = touch MARK",
        f'"""{COMMAND}""" = touch MARK',
        f"\u3000{COMMAND} = touch MARK",
        f"{COMMAND}: touch MARK",
        f"{COMMAND}\t=\t`touch MARK`",
        f"#\n{COMMAND} = touch MARK",
        f"[there]\n{COMMAND} = touch MARK",
    ],
)
@needs_rclone
def test_no_spelling_of_an_option_runs_a_program(line, tmp_path):
    mark = tmp_path / "mark"
    config = f"[there]\n{WEBDAV}{line}\n".replace("MARK", str(mark))
    # Else this shows nothing: rclone itself does what the line says.
    assert COMMAND in read_by_rclone(config, tmp_path)["there"]
    refused(config)
    assert not mark.exists()


@pytest.mark.parametrize(
    "options",
    [
        "type = sftp\nssh = sh -c id",
        "type = sftp\nSSH = sh -c id",
        "type = sftp\nkey_file = /etc/ssh/ssh_host_rsa_key",
        "type = sftp\nkey_use_agent = true",
        "type = sftp\nknown_hosts_file = /etc/shadow",
        "type = sftp\nhost = %(x)s",
        "type = sftp\nhost = a\rb",
        "type = sftp\noverride.password_command = id",
        "type = sftp\nglobal.metadata_mapper = id",
        "type = s3\nenv_auth = true",
        "type = s3\nshared_credentials_file = /tmp/x\nprofile = default",
        "type = drive\nservice_account_file = /tmp/x",
        'type = drive\nservice_account_credentials = {"type": "external_account"}',
        "type = drive\nservice_account_credentials = /tmp/x",
        "type = gcs",
        "type = google cloud storage\nproject_number = 1",
        "type = azureblob\nuse_msi = true",
        "type = azureblob\nuse_az = true",
        "type = webdav\nunix_socket = /var/run/docker.sock",
        "type = local",
        "type = Local",
        "type = cache\nremote = x:",
        "url = http://example.com",
        "type = alias\nremote = /etc",
        "type = alias\nremote = etc",
        "type = alias\nremote = .",
        "type = alias\nremote =",
        "type = alias",
        "type = alias\nremote = :local:/etc",
        "type = alias\nremote = :sftp,ssh='sh -c id':",
        "type = alias\nremote = nas,ssh='sh -c id':",
        'type = alias\nremote = :webdav,bearer_token_command="id":x',
        "type = alias\nremote = elsewhere:",
        "type = alias\nremote = disk:/etc",
        "type = crypt\nremote = disk:/etc\npassword = x",
        "type = chunker\nremote = `:sftp,ssh=sh:`",
        "type = union\nupstreams = nas:a /etc",
        "type = union\nupstreams = nas:ro",
        "type = union\nupstreams = nas:ro:nc",
        'type = union\nupstreams = nas:a "/etc"',
        "type = combine\nupstreams = a=nas:a b=/etc",
        "type = combine\nupstreams = nas:a",
        "type = union",
    ],
)
def test_a_configuration_uses_nothing_of_this_machine(options):
    nas = "[nas]\ntype = sftp\nhost = nas\n[disk]\ntype = local\n"
    refused(f"{nas}[there]\n{options}\n")


def test_remotes_inside_each_other_end():
    many = "".join(f"[r{n}]\ntype = alias\nremote = r{n + 1}:\n" for n in range(20))
    refused(many, "r0", "inside each other")
    with pytest.raises(DestinationFailed, match="can|not"):
        RcloneDestination("[a]\ntype = alias\nremote = a:\n", "a").check()


def test_a_part_of_another_section_inherits_nothing():
    refused(f"[nas]\n{COMMAND} = id\n[nas.x]\n{WEBDAV}", "nas.x")


@pytest.mark.parametrize("path", [":local:/etc", "x,ssh=sh:/etc", "a\nb", "a\0b"])
def test_a_path_names_no_other_remote(path):
    refused("[there]\ntype = sftp\nhost = nas\n", path=path, words="no folder of a remote")


@pytest.mark.parametrize(
    "options",
    [
        "type = sftp\nhost = ssh.example.com",
        "type = sftp\nuser = ssh",
        "type = sftp\nkey_pem = ssh-rsa AA",
        "type = sftp\nmd5sum_command = md5sum\nsha1sum_command = sha1sum",
        f"type = gcs\nservice_account_credentials = {SERVICE_ACCOUNT}",
        "type = google cloud storage\nanonymous = true",
        "type = crypt\nremote = nas:backups\npassword = x",
        "type = union\nupstreams = nas:a nas:b:ro",
        "type = combine\nupstreams = a=nas:a b=nas:b",
    ],
)
def test_what_stores_at_another_machine_is_allowed(options):
    # Sections that the remote does not need are nobody's concern: rclone never sees them.
    config = f"[nas]\ntype = sftp\nhost = nas\n[mine]\ntype = local\n[there]\n{options}\n"
    RcloneDestination(config, "there", "Backups/Odoo, new")
    assert "mine" not in rclone_config.lent(config, "there")
    assert "sum_command" not in rclone_config.lent(config, "there")


def test_no_message_repeats_a_value():
    config = "[there]\ntype = alias\nremote = :sftp,pass=s3cret:\n"
    with pytest.raises(DestinationFailed, match=".") as caught:
        RcloneDestination(config, "there")
    assert "s3cret" not in str(caught.value.as_dict())


# --- the environment ----------------------------------------------------------------------------


@needs_rclone
def test_rclone_sees_neither_odoos_environment_nor_its_home(tmp_path, monkeypatch):
    servers_rclone.folders_allowed(monkeypatch)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "ours")
    monkeypatch.setenv("PGPASSWORD", "ours")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    destination = RcloneDestination(servers_rclone.folder_configuration(str(tmp_path)), "there")
    upload = destination.begin(PATH, "uuid/1", "token")
    upload.write(bytes(1 << 20))
    until(lambda: servers_rclone.programs_running(PATH))
    (number,) = servers_rclone.programs_running(PATH)
    seen = dict(
        line.decode().split("=", 1)
        for line in servers_rclone.contents_of(number, "environ")
        if line
    )
    upload.abort()
    assert "ours" not in seen.values()
    assert os.path.basename(seen["HOME"]).startswith(rclone_config.PREFIX)


# --- as rclone does it --------------------------------------------------------------------------


def read_by_rclone(config, folder):
    file = folder / "typed.conf"
    file.write_text(config, encoding="utf-8")
    told = subprocess.run(
        ["rclone", "config", "dump", "--config", str(file)], capture_output=True, check=False
    )
    return json.loads(told.stdout) if told.returncode == 0 else None


TEXTS = [
    "[a]\nkey = value\n",
    "\ufeff[a]\nkey = value",
    "  [ a ]  \r\n key\t:\tvalue \r\n",
    "[a]\nkey = one\n two = 2\n",
    "[a]\nkey = one\\\nnext = 2\n",
    "[a]\nkey = va#lue ; x\n;no = x\n#no = y\n",
    "[a]\n`k=y` = `a = b`\n",
    '[a]\n"k:y" = "a"\n',
    '[a]\n"""k"y""" = """a"b"""\n',
    '[a]\n"k"y = v\n',
    "[a]\nkey = `a` b`\n",
    "[a]\nkey = `\n",
    "[a]\nkey = ``\n",
    '[a]\nkey = """a"""b"""\n',
    "[a]\nkey = `open\n",
    "[a]\n`open = x\n",
    "[a]\nkey\n",
    "[a]\n= x\n",
    "[a]\nkey =\n",
    "[a]\nKey = 1\nkey = 2\n",
    "[a]\nkey = 1\n[b]\nx = 1\n[a]\nkey = 2\n",
    "[a]\n\u3000key\u00a0=\u2003v\u0085\n",
    "[a]\nkey = [b]\n[c] = d]\n",
    "[a]\nkey = a=b:c\n",
    "[a]\nkey = va\rlue\n",
    "[a]\nkey = \x1fvalue\x1f\n",
    "[a]\n\x1fkey\x1f = value\n",
    "[]\nkey = x\n",
    "key = x\n[a]\ny = 1\n",
    "[a.b]\nx = 1\n",
    "[a]\nx = =\n:y = 1\n",
]


@needs_rclone
@pytest.mark.parametrize("text", TEXTS)
def test_a_configuration_is_read_as_rclone_reads_it(text, tmp_path):
    theirs = read_by_rclone(text, tmp_path)
    try:
        ours = rclone_ini.parse(text)
    except DestinationFailed:
        # Nothing that rclone reads passes for less; what stands before any section may be refused.
        assert theirs is None or not text.startswith("[a")
        return
    ours.pop(rclone_ini.DEFAULT, None)
    (theirs or {}).pop(rclone_ini.DEFAULT, None)
    assert ours == theirs
    assert read_by_rclone(rclone_ini.written(ours), tmp_path) == ours


def test_the_text_is_read_in_linear_time():
    """By the work that it does: a quadratic reading of a megabyte would not end."""
    for text in ("[a]\n" * 250_000, "[a]\n" + "k=`" * 300_000, "[a]\n" + "`x` =`\n" * 100_000):
        assert list(rclone_ini.parse(text)) == ["a"]
    with pytest.raises(DestinationFailed):
        rclone_ini.parse("#" * (rclone_ini.LIMIT + 1))


@needs_rclone
def test_every_option_of_the_installed_program_is_decided():
    told = subprocess.run(["rclone", "config", "providers"], capture_output=True, check=True)
    undecided = []
    for provider in json.loads(told.stdout):
        kind = provider["Prefix"]
        options = {option["Name"] for option in provider["Options"]}
        if kind in rclone_options.TYPES:
            names = options - rclone_options.allowed(kind) - rclone_options.REFUSED
            undecided += [(kind, name) for name in names]
            assert rclone_options.type_of({"type": provider["Name"]}) == kind
        elif kind not in rclone_options.UNSUPPORTED:
            undecided.append((kind, ""))
    assert undecided == []


def test_nothing_is_both_allowed_and_refused():
    for kind in rclone_options.TYPES:
        assert not rclone_options.allowed(kind) & rclone_options.REFUSED
    assert not rclone_options.TYPES.keys() & rclone_options.UNSUPPORTED.keys()


@needs_rclone
def test_an_allowed_option_names_no_file_or_program_by_the_programs_own_help():
    told = subprocess.run(["rclone", "config", "providers"], capture_output=True, check=True)
    words = ("file path", "path to the", "environment", "command to run", "executable")
    suspicious = {
        (provider["Prefix"], option["Name"])
        for provider in json.loads(told.stdout)
        if provider["Prefix"] in rclone_options.TYPES
        for option in provider["Options"]
        if option["Name"] in rclone_options.allowed(provider["Prefix"])
        and any(word in option["Help"].lower() for word in words)
    }
    assert suspicious == set()
