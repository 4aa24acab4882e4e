"""Let a script of pyTelegramBotAPI run unchanged: where it polls, the engine does."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from types import ModuleType
from typing import TYPE_CHECKING, Any, NoReturn

from runner_c.command.import_watch import ImportWatch
from runner_c.command.logs import log
from runner_c.command.script_run import ScriptRun
from runner_c.command.settings import Settings, UsageError
from runner_c.command.signals import Outcome
from runner_c.command.target import Target

if TYPE_CHECKING:
    from pyruntime.adapters.telebot import PollingCall

__all__ = ["TelebotWatch"]

SETTINGS = {"allowed_updates": "allowed_updates", "drop_pending": "drop_pending", "poll_timeout_s": "poll_timeout"}
"""The settings of the options that a script may set."""

Act = Callable[[Target, Mapping[str, Any], str | None], Outcome]
"""Runs a target with the options that a script wishes; the third is the polling method that it called."""


class TelebotWatch:
    """Take over what telebot bots do by themselves, from the moment in which telebot is imported.

    Args:
        settings: with the target.
        token: takes the place of that of each bot; None: each keeps its own.
        api_root: where the Bot API is; None: where the script says.
        act: runs the bot in the thread that polls, and returns when the run has ended.
        is_check: the script ends where it polls.
        stack: undoes it all.
    """

    def __init__(
        self, settings: Settings, token: str | None, api_root: str | None, act: Act, is_check: bool, stack: ExitStack
    ) -> None:
        self._settings = settings
        self._token = token
        self._api_root = api_root
        self._act = act
        self._is_check = is_check
        self._stack = stack
        self.script_run: ScriptRun | None = None
        stack.enter_context(ImportWatch({"telebot": self._on_import, "telebot.async_telebot": self._on_async_import}))

    def _on_import(self, telebot: ModuleType) -> None:
        from pyruntime.adapters.telebot import PollingTakeover

        takeover = PollingTakeover(telebot, self._on_poll, self._on_stop, token=self._token, api_root=self._api_root)
        self._stack.enter_context(takeover)

    def _on_async_import(self, module: Any) -> None:
        def refuse(*_: Any, **__: Any) -> NoReturn:
            raise UsageError("runner_c runs synchronous bots: an AsyncTeleBot is asynchronous, use a TeleBot")

        before = module.AsyncTeleBot.__init__
        module.AsyncTeleBot.__init__ = refuse
        self._stack.callback(setattr, module.AsyncTeleBot, "__init__", before)

    def _on_poll(self, call: "PollingCall") -> None:
        """Run the bot of a script in the thread in which it polls."""
        run = self.script_run
        if run is None:
            raise UsageError(
                f"{self._settings.target} calls {call.name}() while it is imported: give the file that does it"
            )
        run.poll(call.bot, lambda: self._run(call), is_last=self._is_check)

    def _on_stop(self, bot: object) -> None:
        from pyruntime.adapters.telebot import adapt

        if self.script_run is not None:
            self.script_run.stop(adapt(bot))

    def _run(self, call: "PollingCall") -> Outcome:
        if call.unused and not self._is_check:
            log.info(
                "%s(%s): not used, the engine polls in its own way",
                call.name,
                ", ".join(call.unused),
                extra={"action": "script.unused"},
            )
        sources = self._settings.sources
        wishes = {name: value for name, value in call.options.items() if sources[SETTINGS[name]] == "default"}
        assert self._settings.target is not None
        return self._act(Target(call.bot, self._settings.target), wishes, call.name)
