"""Say how many updates to handle, and mark where the counting begins and ends; for the scripts beside this file.

Guarantees: a thread gives up the GIL only where it waits, so that who runs when does not hang on the clock; in a
counted segment the collector runs once, at its end and over what the segment has made, so that rubbish in circles is
counted and the moment of a collection is no matter of chance.
"""

import gc
import os
import sys
from collections.abc import Iterator

__all__ = ["lengths", "segments"]

_NO_FORCED_SWITCH_S = 1e6


def lengths() -> list[int]:
    """Return the numbers of updates of the three segments, the first arguments: a warm-up, a short one, a long one."""
    return [int(argument) for argument in sys.argv[1:4]]


def segments() -> Iterator[int]:
    """Give the length of each segment in turn. The caller asks for the next one when so many updates are handled.

    The two lengths that count must differ: by their difference the counts of their segments are divided, so that what
    a segment costs whatever its length has no part in it.
    """
    sys.setswitchinterval(_NO_FORCED_SWITCH_S)
    for length in lengths():
        yield length
        gc.collect()
        # Callgrind is told to write down its counts and to begin anew whenever this function of the C library is
        # called; nothing else calls it.
        os.getloadavg()
        gc.freeze()
        gc.disable()
