import logging

from werkzeug.exceptions import NotFound, ServiceUnavailable
from werkzeug.utils import send_file

from odoo import http
from odoo.http import Response, request

from ..engine.destinations import open_destination
from ..engine.errors import BackupError

_logger = logging.getLogger(__name__)


class BackupDownload(http.Controller):
    @http.route(
        "/backup_scheduler/download/<int:copy_id>", type="http", auth="user", readonly=False
    )
    def download(self, copy_id):
        """Stream one copy as it lies in its destination; Managers only, each download logged.

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
            raise ServiceUnavailable(f"{error.message} {error.hint}") from error
        if "Range" not in request.httprequest.headers:
            copy._log_download(request.httprequest.remote_addr)
        return answer

    def _stream(self, copy):
        destination = open_destination(copy.destination_id.kind, copy.destination_id._settings())
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
        blocks = destination.read(copy.path)
        headers = [
            ("Content-Type", "application/octet-stream"),
            ("Content-Length", str(int(copy.size))),
            ("Content-Disposition", http.content_disposition(name)),
            ("Cache-Control", "no-store"),
        ]
        return Response(blocks, headers=headers, direct_passthrough=True)
