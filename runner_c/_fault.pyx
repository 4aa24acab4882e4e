"""Fault points: places at which a test can have the process killed.

Guarantees
    - In a usual build a point does nothing. Only `RUNNER_C_FAULT_POINTS=1` at build time compiles them in.
    - There, `RUNNER_C_FAULT=name:share,...` kills the process (SIGKILL) at the point `name` with that probability.
"""
import os
import random
import signal

cdef dict shares = None


def is_compiled():
    return bool(RC_HAS_FAULT_POINTS)


cdef dict read_shares():
    found = {}
    for part in os.environ.get("RUNNER_C_FAULT", "").split(","):
        if part:
            name, _, share = part.partition(":")
            found[name] = float(share or "1")
    return found


cpdef int fault_point(str name) except -1:
    global shares
    if not RC_HAS_FAULT_POINTS:
        return 0
    if shares is None:
        shares = read_shares()
    if name in shares and random.random() < shares[name]:
        os.kill(os.getpid(), signal.SIGKILL)
    return 0
