"""Reading replies: whatever the pieces, the result is the same; whatever the garbage, the error is BadReply."""

from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyruntime.errors import BadReply
from pyruntime.transport.reply import MAX_HEAD_BYTES, _Reader, read_reply
from runner_c import plain_reply

LIMIT = 1024 * 1024


def pieces(data: bytes, cuts: list[int]) -> tuple[bytes, Callable[[int], bytes]]:
    """Cut data at the given places; return the first piece and what gives the others and then the end."""
    places = sorted({cut for cut in cuts if 0 < cut < len(data)})
    parts = [data[start:end] for start, end in zip([0, *places], [*places, len(data)], strict=True)]
    rest: Iterator[bytes] = iter(parts[1:])
    return parts[0], lambda wanted: next(rest, b"")


def read(data: bytes, cuts: list[int] | None = None, limit: int = LIMIT) -> tuple[int, bytes, bool]:
    first, receive = pieces(data, cuts or [])
    return read_reply(first, receive, limit)


def bytewise(data: bytes) -> list[int]:
    return list(range(len(data)))


HEAD = b"HTTP/1.1 200 OK\r\n"
VALID = {
    "content length": (HEAD + b"Content-Length: 5\r\n\r\nhello", (200, b"hello", True)),
    "no body": (HEAD + b"Content-Length: 0\r\n\r\n", (200, b"", True)),
    "headers in capitals": (HEAD + b"CONTENT-LENGTH: 5\r\nCONNECTION: KEEP-ALIVE\r\n\r\nhello", (200, b"hello", True)),
    "no space after the colon": (HEAD + b"content-length:5\r\n\r\nhello", (200, b"hello", True)),
    "spaces around the value": (HEAD + b"Content-Length: \t 5 \t\r\n\r\nhello", (200, b"hello", True)),
    "the same length twice": (HEAD + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", (200, b"hello", True)),
    "the same length twice in one": (HEAD + b"Content-Length: 5, 5\r\n\r\nhello", (200, b"hello", True)),
    "length with leading zeros": (HEAD + b"Content-Length: 0005\r\n\r\nhello", (200, b"hello", True)),
    "length in another header": (
        HEAD + b"X-Content-Length: 9\r\nX: content-length: 9\r\nContent-Length: 5\r\n\r\nhello",
        (200, b"hello", True),
    ),
    "server closes": (HEAD + b"Connection: close\r\nContent-Length: 5\r\n\r\nhello", (200, b"hello", False)),
    "server closes, in a list": (
        HEAD + b"Connection: Upgrade, Close\r\nContent-Length: 5\r\n\r\nhello",
        (200, b"hello", False),
    ),
    "keep-alive in a list": (
        HEAD + b"Connection: keep-alive, x\r\nContent-Length: 5\r\n\r\nhello",
        (200, b"hello", True),
    ),
    "HTTP/1.0": (b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", (200, b"hello", False)),
    "HTTP/1.0 that stays": (
        b"HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 5\r\n\r\nhello",
        (200, b"hello", True),
    ),
    "body until close": (HEAD + b"\r\nhello", (200, b"hello", False)),
    "HTTP/1.0 until close": (b"HTTP/1.0 200 OK\r\n\r\nhello", (200, b"hello", False)),
    "no reason": (b"HTTP/1.1 200\r\nContent-Length: 5\r\n\r\nhello", (200, b"hello", True)),
    "empty reason": (b"HTTP/1.1 200 \r\nContent-Length: 5\r\n\r\nhello", (200, b"hello", True)),
    "another status": (b"HTTP/1.1 429 Slow down\r\nContent-Length: 5\r\n\r\nhello", (429, b"hello", True)),
    "204 has no body": (b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", (204, b"", True)),
    "line feeds only": (b"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello", (200, b"hello", True)),
    "folded header": (HEAD + b"X: a\r\n b\r\n\tc\r\nContent-Length: 5\r\n\r\nhello", (200, b"hello", True)),
    "more than announced": (HEAD + b"Content-Length: 5\r\n\r\nhello world", (200, b"hello", False)),
    "interim replies": (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
        + HEAD
        + b"Content-Length: 5\r\n\r\nhello",
        (200, b"hello", True),
    ),
    "lines that are no fields": (
        HEAD + b" x: y\r\nnonsense\r\n: z\r\nContent-Length: 5\r\n\r\nhello",
        (200, b"hello", True),
    ),
    "chunked": (
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n",
        (200, b"hello", True),
    ),
    "chunked, CHUNKED": (HEAD + b"transfer-encoding:CHUNKED\r\n\r\n5\r\nhello\r\n0\r\n\r\n", (200, b"hello", True)),
    "chunks with extensions": (
        HEAD + b'Transfer-Encoding: chunked\r\n\r\n3;a=b\r\nhel\r\n02 ; c="d;\xff"\r\nlo\r\n0;end\r\n\r\n',
        (200, b"hello", True),
    ),
    "chunks with trailers": (
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: 1\r\nContent-Length: 9\r\n\r\n",
        (200, b"hello", True),
    ),
    "chunk sizes in hex": (
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n0000A\r\nhellohello\r\nb\r\nhello hello\r\n0\r\n\r\n",
        (200, b"hellohellohello hello", True),
    ),
    "chunks that end in line feeds": (
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\nhello\n0\n\n",
        (200, b"hello", True),
    ),
    "chunked and a length": (
        HEAD + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        (200, b"hello", False),
    ),
    "chunked and close": (
        HEAD + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        (200, b"hello", False),
    ),
}

GARBAGE = {
    "nothing after one byte": b"H",
    "another protocol": b"SSH-2.0-OpenSSH_9.2\r\n",
    "HTTP/2": b"HTTP/2 200\r\n\r\n",
    "HTTP/1.2": b"HTTP/1.2 200 OK\r\n\r\n",
    "lower case": b"http/1.1 200 ok\r\n\r\n",
    "status of two digits": b"HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n",
    "status of four digits": b"HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n",
    "status zero": b"HTTP/1.1 000 OK\r\nContent-Length: 0\r\n\r\n",
    "no status": b"HTTP/1.1\r\n\r\n",
    "head cut short": HEAD + b"Content-Len",
    "body cut short": HEAD + b"Content-Length: 5\r\n\r\nhell",
    "chunk cut short": HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhel",
    "last chunk missing": HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    "trailers cut short": HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: 1\r\n",
    "chunk longer than it says": HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\nhello\r\n0\r\n\r\n",
    "chunk size no number": HEAD + b"Transfer-Encoding: chunked\r\n\r\nx\r\nhello\r\n0\r\n\r\n",
    "chunk size negative": HEAD + b"Transfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n0\r\n\r\n",
    "chunk size empty": HEAD + b"Transfer-Encoding: chunked\r\n\r\n\r\nhello\r\n0\r\n\r\n",
    "chunk size endless": HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"0" * 5000,
    "chunk of an exabyte": HEAD + b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffff\r\nhello",
    "two lengths": HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    "two lengths in one": HEAD + b"Content-Length: 5, 6\r\n\r\nhello",
    "length negative": HEAD + b"Content-Length: -5\r\n\r\nhello",
    "length with a sign": HEAD + b"Content-Length: +5\r\n\r\nhello",
    "length with an underscore": HEAD + b"Content-Length: 1_0\r\n\r\nhellohello",
    "length no number": HEAD + b"Content-Length: five\r\n\r\nhello",
    "length empty": HEAD + b"Content-Length: \r\n\r\nhello",
    "length in other digits": HEAD + b"Content-Length: \xd9\xa5\r\n\r\nhello",
    "length of an exabyte": HEAD + b"Content-Length: 999999999999999999\r\n\r\nhello",
    "length of a thousand digits": HEAD + b"Content-Length: " + b"9" * 1000 + b"\r\n\r\nhello",
    "unknown coding": HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "coding twice": HEAD + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "switching protocols": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
    "only an interim reply": b"HTTP/1.1 100 Continue\r\n\r\n",
    "endless head": HEAD + b"X: " + b"a" * (MAX_HEAD_BYTES + 10),
    "too much head": HEAD + b"X: " + b"a" * MAX_HEAD_BYTES + b"\r\nContent-Length: 1\r\n\r\n",
    "endless trailers": HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + b"X: aaaaaaaaaaaaaa\r\n" * 5000,
}


@pytest.mark.parametrize("name", VALID)
def test_a_valid_reply_is_read_in_one_piece(name: str) -> None:
    data, expected = VALID[name]
    assert read(data) == expected


@pytest.mark.parametrize("name", VALID)
def test_a_valid_reply_is_read_byte_by_byte(name: str) -> None:
    data, expected = VALID[name]
    if name == "more than announced":
        # What follows has not arrived yet when the reply is complete; the next look at the connection finds it.
        expected = (200, b"hello", True)
    assert read(data, bytewise(data)) == expected


@given(name=st.sampled_from(sorted(set(VALID) - {"more than announced"})), cuts=st.lists(st.integers(1, 200)))
def test_any_cutting_of_a_valid_reply_gives_the_same(name: str, cuts: list[int]) -> None:
    data, expected = VALID[name]
    assert read(data, cuts) == expected


@given(
    body=st.binary(max_size=600),
    sizes=st.lists(st.integers(1, 50), min_size=1, max_size=5),
    cuts=st.lists(st.integers(1, 2000), max_size=20),
)
def test_any_body_in_any_chunks_and_any_cutting_comes_out_whole(body: bytes, sizes: list[int], cuts: list[int]) -> None:
    data = bytearray(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
    at, turn = 0, 0
    while at < len(body):
        chunk = body[at : at + sizes[turn % len(sizes)]]
        data += b"%x\r\n%b\r\n" % (len(chunk), chunk)
        at += len(chunk)
        turn += 1
    data += b"0\r\n\r\n"
    assert read(bytes(data), cuts) == (200, body, True)


@pytest.mark.parametrize("name", GARBAGE)
def test_garbage_in_one_piece_is_a_bad_reply(name: str) -> None:
    with pytest.raises(BadReply):
        read(GARBAGE[name])


@pytest.mark.parametrize("name", [name for name in GARBAGE if len(GARBAGE[name]) < 2000])
def test_garbage_byte_by_byte_is_a_bad_reply(name: str) -> None:
    with pytest.raises(BadReply):
        read(GARBAGE[name], bytewise(GARBAGE[name]))


PLAIN = {
    "dated": b"HTTP/1.1 200 OK\r\nServer: x\r\nDate: Mon, 01 Jan\r\nContent-Length: 5\r\nX: y\r\n\r\nhello",
    "lower case": b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: KEEP-alive\r\n\r\nhello",
    "an error": b"HTTP/1.1 429 Too Many Requests\r\nConnection: keep-alive\r\nContent-Length:  5\r\n\r\nhello",
    "no reason": b"HTTP/1.1 502\r\nContent-Length: 5\r\n\r\nhello",
    "leading zeros": b"HTTP/1.1 200 \r\nContent-Length: 005\r\n\r\nhello",
}
DATED = PLAIN["dated"]


def by_the_book(data: bytes, limit: int = LIMIT) -> object:
    try:
        return _Reader(data, lambda wanted: b"", limit).read()
    except BadReply as error:
        return str(error)


@pytest.mark.parametrize("name", PLAIN)
def test_a_plain_reply_is_recognised(name: str) -> None:
    data = PLAIN[name]
    assert plain_reply(data, 5) == (int(data[9:12]), b"hello")
    assert by_the_book(data) == (*plain_reply(data, LIMIT), True)  # type: ignore[misc]


@pytest.mark.parametrize(
    "other",
    [
        b"",
        b"HTTP/1.1 200 OK",
        DATED[:-6],
        DATED[:-1],
        DATED + b"!",
        DATED.replace(b"1.1", b"1.0"),
        DATED.replace(b"200 OK", b"100 OK"),
        DATED.replace(b"200 OK", b"204 OK"),
        DATED.replace(b"200 OK", b"304 OK"),
        DATED.replace(b"200 OK", b"2000"),
        DATED.replace(b"X: y", b"Connection: close"),
        DATED.replace(b"X: y", b"Connection: keep-alive, close"),
        DATED.replace(b"X: y", b"connection : close"),
        DATED.replace(b"X: y", b"Transfer-encoding: chunked"),
        DATED.replace(b"X: y", b"\x0bTransfer-Encoding: chunked"),
        DATED.replace(b"X: y", b"Content-Length: 5"),
        DATED.replace(b"X: y", b" folded"),
        DATED.replace(b"X: y", b"X: y\rz"),
        DATED.replace(b"X: y\r", b"X: y"),
        DATED.replace(b"Content-Length: 5", b"Content-Length: +5"),
        DATED.replace(b"Content-Length: 5", b"Content-Length: 5 "),
        DATED.replace(b"Content-Length: 5", b"Content-Length:"),
        DATED.replace(b"Content-Length: 5", b"Content-Length: 00000000000000000005"),
        DATED.replace(b"Content-Length: 5\r\n", b""),
        DATED.replace(b"X: y", b"X: " + b"y" * MAX_HEAD_BYTES),
    ],
)
def test_a_reply_out_of_the_ordinary_is_read_by_the_book(other: bytes) -> None:
    assert plain_reply(other, LIMIT) is None


def test_a_plain_reply_over_the_limit_is_read_by_the_book() -> None:
    assert plain_reply(DATED, 4) is None


@given(
    data=st.sampled_from([*PLAIN.values(), *(whole for whole, *_ in VALID.values())]),
    at=st.integers(0, 150),
    change=st.binary(max_size=3) | st.sampled_from([b"\r\n", b"\n", b"\r", b" ", b"Connection: close\r\n"]),
    drop=st.integers(0, 5),
)
def test_what_is_taken_for_plain_is_what_the_book_says(data: bytes, at: int, change: bytes, drop: int) -> None:
    damaged = data[:at] + change + data[at + drop :]
    plain = plain_reply(damaged, LIMIT)
    assert plain is None or (*plain, True) == by_the_book(damaged)


@given(data=st.binary(min_size=1, max_size=300), cuts=st.lists(st.integers(1, 300), max_size=10))
def test_random_bytes_are_a_bad_reply(data: bytes, cuts: list[int]) -> None:
    with pytest.raises(BadReply):
        read(b"x" + data, cuts)


@given(
    name=st.sampled_from(sorted(VALID)),
    at=st.integers(0, 150),
    change=st.binary(max_size=3),
    drop=st.integers(0, 5),
    cuts=st.lists(st.integers(1, 200), max_size=10),
)
def test_a_damaged_reply_is_read_or_is_a_bad_reply(
    name: str, at: int, change: bytes, drop: int, cuts: list[int]
) -> None:
    data = VALID[name][0]
    damaged = data[:at] + change + data[at + drop :]
    try:
        status, _, _ = read(damaged or b"x", cuts)
    except BadReply:
        return
    assert 200 <= status <= 999


def test_what_cannot_be_http_is_refused_before_more_is_awaited() -> None:
    def receive(wanted: int) -> bytes:
        pytest.fail("waited for more")

    with pytest.raises(BadReply):
        read_reply(b"220 smtp.example ESMTP\r\n", receive, LIMIT)


@pytest.mark.parametrize(
    "data",
    [
        HEAD + b"Content-Length: 11\r\n\r\nhello world",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n6\r\nhello \r\n5\r\nworld\r\n0\r\n\r\n",
        HEAD + b"\r\nhello world",
    ],
)
def test_a_body_over_the_limit_is_refused_and_one_at_the_limit_is_not(data: bytes) -> None:
    assert read(data, limit=11)[1] == b"hello world"
    with pytest.raises(BadReply, match="larger than 10 bytes"):
        read(data, limit=10)


def test_a_large_chunked_body_of_small_chunks_is_read() -> None:
    data = HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"10\r\n0123456789abcdef\r\n" * 60_000 + b"0\r\n\r\n"
    status, body, is_reusable = read(data, list(range(0, len(data), 4096)))
    assert (status, len(body), is_reusable) == (200, 960_000, True)


def test_what_the_server_says_is_shown_too_short_to_hold_the_token() -> None:
    with pytest.raises(BadReply) as caught:
        read(b"HTTP/1.1 /bot123456:SECRET-token_42/getMe is not here\r\n\r\n")
    assert "SECRET" not in str(caught.value)
