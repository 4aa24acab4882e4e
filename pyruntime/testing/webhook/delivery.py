"""Remember one attempt to deliver an update to the webhook."""

import time


class Delivery:
    """Describe one attempt.

    Attributes: `update_id`; `lane`, what the update waited in, such as "chat 7" or "callback_query of user 7";
    `attempt`, from 1 on; `connection`, the number of the connection it went over; `status` of the answer, or None;
    `error`, what went wrong instead of an answer; `retry_after_s`, what the answer asked for; `is_resent`, the update
    had been answered with 2xx before; `fault`, the kind of fault that spoiled it; `begun_ns` and `ended_ns`, monotonic,
    the latter None while it is under way.
    """

    __slots__ = (
        "attempt",
        "begun_ns",
        "connection",
        "ended_ns",
        "error",
        "fault",
        "is_resent",
        "lane",
        "retry_after_s",
        "status",
        "update_id",
    )

    def __init__(self, update_id: int, lane: str, attempt: int, is_resent: bool) -> None:
        """Begin."""
        self.update_id = update_id
        self.lane = lane
        self.attempt = attempt
        self.is_resent = is_resent
        self.connection = 0
        self.status: int | None = None
        self.error: str | None = None
        self.retry_after_s: int | None = None
        self.fault: str | None = None
        self.begun_ns = time.monotonic_ns()
        self.ended_ns: int | None = None

    def __repr__(self) -> str:
        """Show it in one line."""
        outcome = self.error or self.status or "under way"
        return f"<update {self.update_id} ({self.lane}), attempt {self.attempt}: {outcome}>"

    @property
    def is_delivered(self) -> bool:
        """Tell whether the bot took the update."""
        return self.status is not None and 200 <= self.status < 300

    def describe(self) -> dict[str, object]:
        """Return it as JSON can carry it."""
        return {name: getattr(self, name) for name in self.__slots__}
