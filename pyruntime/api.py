"""The Bot API as Python methods. What is tried again after a failure stands in ``pyruntime.retry``."""

from __future__ import annotations

import os
import ssl
import weakref
from collections.abc import Iterable
from functools import partial
from typing import IO, TYPE_CHECKING, Any

from pyruntime.argument import check_methods, check_seconds, check_text, check_whole_number
from pyruntime.caller import Caller
from pyruntime.download import Destination
from pyruntime.errors import BadReply, NetworkError, ServerError
from pyruntime.method_name import method_name
from pyruntime.retry import pause_s
from pyruntime.transport import (
    DirectTransport,
    Endpoint,
    RequestsTransport,
    TlsContext,
    check_proxy,
    environment_proxy,
)
from pyruntime.upload import InputFile

if TYPE_CHECKING:
    import requests

__all__ = ["ApiClient", "InputFile"]

_POLL_GRACE_S = 10.0

# Not of clients: a bound method that somebody keeps needs no client.
_callers: weakref.WeakSet[Caller] = weakref.WeakSet()


class ApiClient:
    """Call the methods of the Bot API.

    Every method has its snake_case name and takes its parameters by name: ``client.send_message(chat_id=1,
    text="hi")``. The result is the decoded ``result`` of the reply: dict, list, True, int or str. Parameters that are
    None are left out. Where the Bot API takes a file, ``InputFile``, ``pathlib.Path``, bytes or a binary file object is
    uploaded; a str is a file_id or URL.

    Args:
        token: the bot's token. It is in no message, repr or error of this client.
        api_root: URL of the Bot API server; may have a port and a path prefix.
        session: a ``requests.Session`` that carries everything, with its own proxies and certificates. It costs twenty
            times the CPU of the direct road, which is taken by default.
        proxy: URL of a proxy (http, https, socks5, socks5h); by default as HTTPS_PROXY, ALL_PROXY and NO_PROXY say.
            Calls through a proxy are carried by ``requests``.
        ssl_context: TLS context; by default certificate and host name are checked against the system's authorities.
        connect_timeout_s: seconds to get a connection.
        timeout_s: seconds until a reply must be complete.
        upload_timeout_s: the same for a call that uploads, counted from the end of the upload.
        max_reply_bytes: largest reply.
        max_idle_connections: connections kept for the next call; as many more as there are threads may be in use.
        max_retries: how often a failed call is tried again, where that is safe; 0: never.
        max_flood_wait_s: seconds that one call may wait in all because of 429; if Telegram wants more, RetryAfter is
            raised at once. 0: never wait.

    Raises:
        ValueError: an argument is not what it has to be.
        ImportError: a SOCKS proxy, and ``requests[socks]`` is not installed.

    Blocks: a call blocks until it has its reply, its retries included. Waits between attempts end within 100 ms when
        the runner stops (``runner_c.Stopped`` goes through) or, outside a runner, when ``close`` is called (the error
        that caused the wait is raised).

    Thread-safety: any thread; N threads that call use N connections.
    """

    def __init__(
        self,
        token: str,
        api_root: str = "https://api.telegram.org",
        *,
        session: requests.Session | None = None,
        proxy: str | None = None,
        ssl_context: ssl.SSLContext | None = None,
        connect_timeout_s: float = 10.0,
        timeout_s: float = 60.0,
        upload_timeout_s: float = 300.0,
        max_reply_bytes: int = 64 * 1024 * 1024,
        max_idle_connections: int = 512,
        max_retries: int = 3,
        max_flood_wait_s: float = 60.0,
    ) -> None:
        check_text("token", token)
        check_text("api_root", api_root)
        if proxy is not None:
            check_text("proxy", proxy)
        if session is not None:
            check_methods("session", session, "a requests.Session", "request", "close")
        if ssl_context is not None:
            check_methods("ssl_context", ssl_context, "an ssl.SSLContext", "wrap_socket")
        check_seconds("connect_timeout_s", connect_timeout_s)
        check_seconds("timeout_s", timeout_s)
        check_seconds("upload_timeout_s", upload_timeout_s)
        check_seconds("max_flood_wait_s", max_flood_wait_s, may_be_zero=True)
        check_whole_number("max_reply_bytes", max_reply_bytes, 1)
        check_whole_number("max_idle_connections", max_idle_connections, 0)
        check_whole_number("max_retries", max_retries, 0)
        self._endpoint = endpoint = Endpoint(token, api_root)
        if session is None:
            proxy = proxy or environment_proxy(endpoint.root)
        tls = TlsContext(ssl_context)
        full = RequestsTransport(
            endpoint,
            session=session,
            proxy=check_proxy(proxy) if proxy else None,
            tls=tls,
            connect_timeout_s=connect_timeout_s,
            timeout_s=timeout_s,
            max_reply_bytes=max_reply_bytes,
        )
        direct = None
        if session is None and not proxy:
            direct = DirectTransport(
                endpoint,
                tls=tls,
                connect_timeout_s=connect_timeout_s,
                timeout_s=timeout_s,
                max_reply_bytes=max_reply_bytes,
                max_idle=max_idle_connections,
            )
        self._caller = Caller(
            endpoint,
            direct or full,
            full,
            timeout_s=timeout_s,
            upload_timeout_s=upload_timeout_s,
            max_retries=max_retries,
            max_flood_wait_s=max_flood_wait_s,
        )
        _callers.add(self._caller)

    def __repr__(self) -> str:
        return f"ApiClient(bot {self._endpoint.bot_id} at {self._endpoint.root})"

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        method = method_name(name)
        if type(self).call is _OWN_CALL and "call" not in self.__dict__:
            bound = partial(self._caller.call, method)
        else:
            # A client of somebody's own, or a recorder of a test, that wants to see each call.
            bound = partial(self.call, method)
        # Found without this method from now on.
        self.__dict__[name] = bound
        return bound

    def call(self, method: str, /, *unnamed: Any, **parameters: Any) -> Any:
        """Call a method by the Bot API's own name, such as ``sendMessage``; also one that is newer than this library.

        Raises:
            TypeError: a parameter came without its name (`unnamed`).
            ApiError: the server refused it, or is in trouble and stayed so.
            NetworkError: no usable answer.
            OSError: a file to upload cannot be read.
        """
        return self._caller.call(method, *unnamed, **parameters)

    def call_once(self, method: str, /, **parameters: Any) -> Any:
        """Call a method without any retry or wait, in a way that ``interrupt`` can cut. For calls before polling.

        Raises:
            Interrupted: ``interrupt`` was called meanwhile.
            ApiError, NetworkError: as for ``call``; 429 at once.
        """
        return self._caller.call_guarded(method, parameters)

    def get_updates(
        self,
        *,
        offset: int | None = None,
        limit: int | None = None,
        timeout: float | None = None,
        allowed_updates: Iterable[str] | None = None,
    ) -> list[dict[str, Any]]:
        """Fetch updates over a connection kept for that. Never tried again here: whoever polls knows better.

        Args:
            offset: id of the first update to return; older ones are forgotten by the server.
            limit: how many at most, 1 to 100.
            timeout: seconds for which the server waits for an update, 0 to 50. The reply must be here 10 s later.
            allowed_updates: kinds of updates; None keeps what was asked for last.

        Raises:
            Interrupted: ``interrupt`` was called meanwhile.
            ApiError, NetworkError: as for ``call``; 429 at once.

        Blocks: up to ``timeout`` and 10 s; ``interrupt`` ends it within a few milliseconds.
        """
        kinds = None if allowed_updates is None else list(allowed_updates)
        parameters = {"offset": offset, "limit": limit, "timeout": timeout, "allowed_updates": kinds}
        updates = self._caller.fetch_guarded(parameters, (timeout or 0) + _POLL_GRACE_S)
        if not isinstance(updates, list) or not set(map(type, updates)) <= {dict}:
            raise BadReply("getUpdates", "the reply is not a list of updates")
        return updates

    def interrupt(self) -> None:
        """Cut every pending ``get_updates`` and ``call_once``. Harmless when none is pending; later ones work again.

        Thread-safety: any thread.
        """
        self._caller.transport.interrupt()

    def download_file(self, file: str | dict[str, Any] | Any, destination: str | os.PathLike[str] | IO[bytes]) -> int:
        """Download a file in a stream.

        Args:
            file: the result of ``get_file`` (or any object with ``file_path`` or ``file_id``), or a ``file_path``. What
                has no ``file_path`` is asked for by its ``file_id``.
            destination: path, which is replaced when the whole file is there, or a binary file object.

        Returns:
            The number of bytes.

        Raises:
            ApiError, NetworkError: as for ``call``.
            OSError: the destination cannot be written.
            ValueError: there is neither a path nor an id.
        """
        path = file if isinstance(file, str) else _field(file, "file_path")
        if not path:
            file_id = _field(file, "file_id")
            if not file_id:
                raise ValueError("neither file_path nor file_id")
            path = _field(self.call("getFile", file_id=file_id), "file_path")
            if not path:
                raise BadReply("getFile", "the reply has no file_path")
        attempt = 0
        while True:
            with Destination(destination) as target:
                try:
                    # A local Bot API server names files on its own disk.
                    if os.path.isabs(path) and os.path.exists(path):
                        target.copy(path)
                    else:
                        status, reply = self._caller.full.download(path, target.write)
                        if status != 200:
                            raise self._caller.failure("download", {}, status, reply)
                    target.keep()
                    return target.size_bytes
                except (ServerError, NetworkError) as error:
                    if attempt >= self._caller.max_retries or not target.reset():
                        raise
                    if not self._caller.pause(pause_s(attempt, error)):
                        raise
                    attempt += 1

    def close(self) -> None:
        """Close the connections and end the waits between attempts. The client can be used again afterwards.

        Thread-safety: any thread.
        """
        self._caller.close()


# To tell a `call` that was replaced.
_OWN_CALL = ApiClient.call


def _field(source: Any, name: str) -> Any:
    return source.get(name) if isinstance(source, dict) else getattr(source, name, None)


def _renew_callers() -> None:
    for caller in list(_callers):
        caller.renew_after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_callers)
