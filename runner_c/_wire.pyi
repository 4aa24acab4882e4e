"""The wire: how a thread sends a request and waits for what comes back, so that the pool knows of it."""

def send_at_once(fd: int, data: bytes) -> int:
    """Hand data to the system without waiting; return how many bytes it took, 0 when it has no room.

    Raises:
        OSError: as of ``socket.send``.
    """

def receive(fd: int, limit: int) -> bytes:
    """Return what comes next on a blocking socket, at most `limit` bytes; b"" at the end of the stream.

    *Blocks* as ``socket.recv`` does. Any thread; in a worker of a runner, no further workers are called while several
    that have their data wait for the interpreter.

    Raises:
        ValueError: `limit` is less than 1.
        OSError: as of ``socket.recv``; BlockingIOError when the socket's own time limit has passed.
    """

def receive_reply(fd: int, limit: int) -> bytes:
    """Do as `receive` does, but go on until the reply is complete, as far as its head tells its length.

    A large reply then costs one turn at the interpreter instead of one for each piece. What comes back may still be
    incomplete: after 50 ms, at `limit` bytes, or where the head is odd; then the caller goes on.
    """

def wait_for_data(fd: int, timeout_s: float) -> bool:
    """Wait as `receive` does, and take nothing: for a socket with a layer on it, such as TLS.

    Returns:
        True when there is something to read, the end of the stream or an error; False after `timeout_s` seconds.

    Raises:
        OSError: as of ``select.poll``.
    """
