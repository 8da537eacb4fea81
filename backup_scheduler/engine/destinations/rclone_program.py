"""The program rclone, run for one remote: never asking, never waiting without a bound.

* Its configuration reaches it as a private file (see :mod:`.rclone_config`), nothing of it by its
  arguments. It sees neither Odoo's own environment nor the files in its home folder.
* It ends when the process that started it is killed: what nobody waits for must not be published.
* What is streamed into it comes by a pair of sockets. It is given the writing end as well, which it
  does not know of: so the end of its input is what :meth:`Child.finish` says, and never the death
  of this process, after which it would take half an archive for a whole one.

Source for the signal: prctl(2), PR_SET_PDEATHSIG; it is sent when the *thread* that started the
program ends, so a program is started where the work begins, and not in a follower.
"""

import contextlib
import os
import shutil
import threading

from ..child_environment import GUARD, clean_environment
from ..errors import DestinationFailed, LibraryMissing
from ..messages import _
from . import rclone_config
from .rclone_child import Child

# Seconds to connect; a second try of rclone's own comes after.
CONNECT = 30
# Seconds without a byte from the server after which rclone gives up on a request. Servers that put
# large files together, or scan them, say nothing meanwhile: this is rclone's own default.
IDLE = 300
# Seconds for anything that moves no archive.
LIMIT = 300
# Tried again by rclone itself: single requests, never whole transfers.
RETRIES = 3
FLAGS = (
    "--ask-password=false",
    "--use-json-log",
    "--log-level=ERROR",
    "--stats=0",
    "--retries=1",
    f"--low-level-retries={RETRIES}",
    f"--contimeout={CONNECT}s",
    "--buffer-size=1Mi",
)
# What rclone keeps in memory of a stream, where its default would be too much, or (S3, B2) would
# end at 10,000 small parts. As variables, since a version that does not know one ignores it; only
# where the configuration has no opinion.
SIZES = {
    "RCLONE_S3_CHUNK_SIZE": "16Mi",
    "RCLONE_S3_UPLOAD_CONCURRENCY": "2",
    "RCLONE_B2_CHUNK_SIZE": "16Mi",
    "RCLONE_B2_UPLOAD_CONCURRENCY": "2",
    "RCLONE_DROPBOX_CHUNK_SIZE": "16Mi",
    "RCLONE_AZUREBLOB_UPLOAD_CONCURRENCY": "8",
}


class Rclone:
    """The program with the remote ``name`` of one configuration.

    ``config`` is what the configuration is by now: rclone may have changed it.
    """

    def __init__(self, config, name):
        self.config = config
        self._name = name
        self._lock = threading.RLock()
        self._users = 0
        self._folder = None
        self._stack = contextlib.ExitStack()

    @contextlib.contextmanager
    def configured(self):
        """While inside, the program can be run. Yields the folder with the configuration.

        All that happens at a time shares one file: of two that were given a new token, the second
        finds the first one's.
        """
        with self._lock:
            if not self._users:
                self._lend()
            self._users += 1
        try:
            yield self._folder
        finally:
            with self._lock:
                self._take_back()
                self._users -= 1
                if not self._users:
                    self._stack.close()

    def _lend(self):
        parent = rclone_config.for_secrets()
        self._folder = self._stack.enter_context(rclone_config.private_folder(parent))
        try:
            with open(self._file, "x", encoding="utf-8", opener=private) as file:
                file.write(rclone_config.lent(self.config, self._name))
        except OSError as error:
            self._stack.close()
            raise DestinationFailed(
                _(
                    "%(parent)s cannot be written: %(reason)s",
                    parent=parent,
                    reason=error.strerror,
                )
            ) from error

    @property
    def _file(self):
        return os.path.join(self._folder, "rclone.conf")

    def _take_back(self):
        """Keep what rclone has written into its configuration."""
        # It replaces the file by two renames; one that was killed in between leaves none.
        with contextlib.suppress(FileNotFoundError, UnicodeDecodeError, DestinationFailed):
            with open(self._file, encoding="utf-8") as file:
                text = file.read()
            self.config = rclone_config.taken_back(self.config, self._name, text)

    def run(self, what, *arguments, limit=None, missing=None, leash=None):
        """Run a command to its end; return what it printed, as bytes.

        :param what: what is tried, as the beginning of a sentence
        :param limit: seconds; LIMIT when left out, 0: as long as something moves
        :param missing: returned where there is no such file or folder, instead of raising
        :param leash: the :class:`Leash` by which others may end it
        """
        child = Child(self, what, arguments, readable=True, leash=leash)
        try:
            code = child.finish(LIMIT if limit is None else limit)
            if code and missing is not None and child.not_found(code):
                return missing
            child.require(code)
            return child.printed()
        finally:
            child.end()
            with self._lock:
                self._take_back()

    def command(self, arguments):
        command = [program("rclone", "rclone"), *FLAGS, f"--timeout={IDLE}s"]
        command += [f"--config={self._file}", f"--cache-dir={self._folder}/cache", *arguments]
        return [program("setpriv", "util-linux"), *GUARD[1:], str(os.getpid()), *command]

    def environment(self):
        sizes = {} if "chunk_size" in self.config else SIZES
        # Files are written under the name that they are asked for, and renamed by us.
        return clean_environment(self._folder, RCLONE_INPLACE="true", **sizes)

    def secrets(self):
        """Return what no message may repeat, with what is new by now."""
        with self._lock:
            if self._users:
                self._take_back()
        return rclone_config.secrets_in(self.config)


def program(name, package):
    """Return the path of a program; raise :class:`LibraryMissing` without it."""
    path = shutil.which(name)
    if path is None:
        raise LibraryMissing(
            _("The program %(name)s is not installed.", name=name),
            hint=_(
                "Install the package %(package)s where Odoo runs (Debian: apt-get install "
                "%(package)s).",
                package=package,
            ),
        )
    return path


def private(path, flags):
    return os.open(path, flags, 0o600)
