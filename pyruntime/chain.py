"""The compiled form of a composer: what runs for an update.

**Guarantees**

- Steps run in the order in which they were registered. A table by kind of update, command and exact text leaves out
  only steps that could not match.
- `next` goes on behind its own middleware, once: a second call is an error.

**Assumes** that an update keeps its kind while it is handled, and that the composer has no further registrations.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pyruntime.kind import KNOWN_KINDS
from pyruntime.signature import describe, refuse_coroutine

if TYPE_CHECKING:
    from pyruntime.context import Context

__all__ = ["Chain", "Next", "Step"]

Run = Callable[["Context", Callable[[], Any]], Any]


class Step:
    """One entry of a chain: what it asks of an update, and what it then does.

    Attributes:
        kinds: the kinds of updates it can match; None for all.
        commands: the commands it can match; None if it asks for no command.
        texts: the exact texts it can match (text, callback data or inline query); None if it asks for none.
        test: decides, and sets ``ctx.match``; None when kind is enough.
        handler: called with the context; the update then ends here.
        run: called with the context and what goes on; exactly one of `handler` and `run` is set.
        origin: the function a message can name.
    """

    __slots__ = ("commands", "handler", "kinds", "origin", "run", "test", "texts")

    def __init__(
        self,
        *,
        kinds: frozenset[str] | None = None,
        commands: frozenset[str] | None = None,
        texts: frozenset[str] | None = None,
        test: Callable[[Context], object] | None = None,
        handler: Callable[[Context], Any] | None = None,
        run: Run | None = None,
        origin: Any = None,
    ) -> None:
        self.kinds = kinds
        self.commands = commands
        self.texts = texts
        self.test = test
        self.handler = handler
        self.run: Any = run
        self.origin = origin


class Next:
    """What a middleware gets as `next`: goes on with the steps behind it. For one call only."""

    __slots__ = ("_after", "_at", "_ctx", "_is_used", "_steps")

    def __init__(self, steps: tuple[Step, ...], at: int, ctx: Context, after: Callable[[], Any] | None) -> None:
        self._steps = steps
        self._at = at
        self._ctx = ctx
        self._after = after
        self._is_used = False

    def __call__(self) -> None:
        """Run the rest of the handlers for this update and return when they have returned.

        Raises:
            RuntimeError: it was called before.
            BaseException: what the rest of the handlers raised.
        """
        if self._is_used:
            origin = self._steps[self._at - 1].origin
            raise RuntimeError(f"{describe(origin)} called next() twice; each update goes on once")
        self._is_used = True
        advance(self._steps, self._at, self._ctx, self._after)


def advance(steps: tuple[Step, ...], at: int, ctx: Context, after: Callable[[], Any] | None) -> None:
    """Run the first step from `at` on that matches; behind the last one, call `after`."""
    end = len(steps)
    while at < end:
        step = steps[at]
        at += 1
        test = step.test
        if test is not None and not test(ctx):
            continue
        handler = step.handler
        if handler is not None:
            result = handler(ctx)
        else:
            result = step.run(ctx, Next(steps, at, ctx, after))
        if result is not None:
            refuse_coroutine(result, step.origin)
        return
    if after is not None:
        after()


class _Plan:
    """The steps for one kind of update, and within it by command and exact text.

    Thread-safety: any thread; a list that two threads build at once is built twice, alike.
    """

    __slots__ = ("_by_trigger", "_commands", "_texts", "steps")

    def __init__(self, steps: tuple[Step, ...]) -> None:
        self.steps = steps
        self._commands = frozenset(name for step in steps for name in step.commands or ())
        self._texts = frozenset(text for step in steps for text in step.texts or ())
        self._by_trigger: dict[tuple[str | None, str | None], tuple[Step, ...]] = {}

    @property
    def is_plain(self) -> bool:
        """Whether no step asks for a command or an exact text."""
        return not (self._commands or self._texts)

    def choose(self, ctx: Context) -> tuple[Step, ...]:
        """Return the steps that can match this update."""
        name = text = None
        if self._commands:
            command = ctx._command
            if command is not None and command.name in self._commands:
                name = command.name
        if self._texts:
            text = ctx._trigger
            if text not in self._texts:
                text = None
        key = (name, text)
        # Not `get`: see View.
        if key in self._by_trigger:
            return self._by_trigger[key]
        chosen = tuple(
            step
            for step in self.steps
            if (step.commands is None or name in step.commands) and (step.texts is None or text in step.texts)
        )
        self._by_trigger[key] = chosen
        return chosen


class Chain:
    """The steps of one composer, ready to run. Immutable but for its table of plans.

    Thread-safety: any thread.
    """

    __slots__ = ("_plans", "steps")

    def __init__(self, steps: list[Step]) -> None:
        self.steps = tuple(steps)
        self._plans: dict[str | None, _Plan | tuple[Step, ...]] = {}
        kinds = {kind for step in steps for kind in step.kinds or ()}
        for kind in (None, *KNOWN_KINDS, *kinds):
            chosen = tuple(step for step in self.steps if step.kinds is None or kind in step.kinds)
            plan = _Plan(chosen)
            self._plans[kind] = plan.steps if plan.is_plain else plan

    def run(self, ctx: Context, after: Callable[[], Any] | None = None) -> None:
        """Run the steps for an update, and `after` if none of them ends it."""
        kind = ctx.kind
        plan = self._plans[kind if kind in self._plans else None]
        advance(plan.choose(ctx) if isinstance(plan, _Plan) else plan, 0, ctx, after)

    @property
    def lone_handler(self) -> Callable[[Context], Any] | None:
        """The handler, when the whole chain is one handler without conditions."""
        if len(self.steps) == 1:
            step = self.steps[0]
            if step.test is None and step.kinds is None:
                return step.handler
        return None
