"""The pytest plugin, used as its users use it."""

import subprocess
import sys
from typing import Any

import pytest

pytest_plugins = ["pytester", "pyruntime.testing.plugin"]

BOT = """
from pyruntime import Bot

bot = Bot()

@bot.command("start")
def start(ctx):
    ctx.reply("hello")

@bot.command("boom")
def boom(ctx):
    raise ValueError("boom")
"""


@pytest.fixture
def run_tests(pytester: pytest.Pytester) -> Any:
    """Return a function that runs pytest on a test file, in a process of its own, with the plugin loaded once."""
    pytester.makepyfile(shop=BOT)
    pytester.makeconftest(
        """
        def pytest_configure(config):
            loaded = {getattr(plugin, "__name__", "") for plugin in config.pluginmanager.get_plugins()}
            if "pyruntime.testing.plugin" not in loaded:
                config.pluginmanager.import_plugin("pyruntime.testing.plugin")
        """
    )

    def run(source: str) -> pytest.RunResult:
        pytester.makepyfile(test_shop=source)
        return pytester.runpytest_subprocess("-q", "-W", "error", timeout=60)

    return run


class EchoBot:
    """A bot that knows nothing of the bot layer."""

    def __init__(self, api: Any) -> None:
        self._api = api
        self.seen: list[str] = []

    def get_updates(self, *, offset: int, limit: int, timeout: int, allowed_updates: Any) -> list[dict[str, Any]]:
        client = make_client(self._api)
        try:
            return list(client.updates(offset=offset, limit=limit, timeout=0 if self.seen else timeout))
        finally:
            client.close()

    def handle_update(self, update: dict[str, Any]) -> None:
        self.seen.append(update["message"]["text"])
        client = make_client(self._api)
        client.call("sendMessage", chat_id=update["message"]["chat"]["id"], text="echo")
        client.close()


def make_client(api: Any) -> Any:
    import http.client
    import json

    class Client:
        def __init__(self) -> None:
            self.connection = http.client.HTTPConnection(api.host, api.port, timeout=30)

        def call(self, method: str, **parameters: Any) -> Any:
            body = json.dumps(parameters).encode()
            self.connection.request("POST", f"/bot{api.token}/{method}", body, {"Content-Type": "application/json"})
            return json.loads(self.connection.getresponse().read())

        def updates(self, **parameters: Any) -> Any:
            return self.call("getUpdates", **parameters)["result"]

        def close(self) -> None:
            self.connection.close()

    return Client()


def test_a_bot_is_tested_in_five_lines(run_tests: Any) -> None:
    result = run_tests(
        """
        from shop import bot

        def test_start(bot_api, run_bot):
            run_bot(bot)
            chat = bot_api.chat(1)
            chat.send("/start")
            assert chat.reply().text == "hello"
        """
    )
    result.assert_outcomes(passed=1)


def test_a_bot_can_be_run_in_test_after_test_and_twice_in_one(run_tests: Any) -> None:
    result = run_tests(
        """
        import pytest
        from shop import bot

        @pytest.mark.parametrize("number", range(3))
        def test_start(bot_api, run_bot, number):
            assert run_bot(bot, concurrency=2) is bot_api
            chat = bot_api.chat(number + 1)
            chat.send("/start")
            assert chat.reply().text == "hello"

        def test_start_twice(bot_api, run_bot):
            chat = bot_api.chat(1)
            for _ in range(2):
                for handle in run_bot.handles:
                    assert handle.stop(timeout_s=5).drained
                run_bot(bot)
                chat.send("/start")
                assert chat.reply().text == "hello"
        """
    )
    result.assert_outcomes(passed=4)


def test_a_session_in_memory_does_not_live_from_test_to_test(run_tests: Any) -> None:
    result = run_tests(
        """
        import pytest
        from pyruntime import Bot, session
        from runner_c import MemoryStorage

        bot = Bot()
        kept = MemoryStorage()
        deeper = bot.on("message")
        deeper.use(session(dict), session(dict, storage=kept, name="lasting"))

        @deeper.command("start")
        def start(ctx):
            for memory in (ctx.session, ctx.lasting):
                memory["visits"] = memory.get("visits", 0) + 1
            ctx.reply(f"{ctx.session['visits']} of {ctx.lasting['visits']}")

        @pytest.mark.parametrize("number", [1, 2])
        def test_start(bot_api, run_bot, number):
            run_bot(bot)
            chat = bot_api.chat(1)
            chat.send("/start")
            assert chat.reply().text == f"1 of {number}"
        """
    )
    result.assert_outcomes(passed=2)


def test_a_failed_test_shows_the_calls_of_the_bot(run_tests: Any) -> None:
    result = run_tests(
        """
        from shop import bot

        def test_start(bot_api, run_bot):
            run_bot(bot)
            chat = bot_api.chat(1)
            chat.send("/start")
            assert chat.reply().text == "goodbye"
        """
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*calls of the bot*", "<sendMessage(*text='hello'*) -> 200>*"])


def test_a_runner_that_ended_by_an_error_fails_the_test(run_tests: Any) -> None:
    result = run_tests(
        """
        from shop import bot

        def test_that_does_not_care(bot_api, run_bot):
            bot_api.fault("unauthorized", times=None)
            run_bot(bot)
            run_bot.handle.task().exception(timeout=10)

        def test_that_waits(bot_api, run_bot):
            bot_api.fault("unauthorized", times=None)
            run_bot(bot)
            run_bot.handle.task().exception(timeout=10)
            bot_api.chat(1).reply(timeout_s=0.01)
        """
    )
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(["*Unauthorized*"])
    result.stdout.fnmatch_lines(["*The runner had ended by an error: *Unauthorized*"])


def test_the_server_of_a_test_can_be_given_options(run_tests: Any) -> None:
    result = run_tests(
        """
        import pytest

        @pytest.fixture
        def bot_api_options():
            return {"token": "77:X", "first_update_id": 5}

        def test_options(bot_api):
            assert bot_api.token == "77:X"
            assert bot_api.next_update_id == 5

        def test_no_bot_was_started(run_bot):
            with pytest.raises(LookupError, match="call run_bot"):
                run_bot.handle
        """
    )
    result.assert_outcomes(passed=2)


def test_a_plain_object_can_be_run(bot_api: Any, run_bot: Any) -> None:
    bot = EchoBot(bot_api)
    bot_api.chat(1).send("one")
    run_bot(bot)
    assert bot_api.chat(1).reply().text == "echo"
    assert bot.seen == ["one"]


def test_loading_the_plugin_loads_neither_server_nor_runner() -> None:
    code = (
        "import sys, pyruntime; before = set(sys.modules); import pyruntime.testing.plugin;"
        "print(sorted(name for name in set(sys.modules) - before if name.startswith(('pyruntime', 'runner_c'))))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert result.stdout.strip() == "['pyruntime.testing', 'pyruntime.testing.plugin']"
