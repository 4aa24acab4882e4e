"""Where the Bot API is: the parsed ``api_root`` together with the token."""

from __future__ import annotations

import re
from urllib.parse import quote, unquote, urlsplit

__all__ = ["Endpoint"]

# Telegram's own test servers are reached by a token that ends in "/test".
_TOKEN = re.compile(r"[A-Za-z0-9:_-]+(/test)?")
_BOT_PATH = re.compile(r"/bot\d+:")
_METHOD = re.compile(r"[A-Za-z0-9_]+")
_USER_AGENT = "runner_c"


class Endpoint:
    """Know the address of the Bot API and write the request heads for it.

    Args:
        token: the bot's token. Surrounding white space is dropped.
        api_root: ``http`` or ``https`` URL, with a port and a path prefix if need be.

    Raises:
        ValueError: the token or the URL cannot be one. The message does not repeat the token.

    Thread-safety: any thread; nothing changes after construction.
    """

    __slots__ = ("_token", "host", "is_tls", "port", "prefix", "root")

    def __init__(self, token: str, api_root: str) -> None:
        token = token.strip()
        if not _TOKEN.fullmatch(token):
            raise ValueError("the bot token does not look like 123456:ABC-DEF")
        if f"/bot{token}" in unquote(api_root) or _BOT_PATH.search(unquote(api_root)):
            raise ValueError("api_root must not hold the token: give what comes before /bot<token>")
        parts = urlsplit(api_root)
        if parts.scheme not in ("http", "https"):
            raise ValueError(f"api_root must start with http:// or https://, got {api_root!r}")
        if parts.username is not None or parts.password is not None:
            raise ValueError("api_root must not carry a user name or a password")
        if parts.query or parts.fragment:
            raise ValueError(f"api_root must not have a query or a fragment, got {api_root!r}")
        if not parts.hostname:
            raise ValueError(f"api_root has no host: {api_root!r}")
        host = parts.hostname
        if not host.isascii():
            try:
                host = host.encode("idna").decode("ascii")
            except UnicodeError:
                raise ValueError(f"api_root has a host that is no valid name: {api_root!r}") from None
        if host.startswith(".") or re.search(r"[\x00-\x20\x7f]", host):
            raise ValueError(f"api_root has a host that is no valid name: {api_root!r}")
        self._token = token
        self.is_tls: bool = parts.scheme == "https"
        self.host: str = host
        self.port: int = (443 if self.is_tls else 80) if parts.port is None else parts.port
        self.prefix: str = quote(parts.path.rstrip("/"), safe="/%:@!$&'()*+,;=~")
        self.root: str = f"{parts.scheme}://{self._authority()}{self.prefix}"

    def __repr__(self) -> str:
        return f"Endpoint({self.root!r})"

    def head(self, method: str) -> bytes:
        """Return the request up to and including ``Content-Length: ``, for a JSON body.

        Raises:
            ValueError: the method is not a plain word.
        """
        _check(method)
        return (
            f"POST {self.prefix}/bot{self._token}/{method} HTTP/1.1\r\n"
            f"Host: {self._authority()}\r\n"
            f"User-Agent: {_USER_AGENT}\r\n"
            "Accept-Encoding: identity\r\n"
            "Content-Type: application/json\r\n"
            "Content-Length: "
        ).encode("ascii")

    def method_url(self, method: str) -> str:
        """Return the URL of a method. It contains the token: never log it.

        Raises:
            ValueError: the method is not a plain word.
        """
        _check(method)
        return f"{self.root}/bot{self._token}/{method}"

    def file_url(self, file_path: str) -> str:
        """Return the URL of a file to download. It contains the token: never log it."""
        return f"{self.root}/file/bot{self._token}/{quote(file_path.lstrip('/'))}"

    def scrub(self, text: str) -> str:
        """Return the text with every occurrence of the token replaced by ``<token>``."""
        return text.replace(self._token, "<token>").replace(quote(self._token, safe=""), "<token>")

    @property
    def bot_id(self) -> str:
        """The part of the token before the colon, which is public."""
        return self._token.partition(":")[0] if ":" in self._token else "?"

    def _authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.is_tls else 80) else f"{host}:{self.port}"


def _check(method: str) -> None:
    """Refuse what would end the path of the request, or the line it stands in."""
    if not isinstance(method, str) or not _METHOD.fullmatch(method):
        raise ValueError(f"not the name of a method: {method!r}")
