"""Sinks: where updates go, and how many at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from runner_c import _sink
from runner_c._seen import Seen
from runner_c.errors import ConfigError
from runner_c.option_check import (
    age_limits_of,
    function_of_one,
    plain_function,
    seconds,
    timeout_policy,
    whole_number,
)
from runner_c.protocols import Keyer, Update

__all__ = ["OnError", "SinkPlan", "create_batch_sink", "create_concurrent_sink", "create_sequential_sink"]

OnError = Callable[[BaseException, Update], object]


@dataclass(frozen=True)
class SinkPlan:
    """What a sink is to be like; a runner opens one of it at each start. Made by the three `create_…_sink`."""

    consume: Callable[[Update], object]
    on_error: OnError
    keyer: Keyer | None
    concurrency: int
    backlog: int
    is_batchwise: bool = False
    handler_timeout_s: float | None = None
    on_timeout: Any = "report"
    age_limits: Mapping[str, float] | None = None

    def open(self, name: str, seen: Seen) -> _sink.Sink:
        """Make the sink of one run."""
        return _sink.Sink(
            self.consume,
            self.on_error,
            keyer=self.keyer,
            seen=seen,
            concurrency=self.concurrency,
            backlog=self.backlog,
            handler_timeout_s=self.handler_timeout_s,
            age_limits=self.age_limits,
            is_batchwise=self.is_batchwise,
            name=name,
        )


def create_sequential_sink(consumer: Any, on_error: OnError, *, backlog: int = 100) -> SinkPlan:
    """Make a sink that handles one update after the other, in the order in which they came.

    Args:
        consumer: a function of an update, or an object with ``consume(update)``.
        on_error: gets the exception and the update when the consumer raised; the next update follows.
        backlog: the most updates fetched ahead (default 100).

    Raises:
        ConfigError: an argument is not what it has to be.
    """
    return SinkPlan(_consume_of(consumer), _checked(on_error), None, 1, whole_number("backlog", backlog, 1))


def create_batch_sink(
    consumer: Any, on_error: OnError, *, concurrency: int = 100, keys: Keyer | None = None
) -> SinkPlan:
    """Make a sink that handles the updates of a batch at the same time, and takes the next batch when all have ended.

    Args:
        consumer: a function of an update, or an object with ``consume(update)``.
        on_error: gets the exception and the update when the consumer raised.
        concurrency: the most updates of a batch, 1 or more (default 100).
        keys: gives the keys of an update; updates that share one keep their order. None (default): no order.

    Raises:
        ConfigError: an argument is not what it has to be.
    """
    most = whole_number("concurrency", concurrency, 1, 10_000)
    return SinkPlan(_consume_of(consumer), _checked(on_error), _keyer(keys), most, most, is_batchwise=True)


def create_concurrent_sink(
    consumer: Any,
    on_error: OnError,
    *,
    concurrency: int = 500,
    backlog: int = 10_000,
    keys: Keyer | None = None,
    handler_timeout_s: float | None = None,
    on_timeout: Any = "report",
    age_limits: Mapping[str, float] | bool | None = None,
) -> SinkPlan:
    """Make a sink that handles up to `concurrency` updates at the same time and fetches ahead up to `backlog`.

    Args:
        consumer: a function of an update, or an object with ``consume(update)``.
        on_error: gets the exception and the update when the consumer raised.
        concurrency: the most handlers at the same time, 1 to 10,000 (default 500); a hard limit.
        backlog: the most updates held, running ones among them, 1 or more (default 10,000).
        keys: gives the keys of an update; updates that share one keep their order. None (default): no order.
        handler_timeout_s, on_timeout, age_limits: as for `run`.

    Raises:
        ConfigError: an argument is not what it has to be.
    """
    return SinkPlan(
        _consume_of(consumer),
        _checked(on_error),
        _keyer(keys),
        whole_number("concurrency", concurrency, 1, 10_000),
        whole_number("backlog", backlog, 1, 100_000_000),
        handler_timeout_s=seconds("handler_timeout_s", handler_timeout_s, is_optional=True),
        on_timeout=timeout_policy(on_timeout),
        age_limits=age_limits_of(age_limits),
    )


def _consume_of(consumer: Any) -> Callable[[Update], object]:
    consume = getattr(consumer, "consume", consumer)
    if not callable(consume):
        raise ConfigError("a consumer is a function of an update, or an object with a method consume(update)")
    return cast(Callable[[Update], object], plain_function("the consumer", consume))


def _checked(on_error: OnError) -> OnError:
    if not callable(on_error):
        raise ConfigError("on_error is a function of an error and an update")
    return cast(OnError, plain_function("on_error", on_error))


def _keyer(keys: Keyer | None) -> Keyer | None:
    return None if keys is None else cast(Keyer, function_of_one("keys", keys))
