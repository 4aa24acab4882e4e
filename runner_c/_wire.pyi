"""The wire: how a thread sends a request and waits for what comes back, so that the pool knows of it."""

def exchange(fd: int, request: bytes, limit: int) -> bytes | int:
    """Send a request and return the first of what comes back, at most `limit` bytes; b"" at the end of the stream.

    *Blocks* in the second half only, as `receive` does.

    Returns:
        an int where the system did not take the whole request, and then nothing was received: how many bytes it took
        (maybe 0), or, below 0, the negative ``errno`` with which it refused.

    Raises:
        ValueError: `limit` is less than 1.
        OSError: as of ``socket.recv``, after the whole request was sent; see `receive`.
    """

def receive(fd: int, limit: int) -> bytes:
    """Return what comes next on a blocking socket, at most `limit` bytes; b"" at the end of the stream.

    *Blocks* as ``socket.recv`` does. Any thread; in a worker of a runner, no further workers are called while several
    that have their data wait for the interpreter.

    Raises:
        ValueError: `limit` is less than 1.
        OSError: as of ``socket.recv``; BlockingIOError when the socket's own time limit has passed.
    """

def exchange_reply(fd: int, request: bytes, limit: int) -> bytes | int:
    """Send a request as `exchange` does, and read its reply as `receive_reply` does: for a large one, of a poll.

    Returns:
        The first bytes of the reply; a number as `exchange` says.
    """

def is_quiet(fd: int) -> bool:
    """Tell whether nothing can be read from a socket, the end of the stream neither. Does not block."""

def receive_reply(fd: int, limit: int) -> bytes:
    """Do as `receive` does, but go on until the reply is complete, as far as its head tells its length.

    A large reply then costs one turn at the interpreter instead of one for each piece. What comes back may still be
    incomplete: after 50 ms, at `limit` bytes, or where the head is odd; then the caller goes on.
    """

def plain_reply(reply: bytes, max_body_bytes: int) -> tuple[int, bytes] | None:
    """Return status and body of a whole HTTP/1.1 reply whose head is as plain as that of nearly every reply.

    Plain: lines that end in CRLF, one Content-Length, which agrees with what is here, no Transfer-Encoding, and nothing
    that ends the connection. None for every other reply, complete or not: that one has to be read by the book.
    """

def wait_for_data(fd: int, timeout_s: float) -> bool:
    """Wait as `receive` does, and take nothing: for a socket with a layer on it, such as TLS.

    Returns:
        True when there is something to read, the end of the stream or an error; False after `timeout_s` seconds.

    Raises:
        OSError: as of ``select.poll``.
    """
