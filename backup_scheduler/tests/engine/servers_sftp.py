"""OpenSSH's sshd for tests and measurements: an account that can do SFTP and nothing else.

As root the account is one of the server's own (user and password lie in files that only the server
sees, in a mount namespace of its own), locked into a folder as SFTP accounts usually are, and
nothing on this machine is changed. Where that cannot be had, the server runs as whoever runs the
tests, without the lock, and knows no password: :attr:`Server.jailed` tells.

Needs the Debian package openssh-server; the machine's own sshd is neither used nor started.
"""

import contextlib
import getpass
import os
import shutil
import signal
import socket
import subprocess

import places
import psutil
from devenv.processes import free_port
from passlib.hash import sha512_crypt
from waiting import until

SSHD = "/usr/sbin/sshd"
USER, PASSWORD, UID = "archives", "right horse", 61000
KEY_TYPES = ("ed25519", "rsa", "ecdsa")
# Run in a mount namespace: everything here is gone with the server. The folders that lead to a jail
# must belong to root and be writable by nobody else, which no folder below /tmp is.
JAILER = """
set -e
mount -t tmpfs -o mode=755 tmpfs /mnt
mkdir /mnt/jail
cp "$1/authorized_keys" /mnt/authorized_keys
chmod 644 /mnt/authorized_keys
mount --rbind "$1/jail" /mnt/jail
mount --bind "$1/passwd" /etc/passwd
mount --bind "$1/shadow" /etc/shadow
mount -t tmpfs -o mode=755 tmpfs /run
mkdir /run/sshd
exec "$2" -D -e -f "$1/sshd_config"
"""


def make_key(path, key_type="ed25519", passphrase="", key_format=None):
    """Make a key pair with ssh-keygen; return the text of the private key."""
    command = ["ssh-keygen", "-q", "-t", key_type, "-f", path, "-N", passphrase, "-C", "test"]
    command += ["-b", "2048"] if key_type == "rsa" else []
    subprocess.run(command + (["-m", key_format] if key_format else []), check=True)
    with open(path, encoding="ascii") as file:
        return file.read()


def public_key(path):
    """Return type and key of the public key beside ``path``, as a pinned host key is written."""
    with open(f"{path}.pub", encoding="ascii") as file:
        return " ".join(file.read().split()[:2])


def fingerprint(path):
    """Return the fingerprint of the key at ``path``, as ssh-keygen prints it."""
    command = ["ssh-keygen", "-l", "-f", f"{path}.pub"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[1]


class Server:
    """A server that runs.

    :param without: requests that it does not know or allow (sftp-server(8), ``-P``), with commas
    :param options: lines of its configuration, before its own
    :ivar root: the folder of this machine that the account sees (as ``/`` where it is jailed)
    :ivar home: the folder in it that belongs to the account, where relative paths begin
    """

    def __init__(self, folder, port=0, key_types=KEY_TYPES[:1], without="", options=()):
        self.folder = folder
        self.port = port or free_port()
        self.jailed = places.can_mount()
        self.user = USER if self.jailed else getpass.getuser()
        self.password = PASSWORD if self.jailed else ""
        self.root = os.path.join(folder, "jail")
        self.home = os.path.join(self.root, "home")
        self.log = os.path.join(folder, "sshd.log")
        self._options = options
        self._without = f"-P {without}" if without else ""
        self._key_types = key_types
        self._process = None

    def start(self):
        os.makedirs(self.home, exist_ok=True)
        for key_type in self._key_types:
            if not os.path.exists(self.host_key_path(key_type)):
                make_key(self.host_key_path(key_type), key_type)
        self._make_account()
        self._write_configuration()
        config = os.path.join(self.folder, "sshd_config")
        command = [SSHD, "-D", "-e", "-f", config]
        if self.jailed:
            command = ["unshare", "-m", "sh", "-c", JAILER, "jailer", self.folder, SSHD]
        with open(self.log, "ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        self._wait()
        return self

    def _make_account(self):
        if not os.path.exists(self.key_path):
            make_key(self.key_path)
        shutil.copy(f"{self.key_path}.pub", os.path.join(self.folder, "authorized_keys"))
        if not self.jailed:
            if os.geteuid() == 0:
                os.makedirs("/run/sshd", 0o755, exist_ok=True)
            return
        os.chmod(self.root, 0o755)  # noqa: S103 - what the account sees as / is not its own
        os.chown(self.home, UID, UID)
        entry = f"{USER}:x:{UID}:{UID}::/home:/usr/sbin/nologin\n"
        secret = f"{USER}:{sha512_crypt.hash(PASSWORD)}:20000:0:99999:7:::\n"
        for name, line in (("passwd", entry), ("shadow", secret)):
            with open(f"/etc/{name}", encoding="utf-8") as machine:
                self._write(name, machine.read() + line, 0o600 if name == "shadow" else 0o644)

    def _write_configuration(self):
        jailed = self.jailed
        lines = [
            f"ListenAddress 127.0.0.1:{self.port}",
            *(f"HostKey {self.host_key_path(key_type)}" for key_type in self._key_types),
            "PidFile none",
            "UsePAM no",
            "StrictModes no",
            "KbdInteractiveAuthentication no",
            f"PasswordAuthentication {'yes' if jailed else 'no'}",
            f"AuthorizedKeysFile {'/mnt' if jailed else self.folder}/authorized_keys",
            "Subsystem sftp internal-sftp",
            f"ForceCommand internal-sftp {self._without}",
            *(["ChrootDirectory /mnt/jail"] if jailed else []),
        ]
        # sshd takes the first value that it is given.
        self._write("sshd_config", "\n".join([*self._options, *lines]) + "\n")

    def _write(self, name, content, mode=0o600):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(content)
        os.chmod(path, mode)

    def _wait(self):
        until(self._is_there, "sshd did not start")

    def _is_there(self):
        if self._process.poll() is not None:
            with open(self.log, encoding="utf-8", errors="replace") as log:
                raise RuntimeError(f"sshd did not start: {log.read()[-2000:]}")
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return True
        return False

    @property
    def key_path(self):
        """The account's own key."""
        return os.path.join(self.folder, "account")

    def host_key_path(self, key_type="ed25519"):
        return os.path.join(self.folder, f"host_{key_type}")

    def settings(self, folder="", **changes):
        """Return the settings of a destination in ``folder`` of the account's home."""
        with open(self.key_path, encoding="ascii") as file:
            own = {
                "host": "127.0.0.1",
                "port": self.port,
                "user": self.user,
                "private_key": file.read(),
                "host_key": public_key(self.host_key_path()),
                "path": self.seen(folder),
            }
        return {**own, **changes}

    def seen(self, folder):
        """Return how the account calls a folder of its home."""
        return folder if self.jailed else os.path.join(self.home, folder)

    def put(self, folder, files):
        """Put files, the account's own, below ``folder`` of its home; return the folder's path."""
        path = os.path.join(self.home, folder)
        for name, content in files.items():
            place = os.path.join(path, name)
            os.makedirs(os.path.dirname(place), exist_ok=True)
            with open(place, "wb") as file:
                file.write(content)
        if self.jailed:
            subprocess.run(["chown", "-R", f"{UID}:{UID}", path], check=True)
        return path

    def sessions(self):
        """Return the processes that serve somebody now."""
        if self._process.poll() is not None:
            return []
        return [
            process
            for process in psutil.Process(self._process.pid).children(recursive=True)
            if lives(process)
        ]

    def signal_sessions(self, number):
        """Send a signal to what serves somebody: SIGKILL loses the connections, SIGSTOP makes them
        hang as a machine does that is out of breath."""
        for process in self.sessions():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)

    def halt(self):
        """Let it hang: it takes connections and says nothing."""
        self._process.send_signal(signal.SIGSTOP)
        self.signal_sessions(signal.SIGSTOP)

    def resume(self):
        self.signal_sessions(signal.SIGCONT)
        self._process.send_signal(signal.SIGCONT)

    def stop(self):
        if self._process is None:
            return
        self.signal_sessions(signal.SIGKILL)
        self._process.kill()
        self._process.wait()
        self._process = None


def lives(process):
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@contextlib.contextmanager
def sftp_server(folder, **settings):
    """Start a :class:`Server` in ``folder``, which is made; stop it at the end."""
    os.makedirs(folder, exist_ok=True)
    server = Server(folder, **settings)
    try:
        yield server.start()
    finally:
        server.stop()
