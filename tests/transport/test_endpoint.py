"""Addresses: what an api_root may be, and that the token never shows."""

import pickle

import pytest

from pyruntime.transport import Endpoint

TOKEN = "123456:SECRET-token_42"


@pytest.mark.parametrize(
    ("root", "host", "port", "is_tls", "clean"),
    [
        ("https://api.telegram.org", "api.telegram.org", 443, True, "https://api.telegram.org"),
        ("https://api.telegram.org/", "api.telegram.org", 443, True, "https://api.telegram.org"),
        ("HTTPS://API.telegram.org:443", "api.telegram.org", 443, True, "https://api.telegram.org"),
        ("http://localhost:8081", "localhost", 8081, False, "http://localhost:8081"),
        ("http://10.0.0.1/bots/api/", "10.0.0.1", 80, False, "http://10.0.0.1/bots/api"),
        ("http://[::1]:8081/x", "::1", 8081, False, "http://[::1]:8081/x"),
        ("https://bücher.example", "xn--bcher-kva.example", 443, True, "https://xn--bcher-kva.example"),
        ("http://h/a b\u00e9", "h", 80, False, "http://h/a%20b%C3%A9"),
    ],
)
def test_an_api_root_is_taken_apart(root: str, host: str, port: int, is_tls: bool, clean: str) -> None:
    endpoint = Endpoint(TOKEN, root)
    assert (endpoint.host, endpoint.port, endpoint.is_tls, endpoint.root) == (host, port, is_tls, clean)
    assert endpoint.method_url("getMe") == f"{clean}/bot{TOKEN}/getMe"
    assert endpoint.head("getMe").endswith(b"\r\nContent-Length: ")


@pytest.mark.parametrize(
    "root",
    ["", "api.telegram.org", "ftp://x", "http://", "http:///x", "https://u:p@x", "https://x?a=b", "https://x#a",
     "http://x:port", "http://x:99999", "http://a b", "http://.x", "http://x\r\nHost: y"],
)  # fmt: skip
def test_what_is_no_api_root_is_refused(root: str) -> None:
    with pytest.raises(ValueError, match=r"api_root|port|Port|IPv6"):
        Endpoint(TOKEN, root)


@pytest.mark.parametrize("root", [f"http://x/bot{TOKEN}", "http://x/bot77%3Aother", f"ftp://x/bot{TOKEN}"])
def test_an_api_root_with_a_token_is_refused_without_repeating_it(root: str) -> None:
    with pytest.raises(ValueError, match=r"^api_root must not hold the token"):
        Endpoint(TOKEN, root)


@pytest.mark.parametrize("token", [TOKEN, f" {TOKEN}\n", "1:a", "1:a/test"])
def test_a_token_is_taken(token: str) -> None:
    assert Endpoint(token, "http://x").method_url("m") == f"http://x/bot{token.strip()}/m"


@pytest.mark.parametrize("token", ["", "  ", "a b", "1:a/../x", "1:a\r\nX", "1:ä", "1:a?b", "1:a#b", "1:a%2f", "1:a/"])
def test_what_cannot_be_a_token_is_refused_without_repeating_it(token: str) -> None:
    with pytest.raises(ValueError, match=r"^the bot token does not look like 123456:ABC-DEF$"):
        Endpoint(token, "http://x")


@pytest.mark.parametrize("method", ["", "get Me", "getMe?a=b", "getMe HTTP/1.1\r\nX: y", "../getMe", "getMé"])
def test_what_cannot_be_a_method_is_refused(method: str) -> None:
    endpoint = Endpoint(TOKEN, "http://x")
    for make in (endpoint.head, endpoint.method_url):
        with pytest.raises(ValueError, match="not the name of a method"):
            make(method)


def test_the_token_is_scrubbed_however_it_is_written() -> None:
    endpoint = Endpoint(TOKEN, "http://x")
    assert endpoint.scrub(f"GET /bot{TOKEN}/x /bot123456%3ASECRET-token_42/x") == "GET /bot<token>/x /bot<token>/x"
    assert "SECRET" not in repr(endpoint)
    assert endpoint.bot_id == "123456"
    assert Endpoint("SECRET", "http://x").bot_id == "?"


def test_a_file_path_is_quoted() -> None:
    url = Endpoint(TOKEN, "http://x").file_url("/photos/a b?c#d%.jpg")
    assert url == f"http://x/file/bot{TOKEN}/photos/a%20b%3Fc%23d%25.jpg"


def test_an_endpoint_survives_pickling() -> None:
    endpoint = pickle.loads(pickle.dumps(Endpoint(TOKEN, "http://x/y")))
    assert endpoint.method_url("m") == f"http://x/y/bot{TOKEN}/m"
