"""run: the one line that puts a bot on the engine."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from queue import Queue
from typing import Any, cast

from runner_c.adapter import adapted
from runner_c.deadline import Overdue
from runner_c.errors import ConfigError
from runner_c.option_check import function_of_one, kinds_of, plain_function, whole_number
from runner_c.protocols import Keyer, RunnableBot, Supplier, Update
from runner_c.recording import Recorder, recording_keyer
from runner_c.runner import RunnerHandle, create_runner
from runner_c.secret import traceback_of
from runner_c.sequentialize import KeyFunction, Sequentialize, by_chat
from runner_c.sink import create_concurrent_sink
from runner_c.source import BotSource, FedSource, Source, create_source
from runner_c.store.base import Store

__all__ = ["run"]

logger = logging.getLogger("runner_c")


def run(
    bot: RunnableBot | Any,
    *,
    source: Source | Supplier | Callable[[int], Iterable[Update]] | Iterator[Update] | Queue[Any] | None = None,
    concurrency: int = 500,
    backlog: int = 10_000,
    sequentialize: KeyFunction | Sequentialize | None = by_chat,
    store: str | Store | None = None,
    ack: str | None = None,
    allowed_updates: Sequence[str] | None = None,
    poll_timeout_s: int = 30,
    poll_limit: int = 100,
    speed_traffic_balance: float = 0.0,
    max_delay_s: float = 0.5,
    retry: str | float = "exponential",
    retry_cap_s: float = 30.0,
    max_retry_time_s: float = 54_000.0,
    drop_pending: bool = False,
    handler_timeout_s: float | None = None,
    on_timeout: str | Callable[[Overdue], str | None] = "report",
    max_attempts: int = 1,
    age_limits: Mapping[str, float] | bool | None = None,
    processes: int = 0,
    record: Recorder | None = None,
    name: str | None = None,
) -> RunnerHandle:
    """Run a bot: handlers in parallel, each chat in order. Returns at once; `wait()` on the result waits for the end.

    Args:
        bot: any object with `get_updates` and `handle_update` (see `protocols.RunnableBot`), such as `pyruntime.Bot`;
            or a bot of another framework for which there is an adapter, such as a `telebot.TeleBot`.
        source: where updates come from instead of the bot's `get_updates`: what `create_source` returned or accepts (a
            generator, a queue, an object with ``supply(limit)``), or ``Offers()`` if all come by `offer`. When it has
            no more, what was admitted is handled and the runner ends. None (default): the bot is polled.
        concurrency: the most handlers at the same time, 1 or more (default 500). A hard limit.
        backlog: the most updates held, running ones among them (default 10,000). Polling pauses when it is reached
            and goes on at three quarters of it.
        sequentialize: which updates wait for each other; default `by_chat`. A key function, or what `sequentialize()`
            returned. A bot that brings an order of its own (`keys`, or `sequentialize` as its first middleware)
            replaces the default. None: no order but the bot's own.
        store: where updates, sessions and dead letters are kept: ``"sqlite:bot.db"`` for a file (made if it is not
            there, opened by one runner at a time), or a `Store` that `open_store` gave, which stays open. None
            (default): nothing is written; a kill loses what ``ack`` says. See docs/promises.md.
        ack: None (default): "journal" with a store, else "fetch".
            "journal": an update is confirmed when the store has it, so a kill or a power cut loses nothing and may
            repeat what had not ended; a repeated one has ``ctx.attempt`` above 1.
            "fetch": an update is confirmed by the next poll, so a kill loses what is in memory.
            "done": the offset only passes updates that were handled, so a kill loses nothing and may repeat some;
            at most 100 updates are then open at the server's side.
        allowed_updates: the kinds of updates to ask for; None (default) derives them from the registered handlers.
        poll_timeout_s: how long a poll waits for the first update, 0 to 50 whole seconds (default 30).
        poll_limit: the most updates of one poll, 1 to 100 (default 100).
        speed_traffic_balance: 0.0 (default) polls again at once; up to 1.0 waits for fuller batches.
        max_delay_s: the longest such wait, in seconds (default 0.5).
        retry: delays after a failed poll: "exponential" (default), "quadratic" or a number of seconds.
        retry_cap_s: no such delay is longer, in seconds (default 30).
        max_retry_time_s: after failing for so many seconds the runner ends with the error (default 54,000: 15 h).
        drop_pending: True leaves the updates behind that wait at the server when the runner starts.
        handler_timeout_s: a handler that runs longer, in seconds, is dealt with by `on_timeout`; None (default): none.
        on_timeout: "report" (default) logs update, age and stack; "interrupt" also raises `HandlerTimeout` in its
            thread (which cannot break a system call); "abandon" also frees its slot and keys; or a function that gets
            an `Overdue` and returns one of these or None.
        max_attempts: 1 (default): an update whose handler failed is done with after the error handler ran. More, up
            to 1000, with a store: it is tried again after 1, 2, 4 … s (300 at most, or what a ``retry_after`` of the
            error says), its keys held meanwhile; after the last attempt the error handler runs and it becomes a dead
            letter (``python -m runner_c dead-letters``).
        age_limits: None (default); True skips updates that waited here longer than Telegram takes an answer (inline
            queries 30 s; callback, shipping and pre-checkout queries 150 s); or a dict of seconds by kind.
        processes: 0; handlers run in threads of this process.
        record: a `Recorder` that notes each update at its admission; it stays open. None (default): nothing is noted.
        name: how its threads are called; default "runner_c".

    Raises:
        ConfigError: an option or the bot is not what it has to be; the message says what to do.
        RunnerError: the bot is being run already.
        StoreError: the store cannot be opened: it is damaged, in use, another bot's, or not writable.
        RuntimeError: the system gives no threads.
    """
    needed = ("handle_update",) if source is not None else ("get_updates", "handle_update")
    bot = adapted(bot, needed)
    _check_bot(bot, needed)
    if processes != 0:
        raise ConfigError("processes: handlers run in threads of this process in this version; use 0")
    if handler_timeout_s is None and on_timeout != "report":
        logger.warning("on_timeout does nothing without handler_timeout_s", extra={"action": "run.option_unused"})
    keyer = _keyer_of(bot, sequentialize)
    if record is not None:
        if not isinstance(record, Recorder):
            raise ConfigError(f"record is a Recorder, as in Recorder('updates.jsonl'), not {type(record).__name__}")
        keyer = recording_keyer(keyer, record)
    kinds = kinds_of(allowed_updates) if allowed_updates is not None else _derived_kinds(bot)
    sink = create_concurrent_sink(
        bot.handle_update,
        _error_handler_of(bot),
        concurrency=concurrency,
        backlog=backlog,
        keys=keyer,
        handler_timeout_s=handler_timeout_s,
        on_timeout=on_timeout,
        age_limits=age_limits,
    )
    polled = BotSource(
        bot,
        poll_timeout_s=whole_number("poll_timeout_s", poll_timeout_s, 0, 50),
        allowed_updates=kinds,
        speed_traffic_balance=speed_traffic_balance,
        max_delay_s=max_delay_s,
    )
    handle = create_runner(
        polled if source is None else _fed(bot, source),
        sink,
        poll_limit=poll_limit,
        ack=ack,
        store=store,
        max_attempts=max_attempts,
        owner=_owner_of(bot),
        drop_pending=drop_pending,
        retry=retry,
        retry_cap_s=retry_cap_s,
        max_retry_time_s=max_retry_time_s,
        name="runner_c" if name is None else name,
    )
    handle.start()
    return handle


def _fed(bot: Any, source: Any) -> FedSource:
    return FedSource(bot, source if isinstance(source, Source) else create_source(source))


def _check_bot(bot: object, needed: tuple[str, ...]) -> None:
    for method in needed:
        if not callable(getattr(bot, method, None)):
            raise ConfigError(
                f"run() takes a bot with {'() and '.join(needed)}(); {type(bot).__name__} has no {method}()"
            )
    for method in ("get_updates", "handle_update", "handle_error", "init"):
        if callable(getattr(bot, method, None)):
            plain_function(f"{method}() of the bot", getattr(bot, method))


def _keyer_of(bot: Any, default: KeyFunction | Sequentialize | None) -> Keyer | None:
    """Settle once for a run who says what the keys of an update are."""
    order: Keyer | None = default.keys if isinstance(default, Sequentialize) else default
    if order is not None:
        function_of_one("sequentialize", order)
    if callable(getattr(bot, "keyer", None)):
        return cast(Keyer, bot.keyer(order))
    if callable(getattr(bot, "keys", None)):
        if order is None or order is by_chat:
            return cast(Keyer, bot.keys)
        raise ConfigError("the bot has keys() of its own: leave sequentialize out")
    return order


def _owner_of(bot: Any) -> str | None:
    identify = getattr(bot, "identity", None)
    owner = identify() if callable(identify) else None
    return owner if isinstance(owner, str) else None


def _derived_kinds(bot: Any) -> list[str] | None:
    derive = getattr(bot, "allowed_updates", None)
    return derive() if callable(derive) else None


def _error_handler_of(bot: Any) -> Callable[[BaseException, Update], object]:
    handle_error = getattr(bot, "handle_error", None)
    return handle_error if callable(handle_error) else _log_error


def _log_error(error: BaseException, update: Update) -> None:
    logger.error("update %s failed\n%s", update["update_id"], traceback_of(error), extra={"action": "update.failed"})
