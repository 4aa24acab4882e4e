"""Run a bot from the command line.

This is the place where engine and bot layer are put together: it alone imports `pyruntime`, and only where it is
needed (the playground, scripts of telebot, webhooks). What it does, in order: read the settings (`settings`), set up
the log (`logs`), and then `start`: open the playground if asked for (`local_server`), import the target (`target`) or
run it as a script (`script`, `script_run`, `telebot_script`), give the bot its token, start the runner where its
updates come from (`polling`, `webhook`, `replay`), and wait (`signals`).
"""

import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from runner_c.command import dead_letters, exit_code
from runner_c.command.build import describe_python
from runner_c.command.ending import restart, tell
from runner_c.command.logs import Scrubber, log, set_up
from runner_c.command.option import OPTIONS
from runner_c.command.settings import Settings, UsageError, parse, resolve, token_of
from runner_c.command.signals import Held, leave
from runner_c.command.start import Start
from runner_c.errors import ConfigError, StoreError
from runner_c.version import __version__

__all__ = ["main"]


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
            start = Start(settings, token, scrubber, stack, folder, environment, is_check=action == "check")
            outcome = start.run()
            if outcome.is_restart:
                restart(environment, folder)
            if outcome.is_hung:
                leave(outcome.code)
            return outcome.code
    except (ConfigError, StoreError, KeyboardInterrupt) as error:
        return tell(error, scrubber)


def _set_up_log(settings: Settings, scrubber: Scrubber) -> None:
    try:
        set_up(settings.log_level, settings.log_format, settings.log_file, scrubber)
    except OSError as error:
        source = settings.sources["log_file"]
        raise UsageError(f"{source}: cannot write {settings.log_file}: {error.strerror}") from None
    for warning in settings.warnings:
        log.warning("%s", warning, extra={"action": "settings.not_read"})


def _config(settings: Settings, token: str | None, token_source: str) -> str:
    """Return the settings in effect, one a line, each with its source; of the token only where it comes from."""
    lines = []
    for option in OPTIONS:
        value = getattr(settings, option.name)
        shown = option.unset if value is None else ",".join(value) if isinstance(value, list) else str(value)
        lines.append(f"{option.name} = {shown}  ({settings.sources[option.name]})")
    lines.append(f"token = *****  ({token_source})" if token else "token = none  (default)")
    return "\n".join(lines)
