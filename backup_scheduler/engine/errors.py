"""What can go wrong with a backup, each as a kind of its own.

A kind carries what a script needs (``code``, which never changes its meaning), what a person needs
(the message, and a ``hint`` that says what to do next), and what the scheduler needs: whether
trying again may help. That last one is the *kind* of the error, :class:`RetryableError`, and not a
flag that callers pass around.
"""


class BackupError(Exception):
    """A failure that is told to people.

    :param message: one sentence that says what happened, without any secret in it
    :param hint: what the reader can do about it; the kind's own hint when left out
    """

    code = "internal"
    hint = ""

    def __init__(self, message, hint=None):
        super().__init__(message)
        self.message = message
        if hint is not None:
            self.hint = hint

    @property
    def retryable(self):
        return isinstance(self, RetryableError)

    def as_dict(self):
        """Return the error as plain values, as events and RPC answers carry it."""
        return {
            "error_code": self.code,
            "error": self.message,
            "hint": self.hint,
            "retryable": self.retryable,
        }


class RetryableError(BackupError):
    """A failure that may be gone at the next attempt."""


class InternalError(BackupError):
    code = "internal"
    hint = "This is a defect of Backup Scheduler. The traceback on the run says where."


# --- the source ---------------------------------------------------------------------------------


class InsecureRemote(BackupError):
    code = "insecure_remote"
    hint = (
        "Set a master password on that server (Odoo's database manager, “Set Master Password”), "
        "enter it here, and test again. If this server may keep its default password, tick "
        "“Allow the default master password”."
    )


class WrongMasterPassword(BackupError):
    code = "wrong_master_password"
    hint = "Enter the master password (admin_passwd) of that server and test again."


class DatabaseManagerDisabled(BackupError):
    code = "database_manager_disabled"
    hint = (
        "The server runs with list_db = False, or a proxy blocks /web/database. Allow the database "
        "manager for this server's address."
    )


class UnknownDatabase(BackupError):
    code = "unknown_database"
    hint = "Refresh the databases of the instance; this one may have been renamed or dropped."


class NotOdoo(BackupError):
    code = "not_odoo"
    hint = "Check the address: it must be the root of an Odoo server, such as https://odoo.example.com"


class TLSError(BackupError):
    code = "tls_error"
    hint = "Renew the server's certificate, or install its authority on this machine."


class ConnectionFailed(RetryableError):
    code = "connection_failed"
    hint = "Check the address, the port, and that the server is up and reachable from here."


class SourceTimeout(RetryableError):
    code = "timeout"
    hint = "The server stopped answering. Check its load and the network between here and there."


class ProxyTimeout(RetryableError):
    code = "proxy_timeout"
    hint = (
        "A proxy in front of the server gave up waiting. Raise its read timeout (nginx: "
        "proxy_read_timeout) above the time a backup takes, or use an address that bypasses it."
    )


class RemoteError(RetryableError):
    code = "remote_error"
    hint = "The message is the server's own; its log has the details."


# --- the archive --------------------------------------------------------------------------------


class ArchiveError(RetryableError):
    """Something is wrong with the archive itself, not with the way to it."""


class Truncated(ArchiveError):
    code = "truncated"
    hint = (
        "The transfer was cut although the server reported success. A proxy that limits the size "
        "of answers does this (nginx: proxy_max_temp_file_size), and so does a killed server."
    )


class NotAnArchive(ArchiveError):
    code = "not_an_archive"
    hint = "What came back is no backup. Open the address in a browser to see what answers there."


class Damaged(ArchiveError):
    code = "damaged"
    hint = "Bytes were changed on their way or on disk. If it happens again, check disk and memory."


class Inconsistent(ArchiveError):
    code = "inconsistent"
    hint = "The archive is readable, but its parts do not belong together."


class ArchiveMissing(ArchiveError):
    code = "archive_missing"
    hint = "Somebody deleted or moved it. If the folder is a mounted one, see that it is mounted."


# --- this side ----------------------------------------------------------------------------------


class NoSpace(RetryableError):
    code = "no_space"
    hint = "Free disk space, or choose another folder."


class SpoolFailed(RetryableError):
    code = "spool_failed"
    hint = "Give the user that runs Odoo the right to write there, or choose another spool folder."


class NoDatabase(BackupError):
    code = "no_database"
    hint = "The server has no database that can be seen from here, or none is selected on the job."


class DestinationFailed(RetryableError):
    code = "destination_failed"
    hint = "Check the destination: its folder must exist and be writable."


class TimeLimit(BackupError):
    code = "time_limit"
    hint = "Raise the time limit of the job, or find out why the backup takes so long."


class Cancelled(BackupError):
    code = "cancelled"


class WorkerLost(RetryableError):
    code = "worker_lost"
    hint = (
        "The process ended without a word: it was killed, memory ran out, or the machine restarted."
    )
