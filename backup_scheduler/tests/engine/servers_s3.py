"""S3 servers as tests and benchmarks need them: a real one, and one in front that makes faults."""

import contextlib
import http.client
import http.server
import itertools
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import urllib.request

from devenv.processes import free_port
from waiting import PATIENCE, until

BUCKET = "backups"
REGION = "us-east-1"
NUMBERS = itertools.count(1)
KEYS = {"access_key": "AKIATESTTESTTESTTEST", "secret_key": "s3cret/of+the/tests"}
MOTO = "import sys; from moto.server import main; main(sys.argv[1:])"
DENIED = b"""<?xml version="1.0" encoding="UTF-8"?><Error><Code>AccessDenied</Code>
<Message>Access Denied</Message></Error>"""
BUSY = b"""<?xml version="1.0" encoding="UTF-8"?><Error><Code>SlowDown</Code>
<Message>Please reduce your request rate.</Message></Error>"""


class S3Server:
    """moto's server in a process of its own, for the length of a ``with`` block.

    :param tls: it speaks TLS, by a certificate that nobody knows
    """

    def __init__(self, tls=False):
        self.port = free_port()
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self.port}"
        self._tls = tls
        self.process = None
        self._clients = {}

    def __enter__(self):
        command = [sys.executable, "-c", MOTO, "-H", "127.0.0.1", "-p", str(self.port)]
        command += ["-s"] if self._tls else []
        self.process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        until(self._is_there, "the S3 server did not start")
        return self

    def _is_there(self):
        assert self.process.poll() is None, "the S3 server ended"
        return answers(self.port)

    def __exit__(self, *_error):
        self.kill()

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def reset(self):
        """Forget everything; take any key again."""
        self.require_nothing()
        self._tell("reset")

    def require_nothing(self):
        """Take any key again."""
        self._tell("reset-auth", b"inf")

    def require_keys(self):
        """Take only keys that exist, for what their policies allow."""
        self._tell("reset-auth", b"0")

    def _tell(self, what, content=b""):
        request = urllib.request.Request(  # noqa: S310 - its own address
            f"{self.url}/moto-api/{what}", content, {"Content-Type": "text/plain"}
        )
        with urllib.request.urlopen(request, timeout=PATIENCE):  # noqa: S310 - its own address
            pass

    def client(self, service="s3"):
        """Return boto3's client of an administrator."""
        import boto3

        if service not in self._clients:
            keys = {"aws_access_key_id": "root", "aws_secret_access_key": "root"}
            self._clients[service] = boto3.client(
                service, endpoint_url=self.url, region_name=REGION, verify=not self._tls, **keys
            )
        return self._clients[service]

    def make_bucket(self, name=BUCKET, lock=False):
        self.client().create_bucket(Bucket=name, ObjectLockEnabledForBucket=lock)

    def key_with(self, *allowed):
        """Return the settings of a key that may do what is ``allowed`` (s3:PutObject …) only."""
        iam, name = self.client("iam"), f"user-{len(allowed)}-{next(NUMBERS)}"
        iam.create_user(UserName=name)
        statement = {"Effect": "Allow", "Action": list(allowed), "Resource": "*"}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        iam.put_user_policy(UserName=name, PolicyName="all", PolicyDocument=policy)
        made = iam.create_access_key(UserName=name)["AccessKey"]
        return {"access_key": made["AccessKeyId"], "secret_key": made["SecretAccessKey"]}

    def objects(self, bucket=BUCKET):
        """Return what the bucket has: contents by key."""
        s3 = self.client()
        found = s3.list_objects_v2(Bucket=bucket).get("Contents", ())
        return {
            each["Key"]: s3.get_object(Bucket=bucket, Key=each["Key"])["Body"].read()
            for each in found
        }

    def versions(self, bucket=BUCKET):
        """Return the keys of every version that the bucket keeps, hidden or not."""
        found = self.client().list_object_versions(Bucket=bucket)
        return sorted(each["Key"] for each in found.get("Versions", ()))

    def uploads(self, bucket=BUCKET):
        """Return the keys of the multipart uploads that are open."""
        found = self.client().list_multipart_uploads(Bucket=bucket)
        return [each["Key"] for each in found.get("Uploads", ())]


def answers(port):
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False


# --- faults -------------------------------------------------------------------------------------


class FaultyProxy:
    """Stands in front of an S3 server and hands requests on, but for those that a fault meets.

    ``fault`` is a function of the handler that returns whether it has dealt with the request; it is
    asked once the body was read, ``early`` before that. ``change`` is a function of the handler and
    the body that returns what is handed on. ``seen`` lists the requests: (method, path).
    """

    def __init__(self, server):
        self.upstream = server.port
        self.fault = None
        self.early = None
        self.change = lambda handler, content: content
        self.seen = []
        self.released = threading.Event()
        self.kept_waiting = False
        self._server = ProxyServer(("127.0.0.1", 0), ProxyHandler)
        self._server.proxy = self
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self):
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_error):
        self.released.set()
        self._server.shutdown()
        self._server.server_close()
        assert not self.kept_waiting, "what was to end at once waited for the server"

    def count(self, method, pattern):
        return sum(1 for verb, path in self.seen if verb == method and re.search(pattern, path))


class ProxyServer(http.server.ThreadingHTTPServer):
    daemon_threads = True
    # Server.handle_error prints: broken connections are what this is for.
    handle_error = staticmethod(lambda *_arguments: None)


class ProxyHandler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def handle_any(self):
        proxy = self.server.proxy
        proxy.seen.append((self.command, self.path))
        if proxy.early and proxy.early(self):
            return
        content = self.body()
        if not (proxy.fault and proxy.fault(self)):
            self.answer(*self.hand_on(proxy.change(self, content)))

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = handle_any

    def body(self):
        """Read what came, once."""
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def hand_on(self, content):
        """Return what the server behind answers: status, headers, body."""
        port = self.server.proxy.upstream
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        with contextlib.closing(connection):
            headers = {name: value for name, value in self.headers.items() if name != "Expect"}
            connection.request(self.command, self.path, content, headers)
            answer = connection.getresponse()
            return answer.status, answer.getheaders(), answer.read()

    def answer(self, status, headers=(), body=b"", cut=None):
        """Answer; ``cut``: only so many bytes of the body, and then the connection ends."""
        self.send_response_only(status)
        length = str(len(body))
        for name, value in headers:
            if name.lower() == "content-length":
                length = value
            elif name.lower() not in ("transfer-encoding", "connection"):
                self.send_header(name, value)
        self.send_header("Content-Length", length)
        self.end_headers()
        self.wfile.write(body if cut is None else body[:cut])
        if cut is not None:
            self.break_off()

    def break_off(self):
        """End the connection at once, without another word."""
        self.wfile.flush()
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def hang(self):
        """Say nothing until the proxy ends."""
        proxy = self.server.proxy
        proxy.kept_waiting = not proxy.released.wait(PATIENCE) or proxy.kept_waiting
        self.close_connection = True

    def log_message(self, *_arguments):
        """Nobody reads it."""


# --- a server that keeps nothing ----------------------------------------------------------------


class DiscardingServer:
    """As much of S3 as one upload needs, which reads parts and forgets them: for benchmarks.

    In a process of its own; it agrees to CRC-32 as AWS does, and tells what it was told.
    """

    def __init__(self):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self):
        paths = {"PYTHONPATH": os.pathsep.join(sys.path)}
        self.process = subprocess.Popen(
            [sys.executable, __file__, str(self.port)], env={**os.environ, **paths}
        )
        until(lambda: answers(self.port), "the server did not start")
        return self

    def __exit__(self, *_error):
        self.process.kill()
        self.process.wait()


class DiscardHandler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    rbufsize = 1 << 20
    sizes = {}
    buffers = threading.local()

    def do_PUT(self):
        size = int(self.headers["Content-Length"])
        self.discard(size)
        key, _, query = self.path.partition("?")
        with self.server.lock:
            added = self.sizes.get(key, 0) + size if query else size
            self.sizes[key] = added
        crc = self.headers.get("x-amz-checksum-crc32")
        told = {"x-amz-checksum-crc32": crc} if crc else {}
        self.reply(headers={"ETag": '"discarded"', **told})

    def discard(self, size):
        buffer = memoryview(bytearray(1 << 20))
        while size:
            size -= self.rfile.readinto(buffer[: min(size, len(buffer))]) or size

    def do_POST(self):
        key, _, query = self.path.partition("?")
        self.discard(int(self.headers.get("Content-Length") or 0))
        if query.startswith("uploads"):
            self.sizes[key] = 0
            name = "x-amz-checksum-algorithm"
            headers = {name: self.headers[name]} if self.headers[name] else {}
            root = "InitiateMultipartUploadResult"
            self.reply(f"<{root}><UploadId>1</UploadId></{root}>".encode(), headers)
        else:
            done = "<CompleteMultipartUploadResult><ETag>x</ETag></CompleteMultipartUploadResult>"
            self.server.done.add(key)
            self.reply(done.encode())

    def do_HEAD(self):
        key = self.path.partition("?")[0]
        if key in self.server.done:
            # Once is what an upload needs; then there is nothing, and it can be made again.
            self.server.done.remove(key)
            self.reply(headers={"Content-Length": str(self.sizes[key])})
        else:
            self.reply(status=404)

    def do_GET(self):
        if "uploads" in self.path:
            return self.reply(b"<ListMultipartUploadsResult></ListMultipartUploadsResult>")
        return self.reply(b"<Error><Code>NoSuchKey</Code></Error>", status=404)

    def do_DELETE(self):
        self.discard(int(self.headers.get("Content-Length") or 0))
        self.reply(status=204)

    def reply(self, body=b"", headers=None, status=200):
        self.send_response_only(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments):
        """Nobody reads it."""


def discard(port):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), DiscardHandler)
    server.lock, server.done = threading.Lock(), set()
    server.serve_forever()


if __name__ == "__main__":
    discard(int(sys.argv[1]))
