"""A webhook to deliver to."""

import ssl
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import ujson


class Hook:
    """A webhook that answers as it is told: each request gets `answer(update)`, a status with headers and body.

    With paths of certificate and key it speaks TLS.
    """

    def __init__(self, certificate: tuple[str, str] | None = None) -> None:
        self.answer: Callable[[dict[str, Any]], tuple[int, dict[str, str], bytes]] = lambda update: (200, {}, b"")
        self.seen: list[tuple[int, float]] = []
        self.heads: list[dict[str, str]] = []
        self.addresses: set[object] = set()
        self.running = 0
        self.most_running = 0
        self.changed = threading.Condition()
        hook = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if len(body) != int(self.headers["Content-Length"]):
                    return
                update = ujson.loads(body)
                with hook.changed:
                    hook.running += 1
                    hook.most_running = max(hook.most_running, hook.running)
                    hook.seen.append((update["update_id"], time.monotonic()))
                    hook.heads.append({"path": self.path, **dict(self.headers)})
                    hook.addresses.add(self.client_address)
                    hook.changed.notify_all()
                status, headers, content = hook.answer(update)
                with hook.changed:
                    hook.running -= 1
                if not status:
                    self.close_connection = True
                    return
                self.send_response(status)
                for name, value in {"Content-Length": str(len(content)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            request_queue_size = 512
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                pass  # a client that goes away is what some tests are about

        self._server = Server(("127.0.0.1", 0), Handler)
        scheme = "http"
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
            scheme = "https"
        self.url = f"{scheme}://127.0.0.1:{self._server.server_address[1]}/hook"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def ids(self) -> list[int]:
        with self.changed:
            return [update_id for update_id, _ in self.seen]

    def wait_for(self, count: int) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.seen) >= count, 20), self.seen
