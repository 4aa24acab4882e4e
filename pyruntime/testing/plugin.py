"""Give pytest the fixtures `bot_api` and `run_bot`.

```python
def test_start(bot_api, run_bot):
    run_bot(bot)
    chat = bot_api.chat(1)
    chat.send("/start")
    assert chat.reply().text == "visit 1"
```

The plugin is loaded at the start of every pytest run of whoever has the package installed: it imports nothing heavy
until a fixture is used.
"""

from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pyruntime.testing.server import FakeBotApi

_STOP_TIMEOUT_S = 10.0


class BotRunner:
    """Run bots against a fake server; the fixture `run_bot` is one."""

    def __init__(self, server: "FakeBotApi") -> None:
        """Run bots against `server`."""
        self._server = server
        self.handles: list[Any] = []

    def __call__(self, bot: Any, **options: Any) -> "FakeBotApi":
        """Point `bot` at the fake server, run it with the `options` of `runner_c.run`, and return the server.

        Sessions that the bot keeps in memory begin empty at each call, so that tests do not see each other's. The
        runner is stopped after the test. If it ended by an error of its own, the test fails.
        """
        from runner_c import adapted, run

        bot = adapted(bot, ("get_updates", "handle_update"))
        configure = getattr(bot, "configure", None)
        if configure is not None:
            configure(token=self._server.token, api_root=self._server.url)
        forget_sessions = getattr(bot, "forget_sessions", None)
        if forget_sessions is not None:
            forget_sessions()
        self.handles.append(run(bot, **options))
        return self._server

    @property
    def handle(self) -> Any:
        """Return the `RunnerHandle` of the bot that was started last.

        Raises: LookupError if none was.
        """
        if not self.handles:
            raise LookupError("no bot was started: call run_bot(bot) first")
        return self.handles[-1]

    def stop(self) -> list[BaseException]:
        """Stop every runner and return the errors that ended some of them. Safe to call twice."""
        self._server.answer_polls_at_once()
        for handle in self.handles:
            handle.stop(timeout_s=_STOP_TIMEOUT_S)
        return self.errors()

    def errors(self) -> list[BaseException]:
        """Return the errors of the runners that have ended by one."""
        errors = []
        for handle in self.handles:
            task = handle.task()
            error = task.exception() if task.done() and not task.cancelled() else None
            if error is not None:
                errors.append(error)
        return errors


@pytest.fixture
def bot_api_options() -> dict[str, Any]:
    """Return the arguments of the server that `bot_api` starts; override this fixture to change them."""
    return {}


@pytest.fixture
def bot_api(bot_api_options: dict[str, Any]) -> "Iterator[FakeBotApi]":
    """Start a fake Bot API server for one test; the tail of its transcript is shown if the test fails."""
    from pyruntime.testing.server import FakeBotApi

    with FakeBotApi(**bot_api_options) as server:
        yield server


@pytest.fixture
def run_bot(bot_api: "FakeBotApi") -> Iterator[BotRunner]:
    """Return a function that runs a bot against `bot_api` until the test is over, with empty in-memory sessions."""
    runner = BotRunner(bot_api)
    yield runner
    runner.stop()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Fail a test whose runner ended by an error; add that error to a test that failed for lack of replies."""
    try:
        outcome = yield
    except Exception as error:
        for cause in _runner_errors(item, stops=False):
            error.add_note(f"The runner had ended by an error: {type(cause).__name__}: {cause}")
        raise
    errors = _runner_errors(item, stops=True)
    if errors:
        raise errors[0]
    return outcome


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the tail of the transcript in the report of a failed test."""
    report = yield
    if report.failed:
        server = getattr(item, "funcargs", {}).get("bot_api")
        if server is not None and hasattr(server, "describe_calls"):
            report.sections.append(("calls of the bot", server.describe_calls()))
    return report


def _runner_errors(item: pytest.Item, stops: bool) -> list[BaseException]:
    runner = getattr(item, "funcargs", {}).get("run_bot")
    if not isinstance(runner, BotRunner):
        return []
    return runner.stop() if stops else runner.errors()
