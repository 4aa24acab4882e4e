"""Take updates into a SQLite store in batches of 100, as the poller does, and settle them in groups.

    store.py WARM_UP SHORT LONG GROUP

One thread; no handler runs. What the system does (writing, waiting for the disk) is not counted.
"""

import sys
import tempfile

from segment import segments
from update import FIRST_UPDATE_ID, make_update

from runner_c import by_chat, open_store
from runner_c.store import Arrival, Settlement

BATCH = 100
CHATS = 1000


def main() -> None:
    """Handle all segments."""
    group = int(sys.argv[4])
    number = 0
    pending: list[Settlement] = []
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(f"sqlite:{folder}/bot.db")
        for length in segments():
            for _ in range(0, length, BATCH):
                arrivals = []
                for update in [make_update(number + place, CHATS) for place in range(BATCH)]:
                    arrivals.append(Arrival(update, (by_chat(update),)))
                number += BATCH
                token, places = store.push(arrivals, offset=FIRST_UPDATE_ID + number, limit=BATCH, chain=BATCH)
                pending += [Settlement(place, token) for place in places]
                while len(pending) >= group:
                    store.settle(pending[:group])
                    del pending[:group]
        store.close()


if __name__ == "__main__":
    main()
