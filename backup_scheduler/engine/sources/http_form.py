"""A form with a file in it, as a browser sends one: multipart/form-data.

Source: RFC 7578. The file is read while it is sent, a block at a time, whatever its size.
"""

import os
import secrets

from ..errors import SpoolFailed
from ..messages import _
from ..spool import BLOCK

FIELD = '--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
FILE = (
    '--{boundary}\r\nContent-Disposition: form-data; name="{name}"; filename="{filename}"\r\n'
    "Content-Type: application/octet-stream\r\n\r\n"
)
END = "\r\n--{boundary}--\r\n"


class FileForm:
    """The body of a request: ``fields`` (a dict of texts), and one file at the end.

    Its length is known beforehand, and may not change while it is sent. ``sent`` tells how many
    bytes of it were asked for so far.

    :param filename: the name that the server is told, of ASCII letters, digits, dots and dashes
    :param progress: called with (bytes sent, total bytes) at each block; what it raises ends it
    """

    def __init__(self, fields, name, filename, path, progress):
        boundary = secrets.token_hex(16)
        self.content_type = f"multipart/form-data; boundary={boundary}"
        texts = [FIELD.format(boundary=boundary, name=key, value=fields[key]) for key in fields]
        texts.append(FILE.format(boundary=boundary, name=name, filename=filename))
        self._head = "".join(texts).encode()
        self._end = END.format(boundary=boundary).encode()
        self._path = path
        self._file_size = os.path.getsize(path)
        self._progress = progress
        self.sent = 0

    def __len__(self):
        return len(self._head) + self._file_size + len(self._end)

    @property
    def is_sent(self):
        return self.sent == len(self)

    def __iter__(self):
        """Yield the blocks; each is only good until the next is asked for."""
        self.sent = 0
        yield from self._counted([self._head])
        yield from self._counted(self._blocks())
        yield from self._counted([self._end])

    def _counted(self, blocks):
        for block in blocks:
            yield block
            self.sent += len(block)
            self._progress(self.sent, len(self))

    def _blocks(self):
        try:
            yield from self._read()
        except OSError as error:
            raise SpoolFailed(
                _(
                    "%(path)s cannot be read: %(reason)s.",
                    path=self._path,
                    reason=error.strerror,
                )
            ) from error

    def _read(self):
        buffer = memoryview(bytearray(BLOCK))
        left = self._file_size
        with open(self._path, "rb", buffering=0) as file:
            while left:
                read = file.readinto(buffer[: min(left, BLOCK)])
                if not read:
                    raise SpoolFailed(
                        _("%(path)s became shorter while it was read.", path=self._path)
                    )
                left -= read
                yield buffer[:read]
