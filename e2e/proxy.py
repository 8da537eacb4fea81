"""A TCP proxy between backup server and remote: does to a transfer what networks do."""

import contextlib
import queue
import socket
import threading

from devenv.processes import free_port

BLOCK = 1 << 16
BAD_GATEWAY = (
    b"HTTP/1.1 502 Bad Gateway\r\nServer: nginx\r\nContent-Type: text/html\r\n"
    b"Content-Length: 13\r\nConnection: close\r\n\r\n<html></html>"
)


class Proxy:
    """Forwards to ``port`` of this machine; use it as a context manager.

    :param rate: bytes a second towards the client; the server's are taken at full speed
    :param held: whether the client gets no more than the beginning, until it is released
    :param cut_at: bytes of one answer after which it ends, as orderly as a complete one
    :param stall_at: bytes of one answer after which nothing is read from the server any more

    Only answers that are larger than what is small talk (64 kB) are touched.
    """

    def __init__(self, port, rate=None, cut_at=None, stall_at=None, held=False):
        self._port = port
        self._rate, self._cut_at, self._stall_at, self._held = rate, cut_at, stall_at, held
        self._ended = threading.Event()
        self.stalled = threading.Event()

    def __enter__(self):
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_error):
        self.release()
        # Closing alone does not wake the thread that accepts.
        hang_up(self._listener)
        self._listener.close()

    def hold(self):
        """Hold up again what was released; what comes to its end meanwhile is not."""
        self._ended.clear()

    def release(self):
        """Let go of whatever is held up."""
        self._ended.set()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _address = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        with client, contextlib.suppress(ConnectionRefusedError), self._connect() as server:
            if self._stall_at:
                # What the server has sent must be waiting in the server, not in buffers of ours.
                server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BLOCK)
            threading.Thread(target=self._forward, args=(client, server), daemon=True).start()
            try:
                with contextlib.suppress(OSError):
                    if self._rate or self._held:
                        self._answer_slowly(server, client)
                    else:
                        self._answer(server, client)
            finally:
                hang_up(client)
                hang_up(server)

    def _connect(self):
        return socket.create_connection(("127.0.0.1", self._port))

    def _forward(self, client, server):
        with contextlib.suppress(OSError):
            while block := client.recv(BLOCK):
                server.sendall(block)
            server.shutdown(socket.SHUT_WR)

    def _answer(self, server, client):
        passed = 0
        while block := server.recv(BLOCK):
            if self._cut_at and passed + len(block) > self._cut_at:
                client.sendall(block[: self._cut_at - passed])
                return
            client.sendall(block)
            passed += len(block)
            if self._stall_at and passed > self._stall_at:
                self.stalled.set()
                self._ended.wait()
                self._stall_at = None

    def _answer_slowly(self, server, client):
        """Read ahead without limit, so that the server notices nothing."""
        blocks = queue.Queue()
        threading.Thread(target=self._read_ahead, args=(server, blocks), daemon=True).start()
        passed = 0
        while block := blocks.get():
            client.sendall(block)
            passed += len(block)
            if passed > BLOCK:
                self._ended.wait(None if self._held else len(block) / self._rate)

    def _read_ahead(self, server, blocks):
        with contextlib.suppress(OSError):
            while block := server.recv(BLOCK):
                blocks.put(block)
        blocks.put(b"")


class Gate(Proxy):
    """What clients see of a server that is killed and comes back, for one that keeps its content in
    memory: connections break wherever they are, new ones are refused."""

    def __init__(self, port):
        super().__init__(port)
        self._here = free_port()
        self._open = set()

    def __enter__(self):
        self.url = f"http://127.0.0.1:{self._here}"
        self.come_back()
        return self

    def __exit__(self, *_error):
        self.go_down()

    def go_down(self):
        hang_up(self._listener)
        self._listener.close()
        for client in list(self._open):
            hang_up(client)

    def come_back(self):
        self._listener = socket.create_server(("127.0.0.1", self._here))
        threading.Thread(target=self._accept, daemon=True).start()

    def _serve(self, client):
        self._open.add(client)
        try:
            super()._serve(client)
        finally:
            self._open.discard(client)


class Gateway(Proxy):
    """An HTTP proxy in front of a server, as far as it shows when that is not there: nginx answers
    502 where it cannot connect, and where the server ends the connection without an answer."""

    def _serve(self, client):
        try:
            self._connect().close()
        except ConnectionRefusedError:
            with client, contextlib.suppress(OSError):
                client.recv(BLOCK)
                client.sendall(BAD_GATEWAY)
        else:
            super()._serve(client)

    def _answer(self, server, client):
        passed = 0
        with contextlib.suppress(ConnectionError):
            while block := server.recv(BLOCK):
                client.sendall(block)
                passed += len(block)
        if not passed:
            client.sendall(BAD_GATEWAY)


def hang_up(sock):
    """End the connection also for a thread that waits on it: closing alone does not."""
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
