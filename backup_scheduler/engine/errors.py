"""What can go wrong with a backup, each as a kind of its own.

A kind carries what a script needs (``code``, which never changes its meaning), what a person needs
(the message, and a ``hint`` that says what to do next), and what the scheduler needs: whether
trying again may help. That last one is the *kind* of the error, :class:`RetryableError`, and not a
flag that callers pass around.
"""

from .masking import said_by, without_rows
from .messages import _, bounded


class BackupError(Exception):
    """A failure that is told to people.

    :param message: one sentence that says what happened, without any secret in it
    :param hint: what the reader can do about it; the kind's own hint when left out
    :ivar retry_after: seconds that the other side wants to be left alone; 0: it does not say
    :ivar in_order: False where the beginning of an upload failed, and may have left something
    :ivar remains: the copies of which something may be left: each ``id`` and ``path``
    """

    code = "internal"
    hint = ""
    in_order = True
    retry_after = 0
    remains = ()

    def __init__(self, message, hint=None):
        super().__init__(without_rows(message))
        self.message = self.args[0]
        if hint is not None:
            self.hint = hint

    @classmethod
    def of(cls, error):
        """Return the error that stands for an exception which nobody foresaw."""
        return cls(said_by(error))

    @property
    def retryable(self):
        return isinstance(self, RetryableError)

    def as_dict(self):
        """Return the error as plain values, as events and RPC answers carry it."""
        return {
            "error_code": self.code,
            "error": bounded(self.message),
            "hint": bounded(self.hint),
            "retryable": self.retryable,
            **({"retry_after": self.retry_after} if self.retry_after else {}),
            **({"remains": list(self.remains)} if self.remains else {}),
        }


class RetryableError(BackupError):
    """A failure that may be gone at the next attempt."""


NO_THREAD = "can't start new thread"


class InternalError(BackupError):
    code = "internal"
    hint = _("This is a defect of Backup Scheduler. The traceback on the run says where.")

    @classmethod
    def of(cls, error):
        # The stack of a thread is memory, too.
        no_memory = isinstance(error, MemoryError) or NO_THREAD in str(error)
        return MemoryLimit() if no_memory else super().of(error)


class MemoryLimit(BackupError):
    """Nothing is said about an archive by it: a machine with other limits may read it."""

    code = "memory_limit"
    hint = _(
        "A server or archive that is made to do harm is one reason. Ordinary archives need a "
        "fraction of it, also those with millions of files."
    )

    def __init__(self):
        super().__init__(_("The task needed more memory than an engine process may use."))


# --- the source ---------------------------------------------------------------------------------


class InsecureRemote(BackupError):
    code = "insecure_remote"
    hint = _(
        "Set a master password on that server (Odoo's database manager, “Set Master Password”), "
        "enter it here, and test again. If this server may keep its default password, tick “Allow "
        "the default master password”."
    )


class WrongMasterPassword(BackupError):
    code = "wrong_master_password"
    hint = _("Enter the master password (admin_passwd) of that server and test again.")


class DatabaseManagerDisabled(BackupError):
    code = "database_manager_disabled"
    hint = _(
        "The server runs with list_db = False, or a proxy blocks /web/database. Allow the database "
        "manager for this server's address."
    )


class UnknownDatabase(BackupError):
    code = "unknown_database"
    hint = _("Refresh the databases of the instance; this one may have been renamed or dropped.")


class NotOdoo(BackupError):
    code = "not_odoo"
    hint = _(
        "Check the address: it must be the root of an Odoo server, such as https://odoo.example.com"
    )


class TooManyDatabases(BackupError):
    code = "too_many_databases"
    hint = _(
        "The others are not recorded, and not backed up. If the server really has that many, raise "
        "the system parameter backup_scheduler.max_databases and test again. Otherwise find out "
        "why it lists them."
    )


class TLSError(BackupError):
    code = "tls_error"
    hint = _("Renew the server's certificate, or install its authority on this machine.")


class ConnectionFailed(RetryableError):
    code = "connection_failed"
    hint = _("Check the address, the port, and that the server is up and reachable from here.")


class SourceTimeout(RetryableError):
    code = "timeout"
    hint = _("The server stopped answering. Check its load and the network between here and there.")


class ServerDown(ConnectionFailed):
    """A proxy answers that Odoo is not available now."""

    hint = _(
        "Check that Odoo runs there. Where only the backup gets this answer, the server itself "
        "ends it: raise limit_time_real in its configuration above the time that a backup takes."
    )


class RateLimited(RetryableError):
    code = "rate_limited"
    hint = _(
        "A proxy in front of the server limits how often it may be asked. Exempt this machine from "
        "the limit there, or let fewer backups of that server run at a time."
    )


class ProxyRefused(BackupError):
    """Something in front of the Odoo asks for a login, or does not let this machine in."""

    code = "proxy_refused"


class DatabasesUnavailable(RetryableError):
    """A server that has databases lists none just now."""

    code = "databases_unavailable"
    hint = _(
        "An Odoo whose PostgreSQL is down or has no free connection lists no database. Look at "
        "PostgreSQL there. If the databases were dropped for good, archive the instance."
    )


class ProxyTimeout(RetryableError):
    code = "proxy_timeout"
    hint = _(
        "A proxy in front of the server gave up waiting. Raise its read timeout (nginx: "
        "proxy_read_timeout) above the time a backup takes, or use an address that bypasses it."
    )


class RemoteError(RetryableError):
    code = "remote_error"
    hint = _("The message is the server's own; its log has the details.")


class RemoteNoSpace(RemoteError):
    """The disk of the server that is backed up, or restored to: not one of ours."""

    code = "remote_no_space"
    hint = _(
        "Free disk space on that server, not on this one. For a zip, Odoo first writes the dump "
        "and a copy of the filestore to its folder for temporary files (TMPDIR)."
    )


class FilestoreUnreadable(RetryableError):
    code = "filestore_unreadable"
    hint = _(
        "The user that runs the backup has to be able to read the filestore of the database. Check "
        "the rights there, and the disk."
    )


class DumpProgramTooOld(BackupError):
    """pg_dump refuses a server that is newer than itself."""

    code = "pg_dump_too_old"


# --- the archive --------------------------------------------------------------------------------


class ArchiveError(RetryableError):
    """Something is wrong with the archive itself, not with the way to it."""


class Truncated(ArchiveError):
    code = "truncated"
    hint = _(
        "The transfer was cut although the server reported success. A proxy that limits the size "
        "of answers does this (nginx: proxy_max_temp_file_size), and so does a killed server."
    )


class NotAnArchive(ArchiveError):
    code = "not_an_archive"
    hint = _(
        "What came back is no backup. Open the address in a browser to see what answers there."
    )


class Damaged(ArchiveError):
    code = "damaged"
    hint = _(
        "Bytes were changed on their way or on disk. If it happens again, check disk and memory."
    )


class UnsafeDump(ArchiveError):
    """The dump would have psql do what pg_dump never asks for, such as running a program."""

    code = "unsafe_dump"
    # Another attempt would read the same.
    retryable = False
    hint = _(
        "Do not restore this archive by hand. Find out who can change the database or the programs "
        "of that server: pg_dump does not write this."
    )


class Inconsistent(ArchiveError):
    code = "inconsistent"
    hint = _("The archive is readable, but its parts do not belong together.")


class NotConsistent(Inconsistent):
    """The archive is complete and intact, and what it was copied from lacked something.

    Such an archive may be the only copy there is: it is kept, and told about, and never counted as
    a good backup. ``report`` is what was learnt of it, whose level is 2.
    """

    hint = _(
        "The archive is a sound copy of what the server had, and it is stored. Look at that "
        "server: its filestore, and who else writes there while it is backed up."
    )

    def __init__(self, message, hint=None, report=None):
        super().__init__(message, hint)
        self.report = report


class ArchiveMissing(ArchiveError):
    code = "archive_missing"
    hint = _(
        "Somebody deleted or moved it. If the folder is a mounted one, see that it is mounted."
    )


class RestoreFailed(ArchiveError):
    code = "restore_failed"
    hint = _(
        "No PostgreSQL restores the archive as it is. Make another backup now, and look on the "
        "server that is backed up for what the message names."
    )


class RestoreRefused(BackupError):
    code = "restore_refused"
    hint = _("Choose another name, or a server of the archive's version. Nothing was sent.")


class WrongIdentity(BackupError):
    code = "wrong_identity"
    hint = _(
        "Use the identity (AGE-SECRET-KEY-1…) that belongs to one of the recipients of that "
        "destination at the time of the backup."
    )


# --- this side ----------------------------------------------------------------------------------


class NoSpace(RetryableError):
    code = "no_space"
    hint = _("Free disk space, or choose another folder.")


class ArchiveTooLarge(BackupError):
    """A server sends more than a database can have become since its last good archive."""

    code = "too_large"
    hint = _(
        "If the database became that large, enter a Maximum Archive Size on the job. Otherwise "
        "find out what the server sends: it may never end. Where the job has no such size, the "
        "limit is ten times the largest of the last good archives, and 5 GB more."
    )


class SpoolFailed(RetryableError):
    code = "spool_failed"
    hint = _(
        "Give the user that runs Odoo the right to write there, or choose another spool folder."
    )


class WrongSecretKey(BackupError):
    """What is stored encrypted cannot be read with the secret key of this machine."""

    code = "wrong_secret_key"


class NoDatabase(BackupError):
    code = "no_database"
    hint = _(
        "The server has no database that can be seen from here, or none is selected on the job."
    )


class DestinationFailed(RetryableError):
    code = "destination_failed"
    hint = _("Check the destination: its folder must exist and be writable.")


class DestinationDenied(DestinationFailed):
    """The destination answers, and says no: to whoever asks, or to what is asked."""

    code = "destination_denied"
    hint = _(
        "Check user, password and keys of the destination, and what that account may do there."
    )


class HostKeyRefused(BackupError):
    """An SSH server is not known to be the right one. No secret was sent to it.

    :ivar host_key: the server's key, as it is pinned: ``ssh-ed25519 AAAA…``; empty when not known
    :ivar fingerprint: of that key, as ssh-keygen prints it: ``SHA256:…``
    """

    def __init__(self, message, hint=None, host_key="", fingerprint=""):
        super().__init__(message, hint)
        self.host_key = host_key
        self.fingerprint = fingerprint

    def as_dict(self):
        keys = {"host_key": self.host_key, "fingerprint": self.fingerprint}
        return {**super().as_dict(), **keys}


class HostKeyUnknown(HostKeyRefused):
    """Nobody has accepted the server's host key yet."""

    code = "host_key_unknown"
    hint = _("Compare the fingerprint with the server's own, and accept it if it is the same.")


class HostKeyChanged(HostKeyRefused):
    """The server has another host key than the accepted one.

    :ivar accepted: the fingerprint of the key that was accepted
    """

    code = "host_key_changed"
    hint = _(
        "Ask the server's administrator whether its key was replaced, and only then accept the new "
        "one on the destination's form. Otherwise somebody else answers in its place."
    )

    def __init__(self, message, hint=None, host_key="", fingerprint="", accepted=""):
        super().__init__(message, hint, host_key, fingerprint)
        self.accepted = accepted

    def as_dict(self):
        return {**super().as_dict(), "accepted": self.accepted}


class Immutable(RetryableError):
    """What is to be deleted is locked until a date, and still there."""

    code = "immutable"
    hint = _("It can be deleted after the date that the message names, by nobody before.")


class DatabaseServerFailed(RetryableError):
    code = "database_server_failed"
    hint = _(
        "Check that PostgreSQL runs and takes connections from here, and that its user may create "
        "databases."
    )


class IsolationUnavailable(BackupError):
    """The SQL of a dump cannot be kept from what else is on that PostgreSQL: it was not run."""

    code = "isolation_unavailable"


class DatabaseExists(BackupError):
    code = "database_exists"
    hint = _("Choose another name. A restore never overwrites a database.")


class EncryptionFailed(BackupError):
    code = "encryption_failed"
    hint = _("Check the recipients of the destination: each is one line that begins with age1.")


class LibraryMissing(BackupError):
    code = "library_missing"
    hint = _("Install the Python package that the message names where Odoo runs, and restart Odoo.")


class KindMissing(BackupError):
    """A source, destination or channel is of a kind that nothing here provides."""

    code = "kind_missing"
    hint = _("Install the addon that provided it again, or use a record of another kind.")


class TimeLimit(BackupError):
    code = "time_limit"
    hint = _("Raise the time limit of the job, or find out why the backup takes so long.")


class Cancelled(BackupError):
    code = "cancelled"


class WorkerLost(RetryableError):
    code = "worker_lost"
    hint = _(
        "The process ended without a word: it was killed, memory ran out, or the machine restarted."
    )
