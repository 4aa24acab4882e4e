"""Run a bot from the command line.

This is the place where engine and bot layer are put together: it alone imports `pyruntime`, and only where it is
needed (the playground, scripts of telebot). What it does, in order: read the settings (`settings`), set up the log
(`logs`), start the playground if asked for, import the target (`target`), give the bot its token, run it, wait
(`signals`). A target that polls for itself is run as a script (`script`, `script_run`), and the rest happens where it
polls. The file passes 400 lines because all of this is put together here.
"""

import faulthandler
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, NoReturn

from runner_c.command import dead_letters, exit_code
from runner_c.command.banner import banner, bot_name
from runner_c.command.build import GilWatch, describe_python
from runner_c.command.ending import Ending
from runner_c.command.import_watch import ImportWatch
from runner_c.command.logs import Scrubber, flush, log, set_up
from runner_c.command.option import OPTIONS, PLAYGROUND_DEFAULT, PLAYGROUND_PORT
from runner_c.command.replay import ReplayEntrance, is_real, open_fake_server
from runner_c.command.script import find_script
from runner_c.command.script_run import ScriptRun
from runner_c.command.settings import Settings, UsageError, parse, resolve, token_of
from runner_c.command.signals import Event, Held, Inbox, Outcome, leave, supervise
from runner_c.command.target import Target, load, search
from runner_c.command.webhook import AddressInUse, WebhookEntrance
from runner_c.errors import ConfigError, StoreError, StoreInUse
from runner_c.secret import describe_error
from runner_c.version import __version__

if TYPE_CHECKING:
    from pyruntime.adapters.telebot import PollingCall
    from pyruntime.testing import FakeBotApi
    from runner_c import Recorder, RunnerHandle

__all__ = ["main"]

STORE_WAIT_S = 60.0
"""How long a start waits for another runner to let go of the store, as long as it bears with conflicts of polling."""

STORE_LOOK_S = 0.1
"""How often it looks, in seconds."""

SETTINGS = {"allowed_updates": "allowed_updates", "drop_pending": "drop_pending", "poll_timeout_s": "poll_timeout"}
"""The settings of the options that a script may set."""

NAME_WAIT_S = 0.5
"""How long the banner waits for the bot to learn its name."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code (see `exit_code`).

    Args: arguments, without the program's name; None for those of the process.
    Blocks: as long as the bot runs.
    """
    scrubber = Scrubber(os.environ.get("BOT_TOKEN", ""))
    environment = dict(os.environ)
    words = sys.argv[1:] if arguments is None else arguments
    try:
        if words and words[0] == "dead-letters":
            return dead_letters.run(words[1:], scrubber)
        try:
            given, action = parse(words)
        except UsageError as error:
            raise UsageError(f"{error} (see --help)") from None
        if action == "version":
            print(f"runner_c {__version__} on {describe_python()}")
            return exit_code.OK
        try:
            folder = Path.cwd()
        except OSError as error:
            raise UsageError(f"the working directory cannot be used: {error.strerror}") from None
        settings = resolve(given, environment, folder)
        token, token_source = token_of(settings, environment)
        scrubber.add(token)
        if action == "print_config":
            print(scrubber.clean(_config(settings, token, token_source)))
            return exit_code.OK
        _set_up_log(settings, scrubber)
        with Held(), ExitStack() as stack:
            start = _Start(settings, token, scrubber, stack, folder, environment, is_check=action == "check")
            outcome = start.run()
            if outcome.is_restart:
                _restart(environment, folder)
            if outcome.is_hung:
                leave(outcome.code)
            return outcome.code
    except (ConfigError, StoreError, KeyboardInterrupt) as error:
        return _told(error, scrubber)


def _told(error: BaseException, scrubber: Scrubber) -> int:
    """Tell what kept the command from running, in one line, and return the exit code."""
    if isinstance(error, KeyboardInterrupt):
        print("runner_c: interrupted", file=sys.stderr)
        return exit_code.OK
    if isinstance(error, StoreError):
        print(f"runner_c: {scrubber.clean(str(error))}", file=sys.stderr)
        return exit_code.of_store(error)
    if not isinstance(error, ConfigError):
        log.critical("crashed", exc_info=error, extra={"action": "runner.crashed"})
        return exit_code.CRASHED
    if error.__cause__ is not None:
        log.debug("traceback of the error below", exc_info=error.__cause__)
    print(f"runner_c: {scrubber.clean(str(error))}", file=sys.stderr)
    return exit_code.USAGE


class _Start:
    """Bring settings, playground, target and engine together."""

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
        self.settings = settings
        self.stack = stack
        self.folder = folder
        self.environment = environment
        self.is_check = is_check
        # In the folder of the start, wherever the target goes when it is imported.
        self.store = settings.store_url
        if self.store and self.store.startswith("sqlite:"):
            self.store = f"sqlite:{folder / self.store.removeprefix('sqlite:')}"
        self.scrubber = scrubber
        self.token = token
        self.api_root = settings.api_root
        self.page: str | None = None
        if settings.playground:
            self._open_playground(settings.playground, stack)
        self.fake: FakeBotApi | None = None
        if settings.replay and not self.page and not is_real(settings):
            self.fake = open_fake_server(stack)
            self.token, self.api_root = self.fake.token, self.fake.url
        self.watch = GilWatch()
        self.polled: str | None = None
        self.inbox: Inbox | None = None
        self.script_run: ScriptRun | None = None
        self.target = Target(None, "")

    def run(self) -> Outcome:
        """Import or run the target, and run or check the bot. Blocks: as long as the bot runs."""
        settings = self.settings
        if settings.target is None:
            raise UsageError("say which bot to run, as in: python -m runner_c bot.py (see --help)")
        if self.token:
            os.environ["BOT_TOKEN"] = self.token
        if self.api_root:
            os.environ["BOT_API_ROOT"] = self.api_root
        watched = {"telebot": self._on_telebot, "telebot.async_telebot": self._on_async_telebot}
        self.stack.enter_context(ImportWatch(watched))
        script = find_script(settings.target)
        if script is None:
            with self.watch.watching():
                target = load(settings.target)
            return self._act(target, {})
        with Inbox() as inbox:
            self.inbox = inbox
            self.script_run = ScriptRun(script, inbox, settings.grace, self._leave)
            with self.watch.watching():
                outcome, module = self.script_run.run()
            if outcome is None:
                assert module is not None
                outcome = self._act(search(module, script.name), {})
            return outcome

    def _act(self, target: Target, wishes: Mapping[str, Any]) -> Outcome:
        """Run the bot, or check it if that is asked for. `wishes` are options that a script gives."""
        self.target = target
        self._configure()
        if self.is_check:
            return Outcome(self.check())
        if self.inbox is not None:
            return self._run(self.inbox, wishes)
        with Inbox() as inbox:
            return self._run(inbox, wishes)

    def check(self) -> int:
        """Check what can be checked without polling, and print it. Returns: an exit code."""
        print(f"target {self.target.name}: ok{f', a script that calls {self.polled}()' if self.polled else ''}")
        print(f"settings: ok ({sum(source != 'default' for source in self.settings.sources.values())} set)")
        bot: Any = self.target.bot
        if not getattr(bot, "token", None):
            print("token: there is none, so it was not checked; set BOT_TOKEN")
        elif not callable(getattr(getattr(bot, "api", None), "get_me", None)):
            print("token: not checked, because the target has no api.get_me")
        else:
            try:
                me = bot.api.get_me()
            except Exception as error:
                print(f"token: {self.scrubber.clean(describe_error(error))}")
                return exit_code.of_error(error)
            print(f"token: ok, it is @{me.get('username')}")
        return exit_code.OK

    def _run(self, inbox: Inbox, wishes: Mapping[str, Any]) -> Outcome:
        """Run the bot until it ends or is stopped. Blocks: as long as the bot runs."""
        bot: Any = self.target.bot
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
        with _told_once() as ending:
            handle = ending.handle = self._begin(inbox, wishes)
            latest = time.monotonic() + NAME_WAIT_S
            while (
                hasattr(type(bot), "me")
                and not bot_name(bot)
                and not handle.task().done()
                and time.monotonic() < latest
            ):
                time.sleep(0.01)
            if not handle.task().done():
                ending.has_begun = True
                print(banner(self.settings, self.target.name, bot, self.page), file=sys.stderr, flush=True)
            if complaint := self.watch.complaint():
                log.warning("%s", complaint, extra={"action": "gil.on"})
            return supervise(handle, self.settings.grace, inbox, self.scrubber.clean)

    def _begin(self, inbox: Inbox, wishes: Mapping[str, Any]) -> "RunnerHandle":
        """Start the runner, as soon as the one before it lets go of store and port: a redeploy has both for a while.

        Raises:
            StoreInUse, AddressInUse: it did not within `STORE_WAIT_S`.
            KeyboardInterrupt: a signal came while it was waited for.
        """
        begin = self._way_in()
        options = {**_run_options(self.settings), **wishes}
        if self.settings.record:
            options["record"] = self._recorder(self.settings.record)
        bot: Any = self.target.bot
        latest = time.monotonic() + STORE_WAIT_S
        is_told = False
        while True:
            try:
                return begin(bot, self.store, options)
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

    def _way_in(self) -> "Callable[[Any, str | None, dict[str, Any]], RunnerHandle]":
        """Return what starts the runner: on a recording, with a webhook, or polling."""
        if self.settings.replay:
            if self.settings.webhook:
                raise UsageError("--replay and --webhook are two ways to get updates: keep one")
            return ReplayEntrance(self.settings, self.fake, self.stack).begin
        if self.settings.webhook:
            token = getattr(self.target.bot, "token", None)
            return WebhookEntrance(self.settings, token if isinstance(token, str) else None, self.stack).begin
        from runner_c import run

        if self.settings.remove_webhook:
            self._remove_webhook()
        return lambda bot, store, options: run(bot, store=store, **options)

    def _recorder(self, path: str) -> "Recorder":
        from runner_c import Recorder

        recorder = Recorder(self.folder / path)
        self.stack.callback(recorder.close)
        return recorder

    def _remove_webhook(self) -> None:
        api: Any = getattr(self.target.bot, "api", None)
        if not callable(getattr(api, "call", None)):
            raise UsageError("--remove-webhook: the target has no api to call deleteWebhook with")
        try:
            api.call("deleteWebhook")
        except Exception as error:
            if exit_code.of_error(error) == exit_code.UNAUTHORIZED:
                return  # polling says the same, with the right exit code
            raise UsageError(f"--remove-webhook: {describe_error(error)}") from None
        log.info("the webhook is removed", extra={"action": "webhook.removed"})

    def _open_playground(self, address: str, stack: ExitStack) -> None:
        from pyruntime.testing.playground import Playground

        if address == PLAYGROUND_DEFAULT:
            tries = [("127.0.0.1", PLAYGROUND_PORT), ("127.0.0.1", 0)]
        else:
            host, _, port = address.rpartition(":")
            tries = [(host, int(port))]
        for host, number in tries:
            playground = Playground(host, number, target=self.settings.target or "bot:bot")
            try:
                playground.start()
            except OSError as error:
                problem = error
                continue
            stack.callback(playground.stop)
            playground.server.world.knows_any_chat = bool(self.settings.replay)
            self.token, self.api_root, self.page = playground.token, playground.api_root, playground.url
            self.scrubber.add(playground.token)
            return
        raise UsageError(f"the playground cannot listen on {host}:{number}: {problem.strerror}; give another address")

    def _configure(self) -> None:
        """Hand token and API root to a bot that takes them."""
        bot: Any = self.target.bot
        settings = self.settings
        configure = getattr(bot, "configure", None)
        if callable(configure):
            changes: dict[str, str] = {}
            if self.token and (self._is_token_forced or not getattr(bot, "token", None)):
                changes["token"] = self.token
            if self.api_root and (self.page or self.fake or settings.sources["api_root"] != "BOT_API_ROOT"):
                changes["api_root"] = self.api_root
            if changes:
                configure(**changes)
        own = getattr(bot, "token", None)
        self.scrubber.add(own if isinstance(own, str) else None)

    @property
    def _is_token_forced(self) -> bool:
        """True when the bot gets its token from here, even if it has one of its own."""
        return bool(self.page or self.fake or self.settings.token_file)

    # -- telebot ------------------------------------------------------------------------------------------------------

    def _on_telebot(self, telebot: ModuleType) -> None:
        """Take over what telebot bots do by themselves, before the first of them is made."""
        from pyruntime.adapters.telebot import PollingTakeover

        token = self.token if self._is_token_forced else None
        takeover = PollingTakeover(telebot, self._on_poll, self._on_stop, token=token, api_root=self.api_root)
        self.stack.enter_context(takeover)

    def _on_async_telebot(self, module: Any) -> None:
        def refuse(*_: Any, **__: Any) -> NoReturn:
            raise UsageError("runner_c runs synchronous bots: an AsyncTeleBot is asynchronous, use a TeleBot")

        before = module.AsyncTeleBot.__init__
        module.AsyncTeleBot.__init__ = refuse
        self.stack.callback(setattr, module.AsyncTeleBot, "__init__", before)

    def _on_poll(self, call: "PollingCall") -> None:
        """Run the bot of a script in the thread in which it polls."""
        run = self.script_run
        if run is None:
            raise UsageError(
                f"{self.settings.target} calls {call.name}() while it is imported: give the file that does it"
            )
        run.poll(call.bot, lambda: self._run_polled(call), is_last=self.is_check)

    def _on_stop(self, bot: object) -> None:
        from pyruntime.adapters.telebot import adapt

        if self.script_run is not None:
            self.script_run.stop(adapt(bot))

    def _run_polled(self, call: "PollingCall") -> Outcome:
        self.polled = call.name
        if call.unused and not self.is_check:
            log.info(
                "%s(%s): not used, the engine polls in its own way",
                call.name,
                ", ".join(call.unused),
                extra={"action": "script.unused"},
            )
        sources = self.settings.sources
        wishes = {name: value for name, value in call.options.items() if sources[SETTINGS[name]] == "default"}
        assert self.settings.target is not None
        return self._act(Target(call.bot, self.settings.target), wishes)

    def _leave(self, result: Outcome | BaseException) -> NoReturn:
        """End the process though threads of the script go on."""
        if not isinstance(result, Outcome):
            leave(_told(result, self.scrubber))
        if result.is_restart:
            Held().__enter__()  # what comes in the meantime waits for the next run
            _restart(self.environment, self.folder)
        leave(result.code)


@contextmanager
def _told_once() -> Iterator[Ending]:
    """Put an `Ending` on all handlers of the log."""
    ending = Ending()
    handlers = logging.getLogger().handlers[:]
    for handler in handlers:
        handler.addFilter(ending)
    try:
        yield ending
    finally:
        for handler in handlers:
            handler.removeFilter(ending)


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


def _set_up_log(settings: Settings, scrubber: Scrubber) -> None:
    try:
        set_up(settings.log_level, settings.log_format, settings.log_file, scrubber)
    except OSError as error:
        source = settings.sources["log_file"]
        raise UsageError(f"{source}: cannot write {settings.log_file}: {error.strerror}") from None
    for warning in settings.warnings:
        log.warning("%s", warning, extra={"action": "settings.mistyped"})


def _config(settings: Settings, token: str | None, token_source: str) -> str:
    """Return the settings in effect, one a line, each with its source; of the token only where it comes from."""
    lines = []
    for option in OPTIONS:
        value = getattr(settings, option.name)
        shown = option.unset if value is None else ",".join(value) if isinstance(value, list) else str(value)
        lines.append(f"{option.name} = {shown}  ({settings.sources[option.name]})")
    lines.append(f"token = *****  ({token_source})" if token else "token = none  (default)")
    return "\n".join(lines)


def _restart(environment: Mapping[str, str], folder: Path) -> NoReturn:
    """Replace this process by a new run of the same command, in the environment and the folder of the start."""
    log.info("restarting", extra={"action": "runner.restarting"})
    try:
        os.chdir(folder)
    except OSError as error:
        log.error("cannot go back to %s: %s", folder, error.strerror, extra={"action": "runner.restarting"})
    flush()
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], dict(environment))
