"""Serve the Bot API in this process: behind the page of the playground, or for a replay that nobody is to hear."""

from contextlib import ExitStack
from typing import TYPE_CHECKING, NamedTuple

from runner_c.command.option import PLAYGROUND_DEFAULT, PLAYGROUND_PORT
from runner_c.command.settings import Settings, UsageError

if TYPE_CHECKING:
    from pyruntime.testing import FakeBotApi

__all__ = ["LocalServer", "is_real", "open_local_server"]

REPLAY_TOKEN = "123456789:replay-replay-replay-replay-replay12"


class LocalServer(NamedTuple):
    """A fake server of this run, what the bot needs to reach it, and the address of its page, if it has one."""

    server: "FakeBotApi"
    token: str
    api_root: str
    page: str | None


def is_real(settings: Settings) -> bool:
    """Tell whether the calls of a replay are to go to a real server: only if the command line itself names it."""
    return settings.sources.get("api_root", "").startswith("--")


def open_local_server(settings: Settings, stack: ExitStack) -> LocalServer | None:
    """Serve until the run has ended, if the settings ask for it; else return None.

    Raises:
        UsageError: the playground cannot listen.
    """
    if settings.playground:
        return _open_playground(settings, settings.playground, stack)
    if settings.replay and not is_real(settings):
        from pyruntime.testing import FakeBotApi

        server = stack.enter_context(FakeBotApi(REPLAY_TOKEN, knows_any_chat=True))
        return LocalServer(server, server.token, server.url, None)
    return None


def _open_playground(settings: Settings, address: str, stack: ExitStack) -> LocalServer:
    from pyruntime.testing.playground import Playground

    if address == PLAYGROUND_DEFAULT:
        tries = [("127.0.0.1", PLAYGROUND_PORT), ("127.0.0.1", 0)]
    else:
        host, _, port = address.rpartition(":")
        tries = [(host, int(port))]
    for host, number in tries:
        playground = Playground(host, number, target=settings.target or "bot:bot")
        try:
            playground.start()
        except OSError as error:
            problem = error
            continue
        stack.callback(playground.stop)
        playground.server.world.knows_any_chat = bool(settings.replay)
        return LocalServer(playground.server, playground.token, playground.api_root, playground.url)
    raise UsageError(f"the playground cannot listen on {host}:{number}: {problem.strerror}; give another address")
