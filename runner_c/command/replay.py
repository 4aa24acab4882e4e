"""Run a bot on a recording instead of polling, without talking to anybody by accident."""

import math
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from runner_c.command.logs import log
from runner_c.command.settings import Settings

if TYPE_CHECKING:
    from pyruntime.testing import FakeBotApi
    from runner_c import Replay, RunnerHandle

__all__ = ["ReplayEntrance", "is_real", "open_fake_server", "speed_words"]


def is_real(settings: Settings) -> bool:
    """Tell whether the calls of a replay are to go to a real server: only if the command line itself names it."""
    return settings.sources.get("api_root", "").startswith("--")


def open_fake_server(stack: ExitStack) -> "FakeBotApi":
    """Serve a fake Bot API in this process until the run has ended."""
    from pyruntime.testing import FakeBotApi

    return stack.enter_context(FakeBotApi("123456789:replay-replay-replay-replay-replay12", knows_any_chat=True))


class ReplayEntrance:
    """Start a runner on the recording of the settings, and sum up at the end.

    Args:
        settings: with a `replay`.
        server: where the bot's calls go, to be counted; None: a real one.
        stack: what has to be done when the runner has ended.
    """

    def __init__(self, settings: Settings, server: "FakeBotApi | None", stack: ExitStack) -> None:
        self._settings = settings
        self._server = server
        self._stack = stack

    def begin(self, bot: Any, store: str | None, options: dict[str, Any]) -> "RunnerHandle":
        """Start the runner.

        Raises:
            ConfigError: the recording cannot be read; or as `runner_c.run` raises.
        """
        from runner_c import Replay, run

        assert self._settings.replay is not None
        replay = Replay(self._settings.replay, self._settings.replay_speed)
        begun_s = time.monotonic()
        handle = run(bot, source=replay, store=store, **options)
        self._stack.callback(self._sum_up, handle, replay, begun_s)
        return handle

    def _sum_up(self, handle: "RunnerHandle", replay: "Replay", begun_s: float) -> None:
        took_s = time.monotonic() - begun_s
        stats = handle.stats()
        calls = "" if self._server is None else f", {len(self._server.calls)} calls"
        log.info(
            "replayed %d updates: %d handled, %d failed, %d seen before, %d damaged lines%s, in %.2f s, %.0f updates/s",
            replay.supplied,
            stats.handled,
            stats.failed,
            stats.duplicates,
            replay.damaged,
            calls,
            took_s,
            stats.handled / max(took_s, 1e-9),
            extra={"action": "replay.ended"},
        )


def speed_words(speed: float) -> str:
    """Return a speed for the banner."""
    return "as fast as it goes" if speed == math.inf else "as it was" if speed == 1 else f"{speed:g} times as fast"
