"""What joins a run and its store.

::

    poller, offer ──append──▶ store ──▶ sink            `admission`: durable first, then lanes; `feed` brings the rest
                                ▲         │ ends
                                └─settle──┘             `journal`: a thread that tells the store, retries, tends

`session` is what handlers see of the store; `outage` what is said while it cannot write; `plan` what a runner is given.
"""

from runner_c.journal.journal import Journal
from runner_c.journal.plan import JournalPlan

__all__ = ["Journal", "JournalPlan"]
