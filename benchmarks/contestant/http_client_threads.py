"""Plain threads with the standard library's http.client: the simplest thing that one would write by hand.

Like `bare_threads`: one thread polls, the others answer, no order.
"""

import contextlib
import http.client
import json
import queue
import ssl
import threading
import time
from urllib.parse import urlsplit

import setting

with contextlib.suppress(ImportError):
    import ujson as json

BACKLOG = 1000
ROOT = urlsplit(setting.API_ROOT)


def connect() -> http.client.HTTPConnection:
    """Return a connection to the server."""
    if ROOT.scheme == "https":
        context = ssl.create_default_context(cafile=setting.CA_FILE)
        return http.client.HTTPSConnection(ROOT.hostname, ROOT.port, context=context)
    return http.client.HTTPConnection(ROOT.hostname, ROOT.port)


def call(line: http.client.HTTPConnection, method: str, parameters: dict) -> object:
    """Call a method of the Bot API."""
    path = f"{ROOT.path}/bot{setting.TOKEN}/{method}"
    line.request("POST", path, json.dumps(parameters), {"Content-Type": "application/json"})
    return json.loads(line.getresponse().read())["result"]


def work(updates: "queue.SimpleQueue[dict]") -> None:
    """Answer updates from a queue."""
    line = connect()
    while True:
        message = updates.get()["message"]
        if setting.CPU_LOOPS:
            setting.burn(setting.CPU_LOOPS)
        call(line, "sendMessage", {"chat_id": message["chat"]["id"], "text": message["text"]})


def main() -> None:
    """Poll until the process is ended."""
    updates: queue.SimpleQueue[dict] = queue.SimpleQueue()
    for _ in range(setting.CONCURRENCY):
        threading.Thread(target=work, args=[updates], daemon=True).start()
    line, offset = connect(), 0
    while True:
        for update in call(line, "getUpdates", {"offset": offset, "limit": 100, "timeout": 30}):
            offset = update["update_id"] + 1
            updates.put(update)
        while updates.qsize() > BACKLOG:
            time.sleep(0.001)


if __name__ == "__main__":
    main()
