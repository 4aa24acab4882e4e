"""A server that does on a raw socket exactly what a test tells it, also what no decent server does."""

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pyruntime.transport import DirectTransport, Endpoint

TOKEN = "123456:SECRET-token_42"
OK_BODY = b'{"ok":true,"result":true}'
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 25\r\n\r\n" + OK_BODY


class Peer:
    """The server's end of one connection."""

    def __init__(self, sock: socket.socket, number: int, server: "RawServer") -> None:
        self.sock = sock
        self.number = number
        self._server = server
        self._buffer = b""

    def read_request(self) -> bytes:
        """Return the body of the next whole request; raise EOFError if the client closes instead."""
        while b"\r\n\r\n" not in self._buffer:
            self._fill()
        head, _, rest = self._buffer.partition(b"\r\n\r\n")
        length = next(
            int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")
        )
        while len(rest) < length:
            self._buffer = b""
            self._fill()
            rest += self._buffer
        self._buffer = rest[length:]
        self._server.note(self.number, head, rest[:length])
        return rest[:length]

    def _fill(self) -> None:
        piece = self.sock.recv(65536)
        if not piece:
            raise EOFError
        self._buffer += piece

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def send_bytewise(self, data: bytes) -> None:
        for i in range(len(data)):
            self.sock.sendall(data[i : i + 1])

    def close(self) -> None:
        self.sock.close()

    def reset(self) -> None:
        """End the connection with RST instead of FIN."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def wait_for_client_to_close(self) -> None:
        with contextlib.suppress(OSError):
            while self.sock.recv(65536):
                pass


class RawServer:
    """Accept connections and run the script for each in a thread of its own."""

    def __init__(self, script: Callable[[Peer], object], tls: ssl.SSLContext | None = None) -> None:
        self._script = script
        self._tls = tls
        self._lock = threading.Lock()
        self._socks: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._is_stopping = False
        self.failures: list[BaseException] = []
        self.requests: list[tuple[int, bytes, bytes]] = []
        self.sessions_reused: list[bool] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port: int = self._listener.getsockname()[1]
        self._acceptor = threading.Thread(target=self._accept)
        self._acceptor.start()

    @property
    def connection_count(self) -> int:
        return len(self._socks)

    @property
    def root(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    def note(self, number: int, head: bytes, body: bytes) -> None:
        with self._lock:
            self.requests.append((number, head, body))

    def _accept(self) -> None:
        while True:
            sock, _ = self._listener.accept()
            if self._is_stopping:
                sock.close()
                return
            with self._lock:
                self._socks.append(sock)
                number = len(self._socks)
                thread = threading.Thread(target=self._run, args=(sock, number))
                self._threads.append(thread)
            thread.start()

    def _run(self, sock: socket.socket, number: int) -> None:
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls is not None:
                sock = self._tls.wrap_socket(sock, server_side=True)
                with self._lock:
                    self._socks[number - 1] = sock
                    self.sessions_reused.append(bool(sock.session_reused))
            self._script(Peer(sock, number, self))
        except (EOFError, OSError):
            # The client went away, which is its good right.
            pass
        except BaseException as error:
            self.failures.append(error)
        finally:
            sock.close()

    def stop(self) -> None:
        self._is_stopping = True
        socket.create_connection(("127.0.0.1", self.port)).close()
        self._acceptor.join()
        self._listener.close()
        with self._lock:
            socks = list(self._socks)
        for sock in socks:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(sock, socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for sock in socks:
            sock.close()
        assert not self.failures


@pytest.fixture
def serve() -> Iterator[Callable[..., RawServer]]:
    """Start servers with the given script; they are stopped after the test."""
    servers: list[RawServer] = []

    def start(script: Callable[[Peer], object], tls: ssl.SSLContext | None = None) -> RawServer:
        servers.append(RawServer(script, tls))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def connect() -> Iterator[Callable[..., DirectTransport]]:
    """Make transports to servers; they are closed after the test."""
    made: list[DirectTransport] = []

    def make(server: RawServer | str, **options: Any) -> DirectTransport:
        root = server if isinstance(server, str) else server.root
        made.append(DirectTransport(Endpoint(TOKEN, root), **options))
        return made[-1]

    yield make
    for transport in made:
        transport.close()


@pytest.fixture
def ok() -> bytes:
    """A plain good reply."""
    return OK


@pytest.fixture
def answer_all(ok: bytes) -> Callable[[Peer], None]:
    """A script that answers every request with a plain good reply."""

    def script(peer: Peer) -> None:
        while True:
            peer.read_request()
            peer.send(ok)

    return script
