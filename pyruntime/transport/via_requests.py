"""Calls that ``requests`` carries: through proxies, over a session of the user's, uploads and downloads.

It costs twenty times the CPU of a direct call and can do more. Errors are translated here: those of ``requests`` carry
the URL and so the token, which is why none of them is ever chained.
"""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterator
from time import monotonic
from typing import TYPE_CHECKING, Any

from pyruntime.errors import BadReply, ConnectFailed, ConnectionLost, Interrupted, NetworkError, ReadTimeout
from pyruntime.transport.connection import reason_of
from pyruntime.transport.endpoint import Endpoint
from pyruntime.transport.guard import Guard
from pyruntime.transport.tls import TlsContext

if TYPE_CHECKING:
    import requests

    from pyruntime.upload import MultipartBody

__all__ = ["RequestsTransport"]

_PIECE_BYTES = 64 * 1024
_JSON = {"Content-Type": "application/json"}


class RequestsTransport:
    """Carry calls, uploads and downloads through ``requests``.

    Args:
        endpoint: where to.
        session: session to use as it is, with its own proxies, certificates and adapters; by default one of our own.
        proxy: proxy for our own session.
        tls: TLS context for our own session.
        connect_timeout_s: seconds to get a connection.
        timeout_s: seconds until a reply must be complete.
        max_reply_bytes: largest body of a reply; downloads have no limit.

    Thread-safety: any thread.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        session: requests.Session | None = None,
        proxy: str | None = None,
        tls: TlsContext | None = None,
        connect_timeout_s: float = 10.0,
        timeout_s: float = 60.0,
        max_reply_bytes: int = 64 * 1024 * 1024,
    ) -> None:
        self._endpoint = endpoint
        self._proxy = proxy
        self._tls = tls or TlsContext()
        self._connect_timeout_s = connect_timeout_s
        self._timeout_s = timeout_s
        self._max_reply_bytes = max_reply_bytes
        # Guards the session of our own and the set of calls that interrupt() cuts. Innermost lock.
        self._lock = threading.Lock()
        self._session = session
        self._is_session_ours = session is None
        self._pending: set[Guard] = set()

    def call(self, method: str, body: bytes) -> tuple[int, bytes]:
        """Send a JSON body to a method and return the HTTP status and body of the reply.

        Raises:
            NetworkError: no usable reply.
        """
        return self._post(method, body, _JSON, self._timeout_s)

    def call_guarded(self, method: str, body: bytes, timeout_s: float | None = None) -> tuple[int, bytes]:
        """Do as ``call`` does, in a way that ``interrupt`` can cut.

        The call runs in a thread of its own, since there is no way to reach the socket inside a session of any kind.
        A cut gives control back at once and leaves that thread to end with its request, whose reply is thrown away:
        at the latest after ``timeout_s``. For getUpdates nothing is lost by that: updates are confirmed by the offset
        of the next poll only, and Telegram ends an old poll when a new one comes.

        Raises:
            Interrupted: ``interrupt`` was called meanwhile.
            NetworkError: no usable reply.
        """
        limit_s = self._timeout_s if timeout_s is None else timeout_s
        ended = threading.Event()
        outcome: list[tuple[int, bytes] | BaseException] = []

        def post() -> None:
            try:
                outcome.append(self._post(method, body, _JSON, limit_s))
            except BaseException as error:
                outcome.append(error)
            ended.set()

        guard = Guard()
        guard.watch_wait(ended.set)
        with self._lock:
            self._pending.add(guard)
        try:
            threading.Thread(target=post, name="pyruntime-requests", daemon=True).start()
            ended.wait()
        finally:
            with self._lock:
                self._pending.discard(guard)
        if not outcome:
            raise Interrupted(method, "interrupted")
        if isinstance(outcome[0], BaseException):
            raise outcome[0]
        return outcome[0]

    def interrupt(self) -> None:
        """Cut every pending ``call_guarded``. Harmless when none is pending; later ones work again."""
        with self._lock:
            pending = list(self._pending)
        for guard in pending:
            guard.cut()

    def upload(self, method: str, body: MultipartBody, timeout_s: float) -> tuple[int, bytes]:
        """Send a multipart body as a stream and return the HTTP status and body of the reply.

        Args:
            timeout_s: seconds for which the server may take nothing, and until the reply must be complete after that.

        Raises:
            OSError: a file could not be read.
            NetworkError: no usable reply.
        """
        body.failure = None
        try:
            return self._post(method, body, {"Content-Type": body.content_type}, timeout_s)
        except NetworkError:
            if body.failure is None:
                raise
        raise body.failure

    def download(self, file_path: str, write: Callable[[bytes], object]) -> tuple[int, bytes]:
        """Read a file piece by piece.

        Args:
            file_path: as getFile gave it.
            write: takes the pieces of the file; what it raises goes through.

        Returns:
            HTTP status and, if that is not 200, the body of the error reply.

        Raises:
            NetworkError: no usable reply, or the file broke off.
        """
        response = self._open("GET", "download", self._endpoint.file_url(file_path), None, {}, self._timeout_s)
        with response:
            if response.status_code != 200:
                return response.status_code, self._read(response, "download", monotonic() + self._timeout_s)
            for piece in self._pieces(response, "download"):
                write(piece)
        return 200, b""

    def close(self) -> None:
        """Close the connections of our own session. Later calls open new ones."""
        with self._lock:
            session = self._session if self._is_session_ours else None
        if session is not None:
            session.close()

    def renew_after_fork(self) -> None:
        """Give up what was inherited, in the child of a fork."""
        self._lock = threading.Lock()
        self._pending = set()
        if self._is_session_ours:
            self._session = None

    def _post(self, method: str, data: Any, headers: dict[str, str], timeout_s: float) -> tuple[int, bytes]:
        deadline = monotonic() + timeout_s
        response = self._open("POST", method, self._endpoint.method_url(method), data, headers, timeout_s)
        with response:
            if not isinstance(data, bytes):
                # The time of a reply to an upload counts from the end of the upload.
                deadline = monotonic() + timeout_s
            return response.status_code, self._read(response, method, deadline)

    def _open(
        self, verb: str, method: str, url: str, data: Any, headers: dict[str, str], timeout_s: float
    ) -> requests.Response:
        """Send a request and return the reply, of which only the head has been read."""
        session = self._get_session()
        failure: NetworkError
        try:
            return session.request(
                verb,
                url,
                data=data,
                headers=headers,
                timeout=(self._connect_timeout_s, timeout_s),
                stream=True,
                allow_redirects=False,
            )
        except Exception as error:
            failure = self._explain(error, method)
        # Outside the handler, so that the error of requests does not become the context of ours.
        raise failure

    def _read(self, response: requests.Response, method: str, deadline: float) -> bytes:
        """Return the body of a reply."""
        body = bytearray()
        for piece in self._pieces(response, method):
            body += piece
            if len(body) > self._max_reply_bytes:
                raise BadReply(method, f"the reply is larger than {self._max_reply_bytes} bytes")
            if monotonic() > deadline:
                raise ReadTimeout(method, "no complete reply in time")
        return bytes(body)

    def _pieces(self, response: requests.Response, method: str) -> Iterator[bytes]:
        """Yield the body of a reply piece by piece."""
        pieces = response.iter_content(_PIECE_BYTES)
        while True:
            failure: NetworkError
            try:
                piece = next(pieces, b"")
            except Exception as error:
                failure = self._explain(error, method)
            else:
                if not piece:
                    return
                yield piece
                continue
            raise failure

    def _get_session(self) -> requests.Session:
        with self._lock:
            if self._session is None:
                self._session = _new_session(self._proxy, self._tls.get())
            return self._session

    def _explain(self, error: Exception, method: str) -> NetworkError:
        """Translate an error of requests, or of what stands in for it.

        Raises:
            Exception: the given one, if it is not about the network.
        """
        import http.client

        import requests
        import urllib3.exceptions as low

        cause = _innermost(error)
        detail = f"{type(cause).__name__}: {self._endpoint.scrub(str(cause))}"
        # In the words of the direct road, so that one cause reads alike on both.
        place = f"cannot connect to {self._endpoint.root}{' through the proxy' if self._proxy else ''}: "
        reason = self._endpoint.scrub(reason_of(cause)) if isinstance(cause, OSError) else detail
        nothing_sent = (low.NewConnectionError, low.ConnectTimeoutError, low.ProxyError, ssl.SSLCertVerificationError)
        if isinstance(error, (requests.ConnectTimeout, requests.exceptions.ProxyError)) or _has(error, nothing_sent):
            return ConnectFailed(method, place + reason, False)
        if isinstance(error, (requests.Timeout, low.TimeoutError)) or _has(error, (low.ReadTimeoutError,)):
            return ReadTimeout(method, "no complete reply in time")
        broken = (requests.exceptions.ChunkedEncodingError, requests.exceptions.ContentDecodingError)
        if isinstance(error, broken) or type(cause) in (http.client.BadStatusLine, http.client.LineTooLong):
            return BadReply(method, f"the reply was cut short or is garbage: {detail}")
        if isinstance(error, requests.exceptions.InvalidSchema) and "SOCKS" in str(error):
            return ConnectFailed(method, 'a SOCKS proxy needs one more package: pip install "requests[socks]"', False)
        if isinstance(error, (ValueError, requests.exceptions.InvalidSchema)) and isinstance(error, IOError):
            return ConnectFailed(method, place + reason, False)
        if isinstance(error, (OSError, low.HTTPError)):
            return ConnectionLost(method, f"connection lost: {detail}")
        raise error


def _new_session(proxy: str | None, context: ssl.SSLContext) -> requests.Session:
    """Return a session that knows one proxy, or none, and nothing else of the environment."""
    import requests
    from requests.adapters import HTTPAdapter

    class Adapter(HTTPAdapter):
        """Use the client's TLS context as it is, without the certificates that requests would add to it."""

        def build_connection_pool_key_attributes(self, *args: Any, **options: Any) -> Any:
            host, _ = super().build_connection_pool_key_attributes(*args, **options)
            return host, {"ssl_context": context}

        def cert_verify(self, *args: Any, **options: Any) -> None:
            """Leave the connection as the context wants it."""

    session = requests.Session()
    session.trust_env = False
    if proxy is not None:
        session.proxies = {"http": proxy, "https": proxy}
    adapter = Adapter(pool_maxsize=64)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return session


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and those it wraps, as requests and urllib3 do it."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        reason = getattr(current, "reason", None)
        wrapped = [part for part in (reason, *current.args) if isinstance(part, BaseException)]
        current = wrapped[0] if wrapped else current.__cause__


def _innermost(error: BaseException) -> BaseException:
    return list(_chain(error))[-1]


def _has(error: BaseException, kinds: tuple[type[BaseException], ...]) -> bool:
    return any(isinstance(link, kinds) for link in _chain(error))
