"""Run a bot on a recording instead of polling, without talking to anybody by accident."""

import math
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner_c.command.logs import log
from runner_c.command.settings import UsageError
from runner_c.secret import describe_error

if TYPE_CHECKING:
    from pyruntime.testing import FakeBotApi
    from runner_c import Replay, RunnerHandle

__all__ = ["ReplayEntrance", "speed_words"]


class ReplayEntrance:
    """Start a runner on a recording, and sum up at the end.

    Args:
        path: of the recording.
        speed: of the replay, as `runner_c.Replay` takes it.
        server: where the bot's calls go, which learns of the recorded updates; None: a real one.
        stack: what has to be done when the runner has ended.
    """

    def __init__(self, path: Path, speed: float, server: "FakeBotApi | None", stack: ExitStack) -> None:
        self._path = path
        self._speed = speed
        self._server = server
        self._stack = stack

    def begin(self, bot: Any, store: str | None, options: dict[str, Any]) -> "RunnerHandle":
        """Start the runner.

        Raises:
            ConfigError: the recording cannot be read, or holds none; or as `runner_c.run` raises.
        """
        from runner_c import Replay, adapted, run

        replay = Replay(self._path, self._speed)
        if next(replay.updates(), None) is None and self._path.stat().st_size:
            raise UsageError(f"replay: {self._path} holds no updates; see --record")
        if self._server is not None:
            self._server.prepare_for(replay.updates())
            bot = _Taught(adapted(bot, ("handle_update",)), self._server)
        begun_s = time.monotonic()
        handle = run(bot, source=replay, store=store, **options)
        self._stack.callback(self._sum_up, handle, replay, begun_s)
        return handle

    def _sum_up(self, handle: "RunnerHandle", replay: "Replay", begun_s: float) -> None:
        took_s = time.monotonic() - begun_s
        stats = handle.stats()
        calls = "" if self._server is None else f", {self._server.transcript.total} calls"
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


class _Taught:
    """A bot whose server learns of each update just before it is handled, as Telegram knew of it then.

    At the admission would be too early: a bot that handles one message and is admitted the next would number its
    replies behind both.
    """

    def __init__(self, bot: Any, server: "FakeBotApi") -> None:
        self._bot = bot
        self._server = server

    def __getattr__(self, name: str) -> Any:
        return getattr(self._bot, name)

    def handle_update(self, update: dict[str, Any]) -> None:
        try:
            self._server.learn(update)
        except Exception as error:
            # What is in a file may be anything, and it is the bot's turn to say what it thinks of it.
            log.warning(
                "the fake server makes nothing of update %s: %s",
                update.get("update_id"),
                describe_error(error),
                extra={"action": "replay.not_learned"},
            )
        self._bot.handle_update(update)


def speed_words(speed: float) -> str:
    """Return a speed for the banner."""
    return "as fast as it goes" if speed == math.inf else "as it was" if speed == 1 else f"{speed:g} times as fast"
