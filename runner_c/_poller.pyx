"""The polling loop: offset, room, pace, back-off, confirmation.

Guarantees
    - `ack="fetch"`: an update is confirmed by the poll after the one that brought it (at most once).
    - `ack="journal"`: an update is confirmed when the store has it.
    - `ack="done"`: the offset only passes updates that have been handled (at least once).
    - The next offset is the last taken id plus one, also when ids go down.
    - An unchanged offset is asked for again no sooner than 0.5 s after the last time, so that the server does not cut
      the batch to one update.
    - Every wait here (for room, between polls, after a failure, in a pause) ends at once when the run stops.
    - What a stop leaves over of a batch is given back to the source.
    - A failure is retried for as long as the policy says; `retry_after` is obeyed instead of the back-off. 401, 404,
      a ConfigError and a SourceBroken end the run, and so does a minute of nothing but 409.
Assumes
    - One thread runs `run`; `confirm` is called after it has ended, or not at all.
"""
import logging
import threading
import time

from libc.stdint cimport int64_t

from runner_c._intake cimport is_update
from runner_c._sink cimport Sink

from runner_c.errors import ConfigError, SourceBroken

logger = logging.getLogger("runner_c")

cdef double SAME_OFFSET_S = 0.5
# With so many full batches ready the loop rests, a little, before it fetches more.
cdef int READY_BATCHES = 1
cdef int STORED_BATCHES = 4
cdef double READY_REST_S = 0.02
cdef double CONFLICT_LIMIT_S = 60.0
cdef double LONGEST_RETRY_AFTER_S = 1e6  # a wait beyond it is no wait that anybody meant
cdef int64_t NO_OFFSET = -0x7FFFFFFFFFFFFFFF


cdef object last_id(list batch):
    for update in reversed(batch):
        if is_update(update):
            return update["update_id"]
    return None


cdef class Poller:
    """Moves updates from a source to a sink."""

    cdef object _source
    cdef Sink _sink
    cdef object _backoff
    cdef object _describe
    cdef int _limit
    cdef bint _is_done_mode
    cdef object _journal
    cdef bint _is_drop_wanted
    cdef object _behind_last
    cdef object _asked
    cdef double _asked_at_s
    cdef double _conflict_since_s
    cdef double _conflict_limit_s
    cdef readonly object resumed
    cdef readonly long polls
    cdef readonly long failures
    # Read by other threads: a C integer, because an object could be freed between their load and their reference.
    cdef int64_t _confirmed

    def __init__(
        self, source, Sink sink, backoff, *, describe=repr, int limit=100, ack="fetch", bint drop_pending=False,
        double conflict_limit_s=CONFLICT_LIMIT_S, journal=None,
    ):
        self._source = source
        self._sink = sink
        self._backoff = backoff
        self._describe = describe
        self._limit = limit
        self._is_done_mode = ack == "done"
        self._journal = journal
        if journal is not None:
            self._behind_last = journal.store.offset
        self._is_drop_wanted = drop_pending
        self._conflict_limit_s = conflict_limit_s
        self._conflict_since_s = -1.0
        self._asked = object()  # equal to no offset
        self._confirmed = NO_OFFSET
        self.resumed = threading.Event()
        self.resumed.set()

    @property
    def confirmed_offset(self):
        cdef int64_t confirmed = self._confirmed
        return None if confirmed == NO_OFFSET else confirmed

    cdef object _note_confirmed(self, offset):
        if offset is not None:
            self._confirmed = offset

    def run(self):
        """Poll until the run stops (returns None) or polling has failed for good (returns the error)."""
        try:
            if not self._insist(self._source.init):
                return None
            if self._is_drop_wanted and self._source.has_offset and not self._insist(self._drop_pending):
                return None
            while not self._sink.stopping.is_set():
                self._turn()
        except StopIteration:
            return None
        except BaseException as error:
            return error
        return None

    cdef object _turn(self):
        """Wait for room, poll once, admit what came."""
        cdef int limit
        cdef list batch
        self.resumed.wait()
        # With a store there is always room: what memory cannot hold waits there.
        limit = self._limit if self._journal is not None else min(self._sink.wait_for_room(), self._limit)
        if limit <= 0:
            return None
        if self._is_done_mode:
            # What is unfinished comes again with each poll: few polls with many new ones, not many with few.
            self._sink.wait_for_fewer(self._limit // 2, READY_REST_S)
            # The reply begins with what is unfinished and known: room for new ones is not what limits it.
            limit = self._limit
        else:
            # What a store has can be fetched ahead without fear, and its commits take time.
            ahead = STORED_BATCHES if self._journal is not None else READY_BATCHES
            self._sink.wait_for_demand(ahead * limit, READY_REST_S)
        offset = self._offset()
        if self._source.has_offset:
            self._hold_back(offset)
            offset = self._offset()
        if self._sink.stopping.is_set() or not self.resumed.is_set():
            return None
        try:
            batch = self._fetch(offset, limit)
        except StopIteration:
            raise
        except Exception as error:
            if not self._sink.stopping.is_set():
                self._rest(error)
            elif getattr(error, "may_have_arrived", False):
                # The stop cut a poll that had reached the server, which then has confirmed its offset. To say it again
                # would cost three seconds: so long the server makes the same offset wait.
                self._note_confirmed(offset)
            return None
        self._backoff.reset()
        self._conflict_since_s = -1.0
        self._admit(batch)
        pause_s = self._source.pause_s(len(batch), limit)
        if pause_s > 0:
            self._sink.stopping.wait(pause_s)

    cdef list _fetch(self, offset, int limit):
        self._asked = offset
        self._asked_at_s = time.monotonic()
        self.polls += 1
        # The server forgets what is before the offset when the request arrives: it counts as confirmed from now on.
        batch = self._source.fetch(offset, limit)
        self._note_confirmed(offset)
        return batch

    cdef object _offset(self):
        oldest = self._sink.oldest_unfinished() if self._is_done_mode else None
        return self._behind_last if oldest is None else oldest

    cdef object _hold_back(self, offset):
        """Keep an unchanged offset from being asked for in a hurry; a changed one goes at once."""
        cdef double left_s
        if offset != self._asked:
            return None
        left_s = self._asked_at_s + SAME_OFFSET_S - time.monotonic()
        if left_s <= 0:
            return None
        if self._is_done_mode:
            self._sink.wait_for_progress(self._sink.oldest_unfinished(), left_s)
        else:
            self._sink.stopping.wait(left_s)

    cdef object _admit(self, list batch):
        """Admit a batch, in parts if there is not room for all of it.

        What a stop leaves over was never taken; with `ack="done"` neither is what there is no room for: it comes again.
        """
        cdef long taken
        if self._journal is not None:
            last = last_id(batch)
            offset = None if last is None else last + 1
            if batch and self._journal.admission.append(batch, offset, is_patient=True, json=self._source.json):
                self._pass(last, False)
            elif batch:
                self._source.give_back(batch)
            return None
        while batch:
            taken = self._sink.admit(batch)
            if taken:
                self._pass(last_id(batch[:taken]), self._sink.is_last_known)
                batch = batch[taken:]
            elif self._is_done_mode or not self._sink.wait_for_room():
                self._source.give_back(batch)
                return None

    cdef object _pass(self, last, bint is_known):
        """Go on behind an id.

        A reply that ends with an update which is known, as one may while others are unfinished, must not lead back
        behind what was taken after it; unless the server has begun anew, below what was asked for.
        """
        if last is None:
            return None
        if is_known and self._behind_last is not None and last < self._behind_last:
            if type(self._asked) is not int or last >= self._asked:
                return None
        self._behind_last = last + 1

    def _drop_pending(self):
        """Leave what waits at the server behind: ask for the last update only and go on after it."""
        last = last_id(self._source.poll(-1, 1, 0))
        if self._journal is not None and last is not None:
            self._journal.admission.append([], last + 1, is_patient=True)
        self._pass(last, False)
        logger.info("dropped the updates that were pending", extra={"action": "poll.drop_pending"})

    cdef bint _insist(self, call) except -1:
        """Call until it succeeds (true) or the run stops (false)."""
        while not self._sink.stopping.is_set():
            try:
                call()
                self._backoff.reset()
                self._conflict_since_s = -1.0
                return True
            except Exception as error:
                if not self._sink.stopping.is_set():
                    self._rest(error)
        return False

    cdef object _rest(self, error):
        """Wait after a failure, or raise it when there is no use in trying again."""
        cdef double now_s = time.monotonic()
        cdef double delay_s
        code = getattr(error, "error_code", None)
        self.failures += 1
        if code == 401 or code == 404 or isinstance(error, (ConfigError, SourceBroken)):
            raise error
        if code == 409:
            if self._conflict_since_s < 0:
                self._conflict_since_s = now_s
            elif now_s - self._conflict_since_s >= self._conflict_limit_s:
                raise error
        else:
            self._conflict_since_s = -1.0
        delay_s = self._backoff.next_s()
        retry_after = getattr(error, "retry_after", None)
        if isinstance(retry_after, (int, float)) and 0 < retry_after < LONGEST_RETRY_AFTER_S:
            delay_s = retry_after
        if self._backoff.is_over():
            raise error
        logger.warning(
            "polling failed (%s); next try in %.1f s",
            self._describe(error), delay_s,
            extra={"action": "poll.failed"},
        )
        self._sink.stopping.wait(delay_s)

    def confirm(self):
        """Confirm at the server what has been handled, after the last poll. Raises what the source raises.

        With a store everything that it has is confirmed. With `ack="fetch"` everything that was begun is; a tail of the
        last batch that was never begun stays at the server. With `ack="done"` the first update that was not handled and
        all behind it stay there.
        """
        if not self._source.has_offset:
            return
        kept = None
        if self._journal is None:
            kept = self._sink.oldest_unfinished() if self._is_done_mode else self._sink.first_not_begun()
        offset = self._behind_last if kept is None else kept
        if offset is None or offset == self.confirmed_offset:
            return
        self._source.confirm(offset)
        self._note_confirmed(offset)
