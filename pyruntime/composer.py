"""Composer: registers handlers and middleware, and compiles them into one chain."""

from __future__ import annotations

import functools
import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar, overload

from pyruntime.chain import Chain
from pyruntime.filters import parse_filter
from pyruntime.kind import TRIGGER_KINDS
from pyruntime.node import BoundaryNode, BranchNode, ComposerNode, FunctionNode, Node, RouteNode
from pyruntime.signature import check_one_argument, describe, plain_truth, takes_next
from pyruntime.trigger import Trigger, command_names, command_test, exact_texts, parse_triggers, text_test
from runner_c import ConfigError

if TYPE_CHECKING:
    from pyruntime.context import Context

__all__ = ["Branch", "Composer", "Handler", "Route"]

Handler = Callable[..., Any]
"""A handler ``(ctx)``, a middleware ``(ctx, next)`` or a `Composer`."""

_F = TypeVar("_F", bound=Callable[..., Any])

_CALLBACK: frozenset[str] = frozenset({"callback_query"})
_INLINE: frozenset[str] = frozenset({"inline_query"})

_log = logging.getLogger("pyruntime")

# Guards the compilation of composers (they nest, so it is one re-entrant lock). Nothing else is locked inside it.
_compiling = threading.RLock()


class Composer:
    """A list of handlers and middleware, tried in the order in which they were registered.

    A handler ``(ctx)`` ends the update. A middleware ``(ctx, next)`` decides: it calls ``next()`` to go on, once, and
    gets back when everything behind it has run. Every method that registers takes the handlers as arguments, returns
    a composer for what it let through, and that composer is also a decorator, and itself a middleware::

        bot.command("start", start)

        @bot.command("help")
        def help(ctx): ...

        photos = bot.on("message:photo").filter(is_admin)
        photos.use(archive)

    What is registered is compiled at the first update; registering after that is an error, since it would be a leak
    when done in a handler, and a race with the updates in flight when done elsewhere.

    Thread-safety: register from one thread; run from any number.

    Raises:
        ConfigError: (all methods) something that cannot work, such as an ``async def``, a wrong number of arguments or
            a misspelt filter query; or the composer has run already.
    """

    def __init__(self, *middleware: Handler) -> None:
        self._nodes: list[Node] = []
        # How it was made, for errors of what is registered on it by decorator.
        self._where = type(self).__name__
        self._conditions: list[tuple[str, Callable[..., Any], tuple[Composer, ...]]] = []
        self._chain: Chain | None = None
        self._is_compiling = False
        self._install(middleware, "Composer")

    # Registration

    def use(self, *middleware: Handler) -> Composer:
        """Run `middleware` for every update; return a composer for more of it at this place."""
        child = self._filtered("use", middleware)
        if len(middleware) == 1 and not isinstance(middleware[0], Composer):
            # So that a function decorated with @bot.use still looks like itself.
            functools.update_wrapper(child, middleware[0], updated=())
        return child

    def on(self, query: str | Iterable[str], *handlers: Handler) -> Composer:
        """Handle the updates that match a filter query, or one of several.

        Args:
            query: ``"message"``, ``"message:text"``, ``"message:entities:url"``, ``":photo"`` (messages and channel
                posts), ``"::url"``, ``"edit:text"``, ``"callback_query:data"``, ``":media"``, ``":file"``, or a list
                of which one must match.
        """
        kinds, check = parse_filter(query)
        return self._filtered("on", handlers, kinds=kinds, test=check)

    def command(self, names: str | Iterable[str], *handlers: Handler) -> Composer:
        """Handle a command at the start of a message or channel post; ``ctx.match`` is the text behind it.

        ``/start@SomeBot`` matches only if that is the name of this bot. Names are matched as written.

        Args:
            names: one name or several, without the slash.
        """
        wanted = command_names(names)
        return self._filtered("command", handlers, kinds=TRIGGER_KINDS, commands=wanted, test=command_test(wanted))

    def hears(self, triggers: Trigger | Iterable[Trigger], *handlers: Handler) -> Composer:
        """Handle messages and channel posts by their text or caption; ``ctx.match`` is the match.

        Args:
            triggers: a text (it must be equal; the match is the text), a compiled expression (it may match anywhere;
                the match is an `re.Match`), or a list of them.
        """
        return self._triggered("hears", triggers, handlers, TRIGGER_KINDS)

    def callback_query(self, triggers: Trigger | Iterable[Trigger], *handlers: Handler) -> Composer:
        """Handle presses of inline buttons by their data; texts and expressions as in `hears`."""
        return self._triggered("callback_query", triggers, handlers, _CALLBACK)

    def inline_query(self, triggers: Trigger | Iterable[Trigger], *handlers: Handler) -> Composer:
        """Handle inline queries by their text; texts and expressions as in `hears`."""
        return self._triggered("inline_query", triggers, handlers, _INLINE)

    def chat_type(self, types: str | Iterable[str], *handlers: Handler) -> Composer:
        """Handle updates from chats of a type: ``private``, ``group``, ``supergroup`` or ``channel``."""
        valid = ("private", "group", "supergroup", "channel")
        listed = [types] if isinstance(types, str) else list(types) if isinstance(types, Iterable) else []
        if not listed or not all(isinstance(name, str) and name in valid for name in listed):
            raise ConfigError(f"chat_type() takes private, group, supergroup or channel, not {types!r}")
        wanted = frozenset(listed)

        def is_wanted(ctx: Context) -> bool:
            chat = ctx.chat
            return chat is not None and chat.type in wanted

        return self._filtered("chat_type", handlers, test=is_wanted)

    def filter(self, predicate: Callable[[Context], object], *handlers: Handler) -> Composer:
        """Handle updates for which ``predicate(ctx)`` is true."""
        check_one_argument(predicate, "filter")
        child = self._filtered("filter", handlers, test=plain_truth(predicate))
        self._expect("filter", predicate, child)
        return child

    def branch(
        self,
        predicate: Callable[[Context], object],
        true: Handler | Iterable[Handler] = (),
        false: Handler | Iterable[Handler] = (),
    ) -> Branch:
        """Handle updates in one of two ways, by ``predicate(ctx)``.

        Returns:
            a pair of composers ``.true`` and ``.false``, both decorators; a side without handlers goes on.
        """
        check_one_argument(predicate, "branch")
        branch = Branch(_composed(true, "branch"), _composed(false, "branch"))
        self._add(BranchNode(predicate, branch.true, branch.false))
        self._expect("branch", predicate, branch.true, branch.false)
        return branch

    def route(
        self,
        router: Callable[[Context], Any],
        cases: Mapping[Any, Handler | Iterable[Handler]] | None = None,
        fallback: Handler | Iterable[Handler] = (),
    ) -> Route:
        """Handle updates by what ``router(ctx)`` returns: a key of `cases`, else `fallback`, else they go on.

        Returns:
            an object with the decorators ``.case(key)`` and ``.fallback``.
        """
        check_one_argument(router, "route")
        if cases is not None and not isinstance(cases, Mapping):
            raise ConfigError(f"route() takes a dict of handlers by key, for example {{'yes': agree}}, not {cases!r}")
        route = Route(
            {key: _composed(handlers, "route") for key, handlers in (cases or {}).items()},
            _composed(fallback, "route"),
            self,
        )
        self._add(RouteNode(router, route._cases, route.fallback))
        return route

    def error_boundary(self, on_error: Handler, *middleware: Handler) -> Composer:
        """Give the errors of `middleware`, and of what is added to the returned composer, to `on_error`.

        Args:
            on_error: gets a `BotError`, or a `BotError` and ``next`` to go on behind the boundary. What it raises
                goes to the boundary around this one, in the end to ``@bot.catch``. It sees no errors of handlers
                behind the boundary, and none that derive from BaseException only (a stop, an interrupt).
        """
        wants_next = takes_next(on_error, "error_boundary")
        child = Composer()
        child._where = "error_boundary"
        child._install(middleware, child._where)
        self._add(BoundaryNode(child, on_error, wants_next))
        self._expect("error_boundary", on_error, child)
        return child

    # Running

    @overload
    def __call__(self, ctx: Context, next: Callable[[], Any] | None = None, /) -> None: ...

    @overload
    def __call__(self, handler: _F, /) -> _F: ...

    def __call__(self, first: Any, next: Callable[[], Any] | None = None, /) -> Any:
        """Register a function, as a decorator; or run as middleware, with a context and ``next``."""
        if next is None and callable(first):
            self._install((first,), self._where)
            return first
        self._compiled().run(first, next)
        return None

    @property
    def is_frozen(self) -> bool:
        """Whether it has run (or was compiled into a bot that has) and takes no more registrations."""
        return self._chain is not None

    def _compiled(self) -> Chain:
        chain = self._chain
        if chain is not None:
            return chain
        with _compiling:
            if self._chain is None:
                if self._is_compiling:
                    raise ConfigError("a composer was installed in itself")
                self._is_compiling = True
                try:
                    self._chain = Chain([step for node in self._nodes for step in node.steps()])
                finally:
                    self._is_compiling = False
                self._warn_of_idle()
            return self._chain

    def _add(self, node: Node) -> None:
        if self._chain is not None:
            raise ConfigError(
                "handlers cannot be registered after the first update: register them all, outside of handlers, "
                "before the bot runs"
            )
        self._nodes.append(node)

    def _expect(self, where: str, function: Callable[..., Any], *children: Composer) -> None:
        """Note a condition that does nothing as long as nothing is registered behind it."""
        self._conditions.append((where, function, children))

    def _warn_of_idle(self) -> None:
        """Tell of conditions without handlers: mostly a bare decorator, which takes the handler for the condition."""
        argument = {"filter": "predicate", "branch": "predicate", "error_boundary": "on_error"}
        for where, function, children in self._conditions:
            if not any(child._nodes for child in children):
                _log.warning(
                    "%s(%s) has nothing registered behind it; a decorator is written @bot.%s(%s)",
                    where,
                    describe(function),
                    where,
                    argument[where],
                )

    def _install(self, handlers: Iterable[Handler], where: str) -> None:
        for handler in handlers:
            if isinstance(handler, Composer):
                self._add(ComposerNode(handler))
            else:
                self._add(FunctionNode(handler, takes_next(handler, where)))

    def _filtered(
        self,
        where: str,
        handlers: Iterable[Handler],
        *,
        kinds: frozenset[str] | None = None,
        commands: frozenset[str] | None = None,
        texts: frozenset[str] | None = None,
        test: Callable[[Context], object] | None = None,
    ) -> Composer:
        """Add a composer behind a condition, and return it."""
        child = Composer()
        child._where = where
        child._install(handlers, where)
        self._add(ComposerNode(child, kinds=kinds, commands=commands, texts=texts, test=test))
        return child

    def _triggered(
        self, where: str, triggers: Trigger | Iterable[Trigger], handlers: Iterable[Handler], kinds: frozenset[str]
    ) -> Composer:
        parsed = parse_triggers(triggers, where)
        return self._filtered(where, handlers, kinds=kinds, texts=exact_texts(parsed), test=text_test(parsed))


class Branch:
    """The two sides of `Composer.branch`: ``.true`` and ``.false``, each a composer and a decorator."""

    def __init__(self, true: Composer, false: Composer) -> None:
        self.true = true
        self.false = false

    def __call__(self, handler: _F, /) -> _F:
        """Register a handler for the true side, as a decorator."""
        return self.true(handler)


class Route:
    """The ways of `Composer.route`: ``.case(key)`` and ``.fallback``, each a composer and a decorator."""

    def __init__(self, cases: dict[Any, Composer], fallback: Composer, owner: Composer) -> None:
        self._cases = cases
        self._owner = owner
        self.fallback = fallback

    def case(self, key: Any, *handlers: Handler) -> Composer:
        """Return the composer for one key, with `handlers` added."""
        try:
            hash(key)
        except TypeError:
            raise ConfigError(f"route: case() takes one key that can be in a dict, not {key!r}") from None
        if key not in self._cases:
            if self._owner.is_frozen:
                raise ConfigError(f"route: case({key!r}) cannot be added after the first update")
            self._cases[key] = _composed((), "route")
        composer = self._cases[key]
        composer._install(handlers, "route")
        return composer


def _composed(handlers: Handler | Iterable[Handler], where: str) -> Composer:
    """Return a handler, or several, as a composer of their own."""
    if isinstance(handlers, Composer):
        return handlers
    composer = Composer()
    composer._where = where
    composer._install(handlers if isinstance(handlers, (list, tuple)) else (handlers,), where)
    return composer
