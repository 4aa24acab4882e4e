"""Answer as the Bot API server behind its nginx does, from outside of the process whose instructions are counted.

    peer.py

Prints its port, and ends with its standard input. It knows getUpdates, which never waits and always finds a full batch
behind the offset, and sendMessage.
"""

import json
import socket
import sys
import threading
from typing import Any

from update import BOT, FIRST_UPDATE_ID, make_update

CHATS = 500
REPLIES_PER_SECOND = 50
"""After how many replies the date in their heads moves on."""

HEAD = (
    "HTTP/1.1 200 OK\r\n"
    "Server: nginx/1.18.0\r\n"
    "Date: Sat, 22 Nov 2025 11:{:02d}:{:02d} GMT\r\n"
    "Content-Type: application/json\r\n"
    "Content-Length: {}\r\n"
    "Connection: keep-alive\r\n"
    "Strict-Transport-Security: max-age=31536000; includeSubDomains; preload\r\n"
    "Access-Control-Allow-Origin: *\r\n"
    "Access-Control-Allow-Methods: GET, POST, OPTIONS\r\n"
    "Access-Control-Expose-Headers: Content-Length,Content-Type,Date,Server,Connection\r\n"
    "\r\n"
)


def get_updates(parameters: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the batch behind the offset."""
    first = max(0, (parameters.get("offset") or FIRST_UPDATE_ID) - FIRST_UPDATE_ID)
    return [make_update(number, CHATS) for number in range(first, first + parameters["limit"])]


def send_message(parameters: dict[str, Any], replies: int) -> dict[str, Any]:
    """Return the message as it was sent."""
    names = {"first_name": "Olga", "last_name": "Petrova", "username": "olga_petrova"}
    return {
        "message_id": 100_000 + replies,
        "from": BOT,
        "chat": {"id": parameters["chat_id"], **names, "type": "private"},
        "date": 1_700_000_000 + replies,
        "text": parameters["text"],
    }


def serve(connection: socket.socket) -> None:
    """Answer the requests of a connection until it ends."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    replies = 0
    with connection, connection.makefile("rb") as requests:
        while line := requests.readline():
            method = line.split()[1].rpartition(b"/")[2]
            length = 0
            while (field := requests.readline()) != b"\r\n":
                name, _, value = field.partition(b":")
                if name.lower() == b"content-length":
                    length = int(value)
            parameters = json.loads(requests.read(length))
            replies += 1
            result = get_updates(parameters) if method == b"getUpdates" else send_message(parameters, replies)
            body = json.dumps({"ok": True, "result": result}, separators=(",", ":")).encode()
            minute, second = divmod(replies // REPLIES_PER_SECOND % 3600, 60)
            # In one piece, so that the other side can read it in one.
            connection.sendall(HEAD.format(minute, second, len(body)).encode() + body)


def main() -> None:
    """Serve until the standard input ends."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(listener.getsockname()[1], flush=True)

        def accept() -> None:
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=serve, args=(connection,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        sys.stdin.read()


if __name__ == "__main__":
    main()
