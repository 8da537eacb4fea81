import functools
import itertools
import logging
import time

from werkzeug.exceptions import NotFound, ServiceUnavailable
from werkzeug.utils import send_file
from werkzeug.wsgi import ClosingIterator

from odoo import SUPERUSER_ID, api, http
from odoo.http import Response, request

from .. import engine_call
from ..engine.errors import BackupError
from ..engine_call import EngineFailed
from ..models.backup_message import all_translated, reason_of

_logger = logging.getLogger(__name__)

# The key, in the session of a user, of the downloads that began in it: by the id of the copy,
# ``[address, when it began, bytes sent since]``.
BEGUN = "backup_downloads"
PARTIAL = 206
# Seconds after which the rest of a download is one of its own.
LIFETIME = 24 * 3600
# What a column of ids takes.
LARGEST_ID = 2**31 - 1


class BackupDownload(http.Controller):
    @http.route(
        f"/backup_scheduler/download/<int(max={LARGEST_ID}):copy_id>",
        type="http",
        auth="user",
        methods=["GET"],
        readonly=False,
    )
    def download(self, copy_id):
        """Stream one copy as it lies in its destination; Managers only, each request logged.

        From a folder, a browser may go on with a download that broke (Range).
        """
        copy = request.env["backup.copy"].browse(copy_id).exists()
        if not copy:
            raise NotFound
        copy.run_id._require_manager()
        copy = copy.sudo()
        if copy.status != "stored":
            raise NotFound(request.env._("The archive is not stored there any more."))
        try:
            answer = self._stream(copy)
        except BackupError as error:
            self._refuse(error, reason_of(error, request.env.lang))
        except EngineFailed as error:
            self._refuse(error, all_translated(error.failure, request.env.lang))
        self._write_down(copy, answer, self._address())
        return answer

    def _refuse(self, error, reason):
        raise ServiceUnavailable(f"{reason['error']} {reason['hint']}") from error

    def _address(self):
        return request.httprequest.remote_addr

    def _write_down(self, copy, answer, address):
        """Write each request into Odoo's log, and each download on the archive and its instance.

        A request is the rest of a download only while all of them together are no more than the
        archive, at one address and on one day. What is asked for tells nothing else: a range may
        be the whole file, and a session that never began takes an archive as well in two parts.
        """
        start, size = self._extent(copy, answer)
        begun = request.session.get(BEGUN)
        begun = begun if isinstance(begun, dict) else {}
        known, since, sent = begun.get(str(copy.id)) or ("", 0, 0)
        now = time.time()
        goes_on = (
            start and known == address and now - since < LIFETIME and sent + size <= copy.size
        )
        entry = [address, since, sent + size] if goes_on else [address, now, size]
        request.session[BEGUN] = {**begun, str(copy.id): entry}
        copy._log_request(address, start, size)
        if not goes_on:
            copy._log_download(address)

    def _extent(self, copy, answer):
        """Return the first byte that is sent, and how many."""
        part = answer.status_code == PARTIAL and answer.content_range
        return (part.start, part.stop - part.start) if part else (0, int(copy.size))

    def _stream(self, copy):
        destination = copy.destination_id._open_kind()
        name = copy._download_name()
        if path := destination.path_of(copy.path):
            return send_file(
                path,
                request.httprequest.environ,
                mimetype="application/octet-stream",
                as_attachment=True,
                download_name=name,
                etag=copy.sha256 or True,
                max_age=0,
            )
        here = request.env["backup.dispatcher"]._executor() == "inline"
        hand_out = engine_call.handed_out_here if here else engine_call.handed_out
        keep = functools.partial(_keep_renewed, request.env.registry)
        blocks = hand_out(copy._engine_orders()[0], keep)
        # Now, while the answer can still be that the destination is away.
        first = list(itertools.islice(blocks, 1))
        headers = [
            ("Content-Type", "application/octet-stream"),
            ("Content-Length", str(int(copy.size))),
            ("Content-Disposition", http.content_disposition(name)),
            ("Cache-Control", "no-store"),
        ]
        whole = ClosingIterator(itertools.chain(first, blocks), blocks.close)
        return Response(whole, headers=headers, direct_passthrough=True)



def _keep_renewed(registry, event):
    """Store what the destination has renewed while it was read: when the request may be over, and
    whatever becomes of the download."""
    try:
        with registry.cursor() as cr:
            api.Environment(cr, SUPERUSER_ID, {})["backup.copy"]._record_renewed(event)
    except Exception:
        _logger.exception("What the destination of backup copy %s renewed is lost", event["id"])
