"""The wire: how a thread sends a request and waits for what comes back, so that the ring knows of it.

Guarantees
    - `exchange` sends without waiting and keeps the interpreter meanwhile: to let go of it and to get it back would
      cost more than the system call, and under the GIL a place in the queue.
    - `exchange`, `receive` and `wait_for_data` wait detached, and a worker of a pool comes back through the door
      (_door.pyx).
    - `receive_reply` and `exchange_reply` have one turn at the interpreter for a large reply, not one for each piece of
      it, and workers let them go first.
Assumes
    - Nobody closes the descriptor meanwhile; to shut the socket down is how another thread ends the wait.
"""
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.exc cimport PyErr_CheckSignals, PyErr_SetFromErrno
from libc cimport errno as system
from libc.errno cimport EAGAIN, EINTR
from libc.stdint cimport int64_t

from runner_c._door cimport ask_first, have_asked
from runner_c._pool cimport Worker, current_worker
from runner_c._ring cimport Ring
from runner_c._sync cimport RC_HAS_GIL, rc_now_ns

cdef extern from "<sys/socket.h>" nogil:
    """
    #ifndef MSG_NOSIGNAL
    #define MSG_NOSIGNAL 0
    #endif
    """
    enum: MSG_DONTWAIT
    enum: MSG_NOSIGNAL
    ssize_t send(int fd, const void *data, size_t size, int flags)
    ssize_t recv(int fd, void *data, size_t size, int flags)

cdef extern from "<string.h>" nogil:
    void *memmem(const void *where, size_t size, const void *what, size_t what_size)
    void *memchr(const void *where, int what, size_t size)
    int memcmp(const void *one, const void *other, size_t size)

cdef extern from "<poll.h>" nogil:
    enum: POLLIN
    struct pollfd:
        int fd
        short events
        short revents
    int poll(pollfd *looks, unsigned long count, int timeout_ms)

cdef double LONGEST_S = 2_000_000.0  # poll takes an int of milliseconds
cdef int64_t READ_ON_NS = 50_000_000

cdef enum:
    MAX_HEAD_BYTES = 65536
    SMALL_BYTES = 16384  # for what fits, the stack saves an allocation


cdef ssize_t send_at_once(int fd, bytes data) except? -1:
    """Return how many bytes the system took, or the negative errno with which it refused."""
    cdef ssize_t sent
    while True:
        sent = send(fd, PyBytes_AS_STRING(data), <size_t> PyBytes_GET_SIZE(data), MSG_DONTWAIT | MSG_NOSIGNAL)
        if sent >= 0:
            return sent
        if system.errno == EAGAIN:
            return 0
        if system.errno != EINTR:
            return -system.errno
        PyErr_CheckSignals()


cdef inline bint begins(const char *line, const char *end, const char *name, Py_ssize_t size) noexcept nogil:
    """Whether a line begins with a name in lower case; by ASCII alone, whatever the locale says."""
    cdef Py_ssize_t at
    cdef char letter
    if end - line < size:
        return False
    for at in range(size):
        letter = line[at]
        if 65 <= letter <= 90:
            letter += 32
        if letter != name[at]:
            return False
    return True


cdef Py_ssize_t announced(const char *reply, Py_ssize_t size) noexcept nogil:
    """Return how long an HTTP reply will be, by its head; 0 when that cannot be told (yet)."""
    cdef const char *head_end = <const char *> memmem(reply, <size_t> size, b"\r\n\r\n", 4)
    cdef const char *line = reply
    cdef const char *end
    cdef Py_ssize_t length = 0
    if head_end == NULL:
        return 0
    while line < head_end:
        end = <const char *> memchr(line, 10, <size_t> (head_end + 2 - line))
        if end == NULL:
            return 0
        if begins(line, end, b"content-length:", 15):
            line += 15
            while line < end and (line[0] == 32 or line[0] == 9):
                line += 1
            while line < end and 48 <= line[0] <= 57 and length < 0x7FFFFFFF:
                length = 10 * length + (line[0] - 48)
                line += 1
            return (head_end - reply) + 4 + length
        line = end + 1
    return 0


cdef Py_ssize_t plain_head(const char *reply, Py_ssize_t size, int64_t *length) noexcept nogil:
    """Return where the body of a reply begins whose head leaves no doubt about it; 0 for every other one.

    No doubt: HTTP/1.1, a status with a body, lines that end in CRLF, one Content-Length, no Transfer-Encoding, and
    Connection, if it is there, says keep-alive.
    """
    cdef const char *line = reply
    cdef const char *end
    cdef const char *value
    cdef bint is_first = True
    cdef bint has_length = False
    while True:
        end = <const char *> memchr(line, 10, <size_t> (reply + size - line))
        if end == NULL or end == line or memchr(line, 13, <size_t> (end - line)) != end - 1:
            return 0
        end -= 1  # without CRLF
        if is_first:
            is_first = False
            if end - line < 12 or memcmp(line, b"HTTP/1.1 ", 9) != 0 or not (50 <= line[9] <= 57):
                return 0
            if not (48 <= line[10] <= 57 and 48 <= line[11] <= 57) or (end - line > 12 and line[12] != 32):
                return 0
            if memcmp(line + 9, b"204", 3) == 0 or memcmp(line + 9, b"304", 3) == 0:
                return 0
        elif end == line:
            return end + 2 - reply if has_length else 0
        elif 0 <= line[0] <= 32 or end - reply > MAX_HEAD_BYTES or begins(line, end, b"transfer-encoding", 17):
            return 0
        elif begins(line, end, b"content-length", 14):
            value = line + 14
            if has_length or value == end or value[0] != 58:
                return 0
            value += 1
            while value < end and value[0] == 32:
                value += 1
            if not (0 < end - value < 16):
                return 0
            has_length = True
            length[0] = 0
            while value < end:
                if not (48 <= value[0] <= 57):
                    return 0
                length[0] = 10 * length[0] + (value[0] - 48)
                value += 1
        elif begins(line, end, b"connection", 10):
            value = line + 10
            if value == end or value[0] != 58:
                return 0
            value += 1
            while value < end and value[0] == 32:
                value += 1
            if end - value != 10 or not begins(value, end, b"keep-alive", 10):
                return 0
        line = end + 2


def plain_reply(bytes reply not None, int64_t max_body_bytes):
    cdef const char *data = PyBytes_AS_STRING(reply)
    cdef Py_ssize_t size = PyBytes_GET_SIZE(reply)
    cdef int64_t length = 0
    cdef Py_ssize_t begin = plain_head(data, size, &length)
    if begin == 0 or size - begin != length or length > max_body_bytes:
        return None
    return 100 * (data[9] - 48) + 10 * (data[10] - 48) + (data[11] - 48), reply[begin:]


cdef Py_ssize_t at_least_one(Py_ssize_t limit) except -1:
    if limit < 1:
        raise ValueError(f"limit is a number of bytes from 1 up, not {limit}")
    return limit


def exchange_reply(int fd, bytes request not None, Py_ssize_t limit):
    cdef ssize_t sent = send_at_once(fd, request)
    return receive_reply(fd, limit) if sent == PyBytes_GET_SIZE(request) else sent


def is_quiet(int fd):
    cdef pollfd look
    look.fd = fd
    look.events = POLLIN
    return poll(&look, 1, 0) == 0


def receive_reply(int fd, Py_ssize_t limit):
    cdef bytes data = PyBytes_FromStringAndSize(NULL, at_least_one(limit))
    cdef char *place = PyBytes_AS_STRING(data)
    cdef ssize_t size = 0
    cdef ssize_t piece
    cdef Py_ssize_t wanted = 0
    cdef int failure
    cdef int64_t until_ns
    while True:
        with nogil:
            piece = recv(fd, place, <size_t> limit, 0)
            failure = system.errno
            if piece > 0:
                size = piece
                until_ns = rc_now_ns() + READ_ON_NS
                wanted = min(announced(place, size), limit)
                while size < wanted and rc_now_ns() < until_ns:
                    piece = recv(fd, place + size, <size_t> (wanted - size), 0)
                    if piece <= 0:
                        break  # the next receive comes upon it again
                    size += piece
            if RC_HAS_GIL:
                ask_first()
        if RC_HAS_GIL:
            have_asked()
        if piece >= 0 or size > 0:
            return data[:size]
        system.errno = failure
        if failure != EINTR:
            PyErr_SetFromErrno(OSError)
        PyErr_CheckSignals()


cdef Ring ring_of(Worker worker):
    """The ring by whose door the calling thread comes back; None if it need not."""
    return worker.pool._ring if RC_HAS_GIL and worker is not None else None


def receive(int fd, Py_ssize_t limit):
    return exchange(fd, b"", limit)


def exchange(int fd, bytes request not None, Py_ssize_t limit):
    cdef char small[SMALL_BYTES]
    cdef char *place = small
    cdef ssize_t sent
    cdef ssize_t size
    cdef int failure
    cdef int64_t came_ns
    cdef Worker worker = current_worker()
    cdef Ring ring = ring_of(worker)
    large = None
    if at_least_one(limit) > SMALL_BYTES:
        large = PyBytes_FromStringAndSize(NULL, limit)
        place = PyBytes_AS_STRING(large)
    if PyBytes_GET_SIZE(request):
        sent = send_at_once(fd, request)
        if sent < PyBytes_GET_SIZE(request):
            return sent
    while True:
        with nogil:
            size = recv(fd, place, <size_t> limit, 0)
            failure = system.errno
            if ring is not None:
                ring.door.approach(&worker.slot)
                came_ns = rc_now_ns()
        if ring is not None and ring.door.enter(rc_now_ns() - came_ns):
            worker.pool.obey(ring.recall())
        if size >= 0:
            return PyBytes_FromStringAndSize(small, size) if large is None else (<bytes> large)[:size]
        system.errno = failure
        if failure != EINTR:
            PyErr_SetFromErrno(OSError)
        PyErr_CheckSignals()


def wait_for_data(int fd, double timeout_s):
    cdef pollfd look
    cdef int found
    cdef int failure
    cdef int64_t came_ns
    cdef int64_t left_ms
    cdef int64_t deadline_ns = rc_now_ns() + <int64_t> (min(max(timeout_s, 0.0), LONGEST_S) * 1e9)
    cdef Worker worker = current_worker()
    cdef Ring ring = ring_of(worker)
    look.fd = fd
    look.events = POLLIN
    while True:
        left_ms = max(0, (deadline_ns - rc_now_ns() + 999_999) // 1_000_000)
        with nogil:
            found = poll(&look, 1, <int> left_ms)
            failure = system.errno
            if ring is not None:
                ring.door.approach(&worker.slot)
                came_ns = rc_now_ns()
        if ring is not None and ring.door.enter(rc_now_ns() - came_ns):
            worker.pool.obey(ring.recall())
        if found >= 0:
            return found > 0
        system.errno = failure
        if failure != EINTR:
            PyErr_SetFromErrno(OSError)
        PyErr_CheckSignals()
