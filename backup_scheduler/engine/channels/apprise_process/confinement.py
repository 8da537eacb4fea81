"""Leaves a process the network, and nothing else of the machine that it runs on.

An audit hook (PEP 578), which nothing can remove. It is no jail for hostile code, but a fence for a
library that does what a URL says: a URL that names a file, a program or a local service of this
machine is refused whatever the library makes of it, also by a version that is not known here.
"""

import errno
import os
import resource
import socket
import sys
import sysconfig

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
# https://docs.python.org/3/library/audit_events.html
STARTING = (
    "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.system", "pty.spawn",
    "subprocess.Popen",
)  # fmt: skip
CHANGING = (
    "os.chmod", "os.chown", "os.link", "os.mkdir", "os.remove", "os.rename", "os.rmdir",
    "os.symlink", "os.truncate", "os.utime",
)  # fmt: skip
LOCAL = ("ctypes.dlopen", "syslog.openlog", "syslog.syslog")
CONNECTING = ("socket.bind", "socket.connect", "socket.sendmsg", "socket.sendto")
NETWORK = (socket.AF_INET, socket.AF_INET6)
CODE = (".py", ".pyc", ".so")
PACKAGES = ("site-packages", "dist-packages")
# What resolving names, time zones and MIME types take.
SYSTEM = (
    "/dev/null", "/dev/urandom", "/etc/gai.conf", "/etc/hosts", "/etc/localtime", "/etc/mime.types",
    "/etc/nsswitch.conf", "/etc/resolv.conf", "/etc/services", "/usr/share/zoneinfo",
)  # fmt: skip


class Confinement:
    """:ivar refused: what the process was kept from, as words for people, each once"""

    def __init__(self):
        self.refused = []
        self._code = [os.path.realpath(entry or ".") for entry in sys.path]
        installed = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib")]
        installed += [entry for entry in self._code if os.path.basename(entry) in PACKAGES]
        self._readable = [os.path.realpath(entry) for entry in (*installed, *SYSTEM)]

    def begin(self):
        """Confine this process, for as long as it lives."""
        sys.dont_write_bytecode = True
        sys.addaudithook(self._watch)

    def _watch(self, event, arguments):
        if event == "open":
            self._watch_file(*arguments)
        elif event in STARTING:
            self._refuse("start a program")
        elif event in CHANGING:
            self._refuse("change a file")
        elif event in LOCAL or (event in CONNECTING and arguments[0].family not in NETWORK):
            self._refuse("use a service of this server")

    def _watch_file(self, path, _mode, flags):
        # A number is a file that is open already.
        if isinstance(path, int):
            return
        path = os.path.realpath(os.fsdecode(path))
        if flags & WRITING and path != os.devnull:
            self._refuse("change a file")
        if not self._may_read(path):
            self._refuse("read a file of this server")

    def _may_read(self, path):
        if any(is_within(path, folder) for folder in self._readable):
            return True
        return path.endswith(CODE) and any(is_within(path, folder) for folder in self._code)

    def _refuse(self, deed):
        if deed not in self.refused:
            self.refused.append(deed)
        raise PermissionError(errno.EACCES, "Only the network is open to this process")


def limit_memory(size):
    """Let this process fail, and not the machine, where an answer has no end; ``size``: bytes."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    if hard != resource.RLIM_INFINITY:
        size = min(size, hard)
    resource.setrlimit(resource.RLIMIT_AS, (size, hard))


def is_within(path, folder):
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)
