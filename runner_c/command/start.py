"""Bring settings, playground, target and engine together."""

import faulthandler
import os
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

from runner_c.command import exit_code
from runner_c.command.banner import banner, bot_name
from runner_c.command.build import GilWatch
from runner_c.command.ending import restart, tell, told_once
from runner_c.command.local_server import open_local_server
from runner_c.command.logs import Scrubber, log
from runner_c.command.polling import PollingEntrance
from runner_c.command.replay import ReplayEntrance
from runner_c.command.script import find_script
from runner_c.command.script_run import ScriptRun
from runner_c.command.settings import Settings, UsageError
from runner_c.command.signals import Event, Held, Inbox, Outcome, leave, supervise
from runner_c.command.target import Target, load, search
from runner_c.command.telebot_script import TelebotWatch
from runner_c.command.webhook import AddressInUse, WebhookEntrance
from runner_c.errors import StoreInUse
from runner_c.secret import describe_error

if TYPE_CHECKING:
    from runner_c import RunnerHandle

__all__ = ["Start"]

STORE_WAIT_S = 60.0
"""How long a start waits for another runner to let go of the store, as long as it bears with conflicts of polling."""

STORE_LOOK_S = 0.1
"""How often it looks, in seconds."""

NAME_WAIT_S = 0.5
"""How long the banner waits for the bot to learn its name."""


class Entrance(Protocol):
    """A way in for updates."""

    def begin(self, bot: Any, store: str | None, options: dict[str, Any]) -> "RunnerHandle":
        """Start the runner; may be called again after `StoreInUse` and `AddressInUse`."""
        ...


class Start:
    """One start of a bot.

    Args:
        settings, token: as they were found.
        scrubber: learns of the tokens that come up.
        stack: undoes what the start does, when the run has ended.
        folder, environment: of the command, for paths and for a restart; the target may change its own.
        is_check: check instead of running.
    """

    def __init__(
        self,
        settings: Settings,
        token: str | None,
        scrubber: Scrubber,
        stack: ExitStack,
        folder: Path,
        environment: Mapping[str, str],
        *,
        is_check: bool,
    ) -> None:
        self._settings = settings
        self._stack = stack
        self._folder = folder
        self._environment = environment
        self._is_check = is_check
        self._scrubber = scrubber
        # In the folder of the start, wherever the target goes when it is imported.
        self._store = settings.store_url
        if self._store and self._store.startswith("sqlite:"):
            self._store = f"sqlite:{folder / self._store.removeprefix('sqlite:')}"
        self._local = open_local_server(settings, stack)
        self._token = self._local.token if self._local else token
        self._api_root = self._local.api_root if self._local else settings.api_root
        self._scrubber.add(self._token)
        # True when the bot gets its token from here, even if it has one of its own.
        self._is_token_forced = bool(self._local or settings.token_file)
        self._gil = GilWatch()
        self._inbox: Inbox | None = None

    def run(self) -> Outcome:
        """Import or run the target, and run or check the bot. Blocks: as long as the bot runs."""
        settings = self._settings
        if settings.target is None:
            raise UsageError("say which bot to run, as in: python -m runner_c bot.py (see --help)")
        if self._token:
            os.environ["BOT_TOKEN"] = self._token
        if self._api_root:
            os.environ["BOT_API_ROOT"] = self._api_root
        token = self._token if self._is_token_forced else None
        telebot = TelebotWatch(settings, token, self._api_root, self._act, self._is_check, self._stack)
        script = find_script(settings.target)
        if script is None:
            with self._gil.watching():
                target = load(settings.target)
            return self._act(target)
        with Inbox() as inbox:
            self._inbox = inbox
            telebot.script_run = ScriptRun(script, inbox, settings.grace, self._leave)
            with self._gil.watching():
                outcome, module = telebot.script_run.run()
            if outcome is None:
                assert module is not None
                outcome = self._act(search(module, script.name))
            return outcome

    def _act(self, target: Target, wishes: Mapping[str, Any] | None = None, polled: str | None = None) -> Outcome:
        """Run the bot, or check it if that is asked for.

        Args: wishes, options that a script gives; polled, the method by which it does.
        """
        self._configure(target.bot)
        if self._is_check:
            return Outcome(self._check(target, polled))
        if self._inbox is not None:
            return self._run(target, self._inbox, wishes or {})
        with Inbox() as inbox:
            return self._run(target, inbox, wishes or {})

    def _configure(self, bot: Any) -> None:
        """Hand token and API root to a bot that takes them."""
        configure = getattr(bot, "configure", None)
        if callable(configure):
            changes: dict[str, str] = {}
            if self._token and (self._is_token_forced or not getattr(bot, "token", None)):
                changes["token"] = self._token
            if self._api_root and (self._local or self._settings.sources["api_root"] != "BOT_API_ROOT"):
                changes["api_root"] = self._api_root
            if changes:
                configure(**changes)
        elif self._local and self._settings.replay:
            log.warning(
                "the target has no configure(token, api_root): its own calls go where it sends them, and are heard",
                extra={"action": "replay.not_redirected"},
            )
        own = getattr(bot, "token", None)
        self._scrubber.add(own if isinstance(own, str) else None)

    def _check(self, target: Target, polled: str | None) -> int:
        """Check what can be checked without polling, and print it. Returns: an exit code."""
        print(f"target {target.name}: ok{f', a script that calls {polled}()' if polled else ''}")
        print(f"settings: ok ({sum(source != 'default' for source in self._settings.sources.values())} set)")
        bot: Any = target.bot
        if not getattr(bot, "token", None):
            print("token: there is none, so it was not checked; set BOT_TOKEN")
        elif not callable(getattr(getattr(bot, "api", None), "get_me", None)):
            print("token: not checked, because the target has no api.get_me")
        else:
            try:
                me = bot.api.get_me()
            except Exception as error:
                print(f"token: {self._scrubber.clean(describe_error(error))}")
                return exit_code.of_error(error)
            print(f"token: ok, it is @{me.get('username')}")
        return exit_code.OK

    def _run(self, target: Target, inbox: Inbox, wishes: Mapping[str, Any]) -> Outcome:
        """Run the bot until it ends or is stopped. Blocks: as long as the bot runs."""
        bot: Any = target.bot
        if hasattr(bot, "configure") and not getattr(bot, "token", None):
            raise UsageError(
                "there is no bot token: set BOT_TOKEN or use --token-file, or try --playground, which needs none"
            )
        if hasattr(bot, "configure"):
            try:
                getattr(bot, "api", None)  # raises if token or address cannot be one, before anything runs
            except ImportError as error:
                raise UsageError(str(error)) from None
        faulthandler.enable()
        with told_once() as ending:
            handle = ending.handle = self._begin(bot, inbox, wishes)
            latest = time.monotonic() + NAME_WAIT_S
            while (
                hasattr(type(bot), "me")
                and not bot_name(bot)
                and not handle.task().done()
                and time.monotonic() < latest
            ):
                time.sleep(0.01)
            task = handle.task()
            if not task.done() or not task.exception():
                ending.has_begun = True
                page = self._local.page if self._local else None
                print(banner(self._settings, target.name, bot, page), file=sys.stderr, flush=True)
            if complaint := self._gil.complaint():
                log.warning("%s", complaint, extra={"action": "gil.on"})
            return supervise(handle, self._settings.grace, inbox, self._scrubber.clean)

    def _begin(self, bot: Any, inbox: Inbox, wishes: Mapping[str, Any]) -> "RunnerHandle":
        """Start the runner, as soon as the one before it lets go of store and port: a redeploy has both for a while.

        Raises:
            StoreInUse, AddressInUse: it did not within `STORE_WAIT_S`.
            KeyboardInterrupt: a signal came while it was waited for.
        """
        entrance = self._entrance(bot)
        options = {**_run_options(self._settings), **wishes}
        if self._settings.record:
            from runner_c import Recorder

            recorder = options["record"] = Recorder(self._folder / self._settings.record)
            self._stack.callback(recorder.close)
        latest = time.monotonic() + STORE_WAIT_S
        is_told = False
        while True:
            try:
                return entrance.begin(bot, self._store, options)
            except (StoreInUse, AddressInUse) as error:
                if time.monotonic() >= latest:
                    raise
                if not is_told:
                    log.warning(
                        "%s; waiting up to %.0f s for it", error, STORE_WAIT_S, extra={"action": "store.in_use"}
                    )
                is_told = True
            if inbox.get(STORE_LOOK_S) is Event.STOP:
                raise KeyboardInterrupt

    def _entrance(self, bot: Any) -> Entrance:
        settings = self._settings
        if settings.replay:
            server = self._local.server if self._local else None
            return ReplayEntrance(self._folder / settings.replay, settings.replay_speed, server, self._stack)
        if settings.webhook:
            token = getattr(bot, "token", None)
            return WebhookEntrance(settings, token if isinstance(token, str) else None, self._stack)
        return PollingEntrance(settings)

    def _leave(self, result: Outcome | BaseException) -> NoReturn:
        """End the process though threads of the script go on."""
        if not isinstance(result, Outcome):
            leave(tell(result, self._scrubber))
        if result.is_restart:
            Held().__enter__()  # what comes in the meantime waits for the next run
            restart(self._environment, self._folder)
        leave(result.code)


def _run_options(settings: Settings) -> dict[str, Any]:
    return {
        "concurrency": settings.concurrency,
        "backlog": settings.backlog,
        "ack": settings.ack,
        "max_attempts": settings.max_attempts,
        "allowed_updates": settings.allowed_updates,
        "drop_pending": settings.drop_pending,
        "poll_timeout_s": settings.poll_timeout,
        "handler_timeout_s": settings.handler_timeout,
        "on_timeout": settings.on_timeout,
    }
