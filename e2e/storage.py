"""Destinations of every kind, each on a real server: made as a user makes them, killed and halted
as servers are, and looked at with the clients of their own kind."""

import contextlib
import hashlib
import os
import pathlib
import signal

import servers_s3
from proxy import Gate
from world import ARCHIVES, MARKER

# What an archive's final name ends with.
FINAL = (".zip", ".dump", ".age")
CATALOGUE = ".json"


def first_destination(world):
    return world.call("destination", "search", [["path", "=", str(world.root.resolve())]])[0]


def made(world, kind, **settings):
    """Make a destination through its form's fields; return its id."""
    values = {f"{kind}_{name}": value for name, value in settings.items()}
    values = {"name": kind.upper(), "kind": kind, "reread_interval": 0, **values}
    (destination,) = world.call("destination", "create", [values])
    return destination


def make_all(world, s3_url, sftp, webdav):
    """Make a destination of every kind, each checked as its form's button does; return the ids."""
    login = sftp.settings("backups")
    host_key = login.pop("host_key")
    ids = {
        "local": first_destination(world),
        "s3": made(world, "s3", bucket=servers_s3.BUCKET, endpoint_url=s3_url, path_style=True,
                   **servers_s3.KEYS),
        "sftp": made(world, "sftp", **login),
        "rclone": made(world, "rclone", config=webdav.configuration("nas"), remote="nas",
                       path="odoo"),
    }  # fmt: skip
    refused = world.call("destination", "check", [ids["sftp"]])
    assert refused["error_code"] == "host_key_unknown"
    (offered,) = world.call("destination", "read", [ids["sftp"]], ["offered_host_key"])
    assert offered["offered_host_key"].split()[:2] == host_key.split()[:2]
    world.call("destination", "action_accept_host_key", [ids["sftp"]])
    for kind, destination in ids.items():
        answer = world.call("destination", "check", [destination])
        assert answer["ok"], (kind, answer)
    return ids


# --- as the tests see them ----------------------------------------------------------------------


class Storage:
    """One destination's server.

    :ivar id: of the destination
    """

    def __init__(self, kind, server):
        self.kind, self.server, self.id = kind, server, None

    def kill(self):
        """Kill it: connections break, new ones are refused."""
        raise NotImplementedError

    def start(self):
        """Start it again, with all that it had."""
        raise NotImplementedError

    def halt(self):
        raise NotImplementedError

    def resume(self):
        raise NotImplementedError

    @contextlib.contextmanager
    def halted(self):
        """Inside, it keeps its connections, and answers nobody."""
        self.halt()
        try:
            yield
        finally:
            self.resume()

    @contextlib.contextmanager
    def away(self):
        self.kill()
        try:
            yield
        finally:
            self.start()

    def files(self):
        """Return what it has: contents by path."""
        raise NotImplementedError

    def unfinished(self):
        """Return what is open there and is no file."""
        return []

    def archives(self):
        """Return ``{path: (size, SHA-256)}`` of everything with the final name of an archive."""
        return {
            path: (len(content), hashlib.sha256(content).hexdigest())
            for path, content in self.files().items()
            if path.endswith(FINAL)
        }

    def leftovers(self):
        """Return everything that is neither an archive nor its catalogue."""
        names = set(self.files())
        return [
            *(path for path in names if not path.endswith((*ARCHIVES, MARKER))),
            *(path for path in names
              if path.endswith(CATALOGUE) and path.removesuffix(CATALOGUE) not in names),
            *self.unfinished(),
        ]  # fmt: skip


class S3Storage(Storage):
    """moto keeps everything in memory: what is killed is the line to it."""

    def __init__(self, server):
        super().__init__("s3", server)
        self.gate = Gate(server.port)

    def kill(self):
        self.gate.go_down()

    def start(self):
        self.gate.come_back()

    def halt(self):
        self.server.process.send_signal(signal.SIGSTOP)

    def resume(self):
        self.server.process.send_signal(signal.SIGCONT)

    def files(self):
        return self.server.objects()

    def unfinished(self):
        return self.server.uploads()


class FolderStorage(Storage):
    """One whose files can be seen here, too."""

    @property
    def root(self):
        raise NotImplementedError

    def files(self):
        return {
            str(path.relative_to(self.root)): path.read_bytes()
            for path in pathlib.Path(self.root).rglob("*")
            if path.is_file()
        }


class LocalStorage(FolderStorage):
    """A folder of the backup server: there is nobody to kill."""

    def __init__(self, world):
        super().__init__("local", world)

    @property
    def root(self):
        return self.server.root


class SFTPStorage(FolderStorage):
    def __init__(self, server):
        super().__init__("sftp", server)

    @property
    def root(self):
        return os.path.join(self.server.home, "backups")

    def kill(self):
        self.server.stop()

    def start(self):
        self.server.start()

    def halt(self):
        self.server.halt()

    def resume(self):
        self.server.resume()


class WebDAVStorage(FolderStorage):
    def __init__(self, server, folder):
        super().__init__("rclone", server)
        self._folder = folder

    @property
    def root(self):
        return os.path.join(self._folder, "odoo")

    def kill(self):
        self.server.kill()

    def start(self):
        self.server.start()

    def halt(self):
        self.server.stop()

    def resume(self):
        self.server.resume()


@contextlib.contextmanager
def all_kinds(world, s3, sftp, webdav):
    """Yield ``{kind: its Storage}``, each with a destination of the world's backup server."""
    kinds = (LocalStorage(world), S3Storage(s3), SFTPStorage(sftp),
             WebDAVStorage(webdav, webdav.folder))  # fmt: skip
    storages = {storage.kind: storage for storage in kinds}
    with storages["s3"].gate as gate:
        for kind, destination in make_all(world, gate.url, sftp, webdav).items():
            storages[kind].id = destination
        yield storages
