"""What a composer keeps of a registration: how it compiles into steps, and which updates it is interested in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from pyruntime.chain import Step
from pyruntime.failure import BotError
from pyruntime.signature import declares_keys, plain_truth, refuse_coroutine

if TYPE_CHECKING:
    from pyruntime.composer import Composer
    from pyruntime.context import Context

__all__ = [
    "BoundaryNode",
    "BranchNode",
    "ComposerNode",
    "FunctionNode",
    "Interest",
    "Node",
    "RouteNode",
    "functions_of",
    "interest_of",
]


class Interest(NamedTuple):
    """Which updates something wants.

    Attributes:
        kinds: the kinds it asks for by name.
        takes_any: whether it also accepts updates of every kind.
    """

    kinds: frozenset[str]
    takes_any: bool


class Node(Protocol):
    """One registration of a composer."""

    def steps(self) -> list[Step]:
        """Compile it."""

    def interest(self, is_scoped: bool) -> Interest:
        """Return which updates it wants; `is_scoped` inside a filter whose kinds are known."""

    def composers(self) -> Iterable[Composer]:
        """Return the composers within it."""


class FunctionNode:
    """A handler ``(ctx)`` or a middleware ``(ctx, next)``."""

    def __init__(self, function: Callable[..., Any], takes_next: bool) -> None:
        self.function = function
        self.takes_next = takes_next

    def steps(self) -> list[Step]:
        if self.takes_next:
            return [Step(run=self.function, origin=self.function)]
        return [Step(handler=self.function, origin=self.function)]

    def interest(self, is_scoped: bool) -> Interest:
        # Middleware alone (logging, sessions) wants no updates; behind a filter it is what the filter is for.
        wants = not self.takes_next or (is_scoped and not declares_keys(self.function))
        return Interest(frozenset(), wants)

    def composers(self) -> Iterable[Composer]:
        return ()


class ComposerNode:
    """Another composer, for all updates or behind a condition."""

    def __init__(
        self,
        composer: Composer,
        *,
        kinds: frozenset[str] | None = None,
        commands: frozenset[str] | None = None,
        texts: frozenset[str] | None = None,
        test: Callable[[Context], object] | None = None,
    ) -> None:
        self.composer = composer
        self.kinds = kinds
        self.commands = commands
        self.texts = texts
        self.test = test

    @property
    def is_plain(self) -> bool:
        """Whether there is no condition."""
        return self.kinds is None and self.test is None

    def steps(self) -> list[Step]:
        chain = self.composer._compiled()
        if self.is_plain:
            return list(chain.steps)
        step = Step(kinds=self.kinds, commands=self.commands, texts=self.texts, test=self.test)
        step.handler = chain.lone_handler
        if step.handler is None:
            step.run = chain.run
        step.origin = chain.steps[0].origin if chain.steps else None
        return [step]

    def interest(self, is_scoped: bool) -> Interest:
        inner = interest_of([self.composer], is_scoped or self.kinds is not None)
        if self.kinds is None:
            return inner
        if inner.takes_any:
            return Interest(self.kinds, False)
        return Interest(self.kinds & inner.kinds, False)

    def composers(self) -> Iterable[Composer]:
        return (self.composer,)


class BranchNode:
    """One of two composers, chosen by a predicate."""

    def __init__(self, predicate: Callable[[Context], object], true: Composer, false: Composer) -> None:
        self.predicate = predicate
        self.true = true
        self.false = false

    def steps(self) -> list[Step]:
        holds = plain_truth(self.predicate)
        true = self.true._compiled()
        false = self.false._compiled()

        def run(ctx: Context, next: Callable[[], Any]) -> None:
            (true if holds(ctx) else false).run(ctx, next)

        return [Step(run=run, origin=self.predicate)]

    def interest(self, is_scoped: bool) -> Interest:
        return interest_of(self.composers(), is_scoped)

    def composers(self) -> Iterable[Composer]:
        return (self.true, self.false)


class RouteNode:
    """One of several composers, chosen by what a function returns."""

    def __init__(self, router: Callable[[Context], Any], cases: Mapping[Any, Composer], fallback: Composer) -> None:
        self.router = router
        self.cases = cases
        self.fallback = fallback

    def steps(self) -> list[Step]:
        router = self.router
        chains = {key: composer._compiled() for key, composer in self.cases.items()}
        fallback = self.fallback._compiled()

        def run(ctx: Context, next: Callable[[], Any]) -> None:
            key = router(ctx)
            refuse_coroutine(key, router)
            chain = fallback
            if key in chains:
                chain = chains[key]
            chain.run(ctx, next)

        return [Step(run=run, origin=router)]

    def interest(self, is_scoped: bool) -> Interest:
        return interest_of(self.composers(), is_scoped)

    def composers(self) -> Iterable[Composer]:
        return (*self.cases.values(), self.fallback)


class BoundaryNode:
    """A composer whose errors go to a function of their own."""

    def __init__(self, composer: Composer, on_error: Callable[..., Any], takes_next: bool) -> None:
        self.composer = composer
        self.on_error = on_error
        self.takes_next = takes_next

    def steps(self) -> list[Step]:
        chain = self.composer._compiled()
        on_error = self.on_error
        takes_next = self.takes_next

        def run(ctx: Context, next: Callable[[], Any]) -> None:
            # What comes behind the boundary runs after it, so that only errors from within are caught.
            go_on = _GoOn()
            try:
                chain.run(ctx, go_on)
            except Exception as error:
                go_on.is_called = False
                caught = error if isinstance(error, BotError) else BotError(error, ctx)
                result = on_error(caught, go_on) if takes_next else on_error(caught)
                refuse_coroutine(result, on_error)
            if go_on.is_called:
                next()

        return [Step(run=run, origin=on_error)]

    def interest(self, is_scoped: bool) -> Interest:
        return interest_of(self.composers(), is_scoped)

    def composers(self) -> Iterable[Composer]:
        return (self.composer,)


class _GoOn:
    """Remember that the update shall go on behind an error boundary."""

    __slots__ = ("is_called",)

    def __init__(self) -> None:
        self.is_called = False

    def __call__(self) -> None:
        self.is_called = True


def interest_of(composers: Iterable[Composer], is_scoped: bool = False) -> Interest:
    """Return which updates some composers want together."""
    kinds: set[str] = set()
    takes_any = False
    for composer in composers:
        for node in composer._nodes:
            wants = node.interest(is_scoped)
            kinds |= wants.kinds
            takes_any = takes_any or wants.takes_any
    return Interest(frozenset(kinds), takes_any)


def functions_of(composer: Composer) -> Iterator[Callable[..., Any]]:
    """Yield the handlers and middleware of a composer and of all composers within it."""
    waiting, seen = [composer], {composer}
    while waiting:
        for node in waiting.pop()._nodes:
            if isinstance(node, FunctionNode):
                yield node.function
            for inner in node.composers():
                if inner not in seen:
                    seen.add(inner)
                    waiting.append(inner)
