"""Plain threads on raw sockets: what the machine gives without an engine, and no bot to build on.

One thread polls, the others answer, each over a keep-alive connection of its own. There is no order: any thread takes
the next update. Only with SESSION=1 each chat belongs to one thread, which keeps its order and its count. Nothing is
checked or tried again, and replies are not decoded.
"""

import contextlib
import json
import queue
import socket
import ssl
import threading
import time
from urllib.parse import urlsplit

import setting

with contextlib.suppress(ImportError):
    import ujson as json

BACKLOG = 1000
ROOT = urlsplit(setting.API_ROOT)
TLS = ssl.create_default_context(cafile=setting.CA_FILE) if ROOT.scheme == "https" else None


class Line:
    """One keep-alive connection."""

    def __init__(self) -> None:
        self._sock = socket.create_connection((ROOT.hostname, ROOT.port))
        self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if TLS is not None:
            self._sock = TLS.wrap_socket(self._sock, server_hostname=ROOT.hostname)

    def call(self, head: bytes, body: bytes) -> bytes:
        """Send a request, return the body of the reply."""
        self._sock.sendall(b"%s%d\r\n\r\n%s" % (head, len(body), body))
        reply = self._sock.recv(65536)
        while (end := reply.find(b"\r\n\r\n")) < 0:
            reply += self._receive()
        place = reply.index(b"ontent-Length:", 0, end) + 14
        stop = reply.find(b"\r", place)
        length = end + 4 + int(reply[place:stop])
        if len(reply) < length:
            parts = [reply]
            missing = length - len(reply)
            while missing > 0:
                parts.append(self._receive())
                missing -= len(parts[-1])
            reply = b"".join(parts)
        return reply[end + 4 :]

    def _receive(self) -> bytes:
        data = self._sock.recv(262144)
        if not data:
            raise ConnectionError("the server closed the connection")
        return data


def head(method: str) -> bytes:
    """Return the head of a request for a method, up to the length."""
    return (
        f"POST {ROOT.path}/bot{setting.TOKEN}/{method} HTTP/1.1\r\nHost: {ROOT.netloc}\r\n"
        "Content-Type: application/json\r\nContent-Length: "
    ).encode()


def work(updates: "queue.SimpleQueue[dict]") -> None:
    """Answer updates from a queue."""
    line = Line()
    send_message = head("sendMessage")
    counts: dict[int, int] = {}
    while True:
        message = updates.get()["message"]
        chat_id, text = message["chat"]["id"], message["text"]
        if setting.CPU_LOOPS:
            setting.burn(setting.CPU_LOOPS)
        if setting.SESSION:
            counts[chat_id] = counts.get(chat_id, 0) + 1
            text = f"{text} {counts[chat_id]}"
        line.call(send_message, b'{"chat_id":%d,"text":"%s"}' % (chat_id, text.encode()))


def main() -> None:
    """Poll until the process is ended."""
    queues = [queue.SimpleQueue() for _ in range(setting.CONCURRENCY if setting.SESSION else 1)]
    for number in range(setting.CONCURRENCY):
        threading.Thread(target=work, args=[queues[number % len(queues)]], daemon=True).start()
    line, get_updates, offset = Line(), head("getUpdates"), 0
    owners: dict[int, queue.SimpleQueue] = {}
    while True:
        reply = line.call(get_updates, b'{"offset":%d,"limit":100,"timeout":30}' % offset)
        for update in json.loads(reply)["result"]:
            offset = update["update_id"] + 1
            if setting.SESSION:
                chat_id = update["message"]["chat"]["id"]
                if chat_id not in owners:
                    owners[chat_id] = queues[len(owners) % len(queues)]
                owners[chat_id].put(update)
            else:
                queues[0].put(update)
        while sum(waiting.qsize() for waiting in queues) > BACKLOG:
            time.sleep(0.001)


if __name__ == "__main__":
    main()
