"""The session store in memory: JSON bytes by key, in stripes.

Guarantees
    - A read gives the bytes of one write, never a mix, and never an object that a handler still holds.
    - Reads and writes of different stripes do not meet.
Assumes
    - Somebody gives the turns: the writes of a key come one after the other because the update holds that key until it
      has settled (lanes, or a gate). What is written here is written at the settlement.

Each stripe is a dict, which the interpreter locks by itself on a free-threaded build, and whose single operations are
atomic under the GIL: no lock of ours is needed, and none is held while Python code runs.
"""

cdef enum:
    STRIPES = 64


cdef class MemoryStorage:
    """Storage of sessions that lives as long as the process."""

    cdef tuple _stripes

    def __init__(self):
        self._stripes = tuple([{} for _ in range(STRIPES)])

    cdef dict _stripe(self, str key):
        return <dict> self._stripes[hash(key) & (STRIPES - 1)]

    def read(self, str key):
        cdef dict stripe = self._stripe(key)
        # Not .get(): on a dict that another thread made it is a hundred times slower on CPython 3.13t.
        try:
            return stripe[key]
        except KeyError:
            return None

    def write(self, str key, bytes value not None):
        self._stripe(key)[key] = value

    def delete(self, str key):
        self._stripe(key).pop(key, None)

    def __len__(self):
        return sum([len(<dict> stripe) for stripe in self._stripes])
