"""The log: its two formats, and that no token gets into it."""

import io
import json
import logging
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner_c.command.logs import Scrubber, set_up

TOKEN = "123456789:AAEhBOweik6ad9r_QXMENQjcrGbqCr4K-bc"


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """Put the root logger and the hooks back after each test."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    hooks = threading.excepthook, sys.excepthook
    root.handlers.clear()
    yield
    for handler in root.handlers:
        handler.close()
    root.handlers[:] = handlers
    root.setLevel(level)
    threading.excepthook, sys.excepthook = hooks
    logging.captureWarnings(False)


def logged(form: str, *tokens: str, level: str = "debug", path: str | None = None) -> io.StringIO:
    """Set the log up on a stream in memory and return that."""
    stream = io.StringIO()
    set_up(level, form, path, Scrubber(*tokens), stream)
    return stream


def test_a_text_line_has_level_name_action_and_message() -> None:
    stream = logged("text")
    logging.getLogger("runner_c.poller").warning("no reply for %d s", 5, extra={"action": "poll.failed"})
    assert stream.getvalue().endswith(" WARNING runner_c.poller [poll.failed] no reply for 5 s\n")


def test_a_json_line_is_an_object_with_action_and_further_fields() -> None:
    stream = logged("json")
    try:
        raise KeyError("colour")
    except KeyError:
        logging.getLogger("shop").exception("failed", extra={"action": "handler.failed", "update_id": 7})
    fields = json.loads(stream.getvalue())
    assert (fields["level"], fields["logger"], fields["message"]) == ("error", "shop", "failed")
    assert (fields["action"], fields["update_id"], fields["thread"]) == ("handler.failed", 7, "MainThread")
    assert "KeyError: 'colour'" in fields["exception"]
    assert fields["time"].endswith("+00:00")


def test_the_level_is_obeyed() -> None:
    stream = logged("text", level="warning")
    logging.getLogger("shop").info("quiet")
    assert stream.getvalue() == ""


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize("token", [TOKEN, "short-one"])
def test_a_token_never_gets_into_the_log(form: str, token: str) -> None:
    stream = logged(form, token)
    log = logging.getLogger("shop")
    log.info("asking https://api.telegram.org/bot%s/getMe", token)
    log.info("quoted %s", token.replace(":", "%3A"), extra={"action": "x", "address": f"/bot{token}/"})
    try:
        try:
            raise ValueError(f"inner {token}")
        except ValueError as error:
            raise RuntimeError(f"outer {token}") from error
    except RuntimeError:
        log.exception("failed", stack_info=True)
    text = stream.getvalue()
    assert token not in text
    assert token.replace(":", "%3A") not in text
    assert text.count("<token>") >= 4


def test_what_looks_like_a_token_is_taken_out_even_if_nobody_told_of_it() -> None:
    stream = logged("text")
    logging.getLogger("shop").info("https://api.telegram.org/bot%s/getMe", TOKEN)
    assert "/bot<token>/getMe" in stream.getvalue()


def test_a_log_call_whose_arguments_do_not_fit_is_logged_and_not_raised() -> None:
    stream = logged("text")
    logging.getLogger("shop").info("%d", "word")
    assert "the arguments of this log call do not fit" in stream.getvalue()


def test_dead_threads_and_warnings_go_to_the_log_without_the_token() -> None:
    stream = logged("text", TOKEN)

    def die() -> None:
        raise ValueError(TOKEN)

    thread = threading.Thread(target=die, name="mine")
    thread.start()
    thread.join()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn(f"old {TOKEN}", UserWarning, stacklevel=1)
    text = stream.getvalue()
    assert "thread mine died" in text
    assert "UserWarning: old <token>" in text
    assert TOKEN not in text


def test_several_processes_share_one_log_file_without_mixing_lines(tmp_path: Path) -> None:
    path = tmp_path / "bot.log"
    program = (
        "import logging, sys\n"
        "from runner_c.command.logs import Scrubber, set_up\n"
        "set_up('info', 'json', sys.argv[1], Scrubber(), open('/dev/null', 'w'))\n"
        "for i in range(200): logging.getLogger('p').info('line %d of %s', i, sys.argv[2] * 200)\n"
    )
    processes = [subprocess.Popen([sys.executable, "-c", program, str(path), name]) for name in "abc"]
    assert [process.wait(60) for process in processes] == [0, 0, 0]
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert len(lines) == 600


def test_the_library_itself_sets_up_no_logging() -> None:
    program = "import runner_c, logging; assert not logging.getLogger().handlers"
    assert subprocess.run([sys.executable, "-c", program], timeout=60).returncode == 0
