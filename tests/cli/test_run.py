"""The command line from outside: what it prints, how it ends, what signals do. Real processes, a real socket."""

import json
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pyruntime.testing import FakeBotApi
from runner_c.command import exit_code

Start = Callable[..., Any]
Write = Callable[[str, str], Path]

TOKEN = "123456789:AAEhBOweik6ad9r_QXMENQjcrGbqCr4K-bc"


def test_a_bot_answers_and_stops_with_code_0(run_shop: Start, api: FakeBotApi) -> None:
    program = run_shop()
    chat = api.chat(1)
    chat.send("tea")
    assert chat.reply()["text"] == "you said tea"
    assert program.stop() == exit_code.OK
    assert "1 updates handled, 0 unfinished" in program.err
    assert api.pending_count() == 0


def test_the_banner_has_at_most_six_lines_and_names_what_runs(run_shop: Start) -> None:
    program = run_shop("--concurrency", "7", "--ack", "done", "--log-level", "error")
    lines = program.err.splitlines()
    assert len(lines) <= 6
    text = "\n".join(lines)
    for part in ("runner_c 0.", "Python 3.", "@test_bot", "shop:bot", "concurrency 7", "ack done", "store none"):
        assert part in text
    assert "--" not in text


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_waits_for_the_handler_that_runs(run_shop: Start, api: FakeBotApi, number: signal.Signals) -> None:
    program = run_shop()
    chat = api.chat(1)
    chat.send("sleep")
    program.wait_for("sleeping")
    assert program.stop(number) == exit_code.OK
    assert chat.reply()["text"] == "you said sleep"
    assert api.pending_count() == 0


def test_a_handler_that_hangs_past_the_grace_period_ends_with_code_5_and_its_id_in_the_log(
    run_shop: Start, api: FakeBotApi
) -> None:
    program = run_shop("--grace", "0.3")
    update_id = api.next_update_id
    api.chat(1).send("hang")
    program.wait_for("hanging")
    assert program.stop() == exit_code.NOT_DRAINED
    assert f"unfinished: {update_id} (1)" in program.err


def test_a_second_signal_ends_at_once_and_says_what_was_left(run_shop: Start, api: FakeBotApi) -> None:
    program = run_shop("--grace", "600")
    update_id = api.next_update_id
    api.chat(1).send("hang")
    program.wait_for("hanging")
    program.send(signal.SIGINT)
    program.wait_for("stopping")
    assert program.stop(signal.SIGINT) == exit_code.NOT_DRAINED
    assert f"second signal; unfinished: {update_id} (1)" in program.err


def test_hup_starts_the_same_command_anew_in_the_same_process(run_shop: Start, api: FakeBotApi) -> None:
    program = run_shop()
    chat = api.chat(1)
    chat.send("one")
    assert chat.reply()["text"] == "you said one"
    program.send(signal.SIGHUP)
    program.wait_for("stop with Ctrl-C", times=2)
    assert program.process.poll() is None
    chat.send("two")
    assert chat.reply(timeout_s=20)["text"] == "you said two"
    assert program.stop() == exit_code.OK


def test_hup_and_usr1_again_in_the_middle_of_a_restart_do_not_end_the_program(run_shop: Start, api: FakeBotApi) -> None:
    program = run_shop()
    program.send(signal.SIGHUP)
    program.wait_for("restarting: waiting")
    banners = 1
    while program.err.count("stop with Ctrl-C") == banners:
        assert program.process.poll() is None, program.err
        program.send(signal.SIGHUP)
        program.send(signal.SIGUSR1)
        threading.Event().wait(0.01)
    chat = api.chat(1)
    chat.send("tea")
    assert chat.reply(timeout_s=20)["text"] == "you said tea"
    assert program.process.poll() is None
    program.stop()


def test_a_stop_during_a_restart_stops_for_good(run_shop: Start, api: FakeBotApi) -> None:
    program = run_shop()
    chat = api.chat(1)
    chat.send("sleep")
    program.wait_for("sleeping")
    program.send(signal.SIGHUP)
    program.wait_for("restarting: waiting")
    assert program.stop() == exit_code.OK
    assert chat.reply()["text"] == "you said sleep"


def test_usr1_prints_stacks_and_updates_in_flight_and_disturbs_nothing(run_shop: Start, api: FakeBotApi) -> None:
    program = run_shop()
    chat = api.chat(1)
    update_id = api.next_update_id
    chat.send("sleep")
    program.wait_for("sleeping")
    program.send(signal.SIGUSR1)
    program.wait_for("--- end of stacks")
    assert "MainThread" in program.err
    assert ", in answer\n" in program.err
    assert f"update {update_id} message, running for" in program.err
    assert chat.reply()["text"] == "you said sleep"
    assert program.stop() == exit_code.OK


def test_hup_that_was_ignored_at_start_stays_ignored(run_shop: Start, api: FakeBotApi) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        program = run_shop()
    finally:
        signal.signal(signal.SIGHUP, before)
    program.send(signal.SIGHUP)
    chat = api.chat(1)
    chat.send("tea")
    assert chat.reply()["text"] == "you said tea"
    assert program.stop() == exit_code.OK
    assert "restarting" not in program.err


def test_a_refused_token_ends_with_code_3_and_is_not_shown(write: Write, launch: Start, api: FakeBotApi) -> None:
    write("shop.py", "from pyruntime import Bot\nbot = Bot()\n")
    token = TOKEN.replace("AAE", "BBB")
    program = launch("-m", "runner_c", "shop", BOT_TOKEN=token, BOT_API_ROOT=api.url)
    assert program.wait() == exit_code.UNAUTHORIZED
    assert "refused the token" in program.err
    assert len(program.err.splitlines()) == 1
    assert token not in program.err + program.out


def test_a_token_that_cannot_be_one_is_one_line_and_code_2(write: Write, launch: Start, api: FakeBotApi) -> None:
    write("shop.py", "from pyruntime import Bot\nbot = Bot()\n")
    program = launch("-m", "runner_c", "shop", BOT_TOKEN="a/b c", BOT_API_ROOT=api.url)
    assert program.wait() == exit_code.USAGE
    assert program.err == "runner_c: the bot token does not look like 123456:ABC-DEF\n"
    assert api.polls == []


def test_hup_finds_the_target_again_after_a_handler_went_to_another_folder(
    write: Write, launch: Start, api: FakeBotApi
) -> None:
    write("shop.py", "import os\nfrom pyruntime import Bot\nbot = Bot()\nos.chdir('/')\n")
    program = launch("-m", "runner_c", "shop.py", BOT_TOKEN=api.token, BOT_API_ROOT=api.url)
    program.wait_for("stop with Ctrl-C")
    program.send(signal.SIGHUP)
    program.wait_for("stop with Ctrl-C", times=2)
    assert program.stop() == exit_code.OK


def test_print_config_shows_no_password_or_token_of_an_address(launch: Start) -> None:
    for root in (f"http://127.0.0.1:9/bot{TOKEN}", "http://me:secret@127.0.0.1:9"):
        program = launch("-m", "runner_c", "--print-config", BOT_API_ROOT=root)
        assert program.wait() == exit_code.USAGE
        assert program.err.startswith("runner_c: BOT_API_ROOT: ")
        for secret in (TOKEN, "secret"):
            assert secret not in program.err + program.out


def test_the_token_is_in_no_line_even_when_a_handler_raises_with_it(run_shop: Start, api: FakeBotApi) -> None:
    program = run_shop("--log-level", "debug")
    api.chat(1).send("fail")
    program.wait_for("ValueError: no <token>")
    program.send(signal.SIGUSR1)
    program.wait_for("--- end of stacks")
    assert program.stop() == exit_code.OK
    assert api.token not in program.err + program.out


def test_json_lines_and_a_log_file(run_shop: Start, api: FakeBotApi, tmp_path: Path) -> None:
    program = run_shop("--log-format", "json", "--log-file", "bot.log")
    assert program.stop() == exit_code.OK
    written = [json.loads(line) for line in (tmp_path / "bot.log").read_text().splitlines()]
    assert "runner.stopped" in {fields.get("action") for fields in written}
    shown = [json.loads(line) for line in program.err.splitlines() if line.startswith("{")]
    assert [fields["message"] for fields in shown] == [fields["message"] for fields in written]


def test_the_token_may_come_from_a_file(write: Write, launch: Start, api: FakeBotApi) -> None:
    write("shop.py", "from pyruntime import Bot\nbot = Bot()\n")
    write("secret", api.token + "\n")
    program = launch("-m", "runner_c", "shop", "--token-file", "secret", "--api-root", api.url)
    program.wait_for("@test_bot")
    assert program.stop() == exit_code.OK


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ([], "say which bot to run, as in: python -m runner_c bot.py (see --help)"),
        (["shop"], "there is no bot token: set BOT_TOKEN or use --token-file"),
        (["shop", "--concurency", "3"], "there is no option --concurency; did you mean --concurrency? (see --help)"),
        (["shop", "--token", TOKEN], "set BOT_TOKEN or use --token-file"),
        (["shop", "--backlog", "x"], "--backlog: 'x' is not possible"),
        (["shop", "--token-file", "nowhere"], "--token-file: cannot read nowhere: No such file or directory"),
        (["shop", "--log-file", "nowhere/bot.log"], "--log-file: cannot write nowhere/bot.log: No such file"),
        (["shop", "--playground", "203.0.113.1:1"], "the playground cannot listen on 203.0.113.1:1"),
        (["nowhere"], "there is no module nowhere"),
        (["broken"], "broken.py:1: ZeroDivisionError: division by zero"),
        (["mute"], "mute.py:3: Mute: <str() failed>"),
        (["slip"], "slip.py:3: ConfigError: filter query 'mesage'"),
    ],
)
def test_a_mistake_is_one_line_on_stderr_and_code_2(
    write: Write, launch: Start, arguments: list[str], line: str
) -> None:
    write("shop.py", "from pyruntime import Bot\nbot = Bot()\n")
    write("broken.py", "1 / 0\n")
    write("mute.py", "class Mute(Exception):\n    __str__ = None\nraise Mute\n")
    write("slip.py", "from pyruntime import Bot\nbot = Bot()\nbot.on('mesage')\n")
    program = launch("-m", "runner_c", *arguments)
    assert program.wait() == exit_code.USAGE
    assert len(program.err.splitlines()) == 1
    assert program.err.startswith("runner_c: ")
    assert line in program.err
    assert program.out == ""
    assert TOKEN not in program.err


def test_debug_shows_the_whole_traceback_of_a_failed_import(write: Write, launch: Start) -> None:
    write("broken.py", "1 / 0\n")
    program = launch("-m", "runner_c", "broken", "--log-level", "debug")
    assert program.wait() == exit_code.USAGE
    assert "Traceback" in program.err


def test_a_runner_that_crashes_ends_with_code_1_and_a_traceback(write: Write, launch: Start) -> None:
    write(
        "shop.py",
        "import threading\n"
        "class Shop:\n"
        "    def get_updates(self, *, offset, limit, timeout, allowed_updates):\n"
        "        first = offset or 1\n"
        "        if first > 200: self.ended.wait()\n"
        "        return [{'update_id': first + i, 'poll': {}} for i in range(limit)]\n"
        "    ended = threading.Event()\n"
        "    def interrupt(self): self.ended.set()\n"
        "    def handle_update(self, update): threading.Event().wait()\n"
        "bot = Shop()\n",
    )
    program = launch("-m", "runner_c", "shop", "--handler-timeout", "0.1", "--on-timeout", "abandon", "--grace", "0.5")
    assert program.wait() == exit_code.CRASHED
    assert "the runner ended with TooManyWrittenOff" in program.err


def test_version_needs_no_target(launch: Start) -> None:
    program = launch("-m", "runner_c", "--version")
    assert program.wait() == exit_code.OK
    assert program.out.startswith("runner_c ")


def test_help_names_options_and_exit_codes(launch: Start) -> None:
    program = launch("-m", "runner_c", "--help")
    assert program.wait() == exit_code.OK
    said = " ".join(program.out.split())
    assert "--on-timeout report|interrupt|abandon" in said
    for part in ("--playground", "port 8081", "0 to 50", "BOT_API_ROOT", "BOT_TOKEN_FILE", "--no-drop-pending"):
        assert part in said
    assert "Exit codes: 0 ok" in program.out


def test_check_says_that_all_is_well_and_who_the_bot_is(write: Write, launch: Start, api: FakeBotApi) -> None:
    write("shop.py", "from pyruntime import Bot\nbot = Bot()\n")
    program = launch("-m", "runner_c", "shop", "--check", BOT_TOKEN=api.token, BOT_API_ROOT=api.url)
    assert program.wait() == exit_code.OK
    assert "target shop:bot: ok" in program.out
    assert "token: ok, it is @test_bot" in program.out
    assert api.polls == []


def test_check_with_a_wrong_token_ends_with_code_3_and_without_one_says_so(
    write: Write, launch: Start, api: FakeBotApi
) -> None:
    write("shop.py", "from pyruntime import Bot\nbot = Bot()\n")
    refused = launch("-m", "runner_c", "shop", "--check", BOT_TOKEN="99:wrong", BOT_API_ROOT=api.url)
    assert refused.wait() == exit_code.UNAUTHORIZED
    none = launch("-m", "runner_c", "shop", "--check")
    assert none.wait() == exit_code.OK
    assert "token: there is none, so it was not checked" in none.out


def test_print_config_shows_each_value_with_its_source_and_no_token(
    write: Write, launch: Start, api: FakeBotApi
) -> None:
    write("runner_c.toml", "concurrency = 3\n")
    program = launch(
        "-m", "runner_c", "--print-config", "--grace", "9", BOT_TOKEN=api.token, RUNNER_ALLOWED_UPDATES="message,poll"
    )
    assert program.wait() == exit_code.OK
    lines = program.out.splitlines()
    assert "concurrency = 3  (runner_c.toml: concurrency)" in lines
    assert "grace = 9.0  (--grace)" in lines
    assert "allowed_updates = message,poll  (RUNNER_ALLOWED_UPDATES)" in lines
    assert "token = *****  (BOT_TOKEN)" in lines
    assert api.token not in program.out


def test_ctrl_c_while_the_target_is_imported_is_one_line(write: Write, launch: Start) -> None:
    write("shop.py", "import sys, threading\nprint('importing', file=sys.stderr)\nthreading.Event().wait()\n")
    program = launch("-m", "runner_c", "shop")
    program.wait_for("importing")
    assert program.stop(signal.SIGINT) == exit_code.OK
    assert program.err.splitlines() == ["importing", "runner_c: interrupted"]


@pytest.mark.slow
def test_a_lasting_conflict_ends_with_code_4(write: Write, launch: Start, api: FakeBotApi) -> None:
    write("shop.py", "from pyruntime import Bot\nbot = Bot()\n")
    api.fault("conflict", "getUpdates", times=None)
    program = launch("-m", "runner_c", "shop", BOT_TOKEN=api.token, BOT_API_ROOT=api.url)
    assert program.wait(timeout_s=150) == exit_code.CONFLICT
    assert "another process polls this bot" in program.err


@pytest.mark.parametrize(
    ("error_code", "code"),
    [(401, exit_code.UNAUTHORIZED), (404, exit_code.UNAUTHORIZED), (409, exit_code.CONFLICT), (500, exit_code.CRASHED)],
)
def test_the_error_code_of_the_bot_api_decides_the_exit_code(error_code: int, code: int) -> None:
    error = RuntimeError("refused")
    assert exit_code.of_error(error) == exit_code.CRASHED
    vars(error)["error_code"] = error_code
    assert exit_code.of_error(error) == code
