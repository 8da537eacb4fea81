"""SFTP servers of limited capability, as some NAS, Windows and cloud servers are: paramiko's own
server, cut down. Measured at the servers that the options name."""

import contextlib
import os
import socket
import stat
import threading

import paramiko

KEY = paramiko.ECDSAKey.generate()
USER, PASSWORD = "backup", "pw"


class Options:
    """What a server lacks, by the names of these attributes.

    :ivar types: the type of a file in its attributes (some gateways of object stores)
    :ivar modes: anything but the size in them
    :ivar long_names: a line like those of ``ls -l`` for each entry of a listing
    :ivar exclusive: making only files that do not exist
    :ivar hidden: names that begin with a dot
    """

    def __init__(self, *lacking):
        known = ("types", "modes", "long_names", "exclusive", "hidden")
        assert set(lacking) <= set(known)
        self.__dict__.update({name: name not in lacking for name in known})
        # What every upload is answered from now on: (code of SFTP, words).
        self.refusal = None

    def cut(self, attributes):
        if not self.types:
            attributes.st_mode = stat.S_IMODE(attributes.st_mode)
        if not self.modes:
            attributes.st_mode = None
            attributes._flags = attributes.FLAG_SIZE
        return attributes


class Handle(paramiko.SFTPHandle):
    options = None

    def stat(self):
        return self.options.cut(paramiko.SFTPAttributes.from_stat(os.fstat(self.file.fileno())))

    def chattr(self, _attributes):
        return paramiko.SFTP_OK


class Entry(paramiko.SFTPAttributes):
    """One of a listing, with the line that is made for people."""

    line = ""

    def asbytes(self):
        return self.line.encode()


def answered(act):
    try:
        return act()
    except OSError as error:
        return paramiko.SFTPServer.convert_errno(error.errno)


class Files(paramiko.SFTPServerInterface):
    root = options = None

    def path(self, path):
        return os.path.join(self.root, self.canonicalize(path).lstrip("/"))

    def entry(self, path):
        made = Entry.from_stat(os.stat(path), os.path.basename(path))
        made.line = str(made) if self.options.long_names else ""
        return self.options.cut(made)

    def list_folder(self, path):
        folder = self.path(path)
        return answered(
            lambda: [self.entry(os.path.join(folder, name)) for name in os.listdir(folder)]
        )

    def stat(self, path):
        of = paramiko.SFTPAttributes.from_stat
        return answered(lambda: self.options.cut(of(os.stat(self.path(path)))))

    lstat = stat

    def open(self, path, flags, _attributes):
        if not self.options.hidden and os.path.basename(path).startswith("."):
            return paramiko.SFTP_PERMISSION_DENIED
        if not self.options.exclusive and flags & os.O_EXCL:
            return paramiko.SFTP_OP_UNSUPPORTED
        return answered(lambda: self.opened(self.path(path), flags))

    def opened(self, path, flags):
        descriptor = os.open(path, flags, 0o600)
        handle = Handle(flags)
        handle.options = self.options
        mode = "wb" if flags & os.O_WRONLY else "rb"
        handle.file = handle.readfile = handle.writefile = os.fdopen(descriptor, mode, 0)
        return handle

    def remove(self, path):
        return answered(lambda: os.remove(self.path(path)) or paramiko.SFTP_OK)

    def rename(self, old, new):
        if os.path.exists(self.path(new)):
            return paramiko.SFTP_FAILURE
        return self.posix_rename(old, new)

    def posix_rename(self, old, new):
        return answered(lambda: os.replace(self.path(old), self.path(new)) or paramiko.SFTP_OK)

    def mkdir(self, path, _attributes):
        return answered(lambda: os.mkdir(self.path(path)) or paramiko.SFTP_OK)

    def chattr(self, _path, _attributes):
        return paramiko.SFTP_OK


class Login(paramiko.ServerInterface):
    def check_auth_password(self, _user, password):
        return paramiko.AUTH_SUCCESSFUL if password == PASSWORD else paramiko.AUTH_FAILED

    def get_allowed_auths(self, _user):
        return "password"

    def check_channel_request(self, _kind, _number):
        return paramiko.OPEN_SUCCEEDED


class LameTransfers(paramiko.SFTPServer):
    """Answers with words of its own where it is told to."""

    options = None

    def _send_status(self, number, code, words=None):
        if self.options.refusal and code != paramiko.SFTP_OK:
            code, words = self.options.refusal
        super()._send_status(number, code, words)


@contextlib.contextmanager
def lame_server(root, options):
    """Yield the settings of a destination at a server that lacks something."""
    transfers = type("Transfers", (LameTransfers,), {"options": options})
    kept = type("Kept", (Files,), {"options": options, "root": root})
    transports = []

    def serve(listener):
        while True:
            try:
                client, _address = listener.accept()
            except OSError:
                return
            transport = paramiko.Transport(client)
            transport.add_server_key(KEY)
            transport.set_subsystem_handler("sftp", transfers, kept)
            transports.append(transport)
            # Without waiting: a client may go away before it has logged in.
            transport.start_server(event=threading.Event(), server=Login())

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
        yield {
            "host": "127.0.0.1", "port": listener.getsockname()[1], "user": USER,
            "password": PASSWORD, "host_key": f"{KEY.get_name()} {KEY.get_base64()}",
            "path": "backups",
        }  # fmt: skip
        listener.shutdown(socket.SHUT_RDWR)
    for transport in transports:
        transport.close()
