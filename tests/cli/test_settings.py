"""The settings: which source wins, and what a mistake says."""

from pathlib import Path

import pytest

from runner_c.command.option import OPTIONS, Option
from runner_c.command.settings import Settings, UsageError, parse, resolve, token_of

TOKEN = "123456789:AAEhBOweik6ad9r_QXMENQjcrGbqCr4K-bc"


def settle(folder: Path, *arguments: str, **environment: str) -> Settings:
    """Return the settings of this command line and environment in this folder."""
    given, _ = parse(arguments)
    return resolve(given, environment, folder)


def complaint(folder: Path, *arguments: str, **environment: str) -> str:
    """Return the one line that a mistake is answered with."""
    with pytest.raises(UsageError) as caught:
        settle(folder, *arguments, **environment)
    line = str(caught.value)
    assert "\n" not in line
    return line


def test_without_any_setting_the_documented_defaults_hold(tmp_path: Path) -> None:
    settings = settle(tmp_path, "bot.py")
    assert settings.target == "bot.py"
    assert (settings.concurrency, settings.backlog, settings.store_url, settings.ack) == (
        500,
        10_000,
        "sqlite:bot.runner.db",
        None,
    )
    assert (settings.poll_timeout, settings.grace, settings.handler_timeout) == (30, 25.0, None)
    assert settings.allowed_updates is None
    assert set(settings.sources.values()) == {"default", "TARGET"}


@pytest.mark.parametrize(
    ("arguments", "url"),
    [
        (["shop"], "sqlite:shop.runner.db"),
        (["examples.echo:bot"], "sqlite:examples.echo.runner.db"),
        (["path/to/bot.py"], "sqlite:bot.runner.db"),
        (["shop", "--store", "sqlite:other.db"], "sqlite:other.db"),
        (["shop", "--store", "none"], None),
        (["shop", "--playground"], None),
        (["shop", "--playground", "--store", "memory:"], "memory:"),
        (["shop", "--ack", "done"], None),
        (["shop", "--ack", "journal"], "sqlite:shop.runner.db"),
    ],
)
def test_the_store_is_a_file_named_after_the_target_where_one_is_of_use(
    tmp_path: Path, arguments: list[str], url: str | None
) -> None:
    assert settle(tmp_path, *arguments).store_url == url


def test_the_command_line_wins_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    (tmp_path / "runner_c.toml").write_text("concurrency = 1\nbacklog = 10\ngrace = 1.5\n")
    settings = settle(tmp_path, "b", "--concurrency", "3", RUNNER_CONCURRENCY="2", RUNNER_BACKLOG="20")
    assert (settings.concurrency, settings.backlog, settings.grace) == (3, 20, 1.5)
    assert settings.sources["concurrency"] == "--concurrency"
    assert settings.sources["backlog"] == "RUNNER_BACKLOG"
    assert settings.sources["grace"] == "runner_c.toml: grace"


def test_the_table_in_pyproject_is_read_when_there_is_no_file_of_our_own(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.runner_c]\ntarget = "app:bot"\npoll-timeout = 5\n')
    settings = settle(tmp_path)
    assert (settings.target, settings.poll_timeout) == ("app:bot", 5)
    (tmp_path / "runner_c.toml").write_text("poll_timeout = 7\n")
    assert settle(tmp_path).poll_timeout == 7


def test_a_pyproject_of_another_project_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "shop"\n')
    assert settle(tmp_path, "b").concurrency == 500


@pytest.mark.parametrize("option", [option for option in OPTIONS if option.name != "target"], ids=lambda o: o.name)
def test_each_option_can_be_set_in_all_three_places(tmp_path: Path, option: Option) -> None:
    words = {"store": "none", "ack": "done", "allowed_updates": "message,poll", "drop_pending": "true"}
    words |= {"on_timeout": "abandon", "api_root": "http://localhost:1", "token_file": "t", "log_file": "l"}
    words |= {"playground": "127.0.0.1:9", "log_level": "debug", "log_format": "json"}
    words |= {"webhook": "https://example.org/x", "remove_webhook": "true"}
    words |= {"record": "r", "replay": "r"}
    name = option.name
    word = words.get(name, "7")
    flag = "--" + name.replace("_", "-")
    by_flag = settle(tmp_path, "b", *([flag] if option.is_switch else [flag, word]))
    by_variable = settle(tmp_path, "b", **{"RUNNER_" + name.upper(): word})
    (tmp_path / "runner_c.toml").write_text(f"{name} = {word if word in ('7', 'true') else repr(word)}\n")
    by_file = settle(tmp_path, "b")
    values = [getattr(settings, name) for settings in (by_flag, by_variable, by_file)]
    assert values[0] == values[1] == values[2]
    assert values[0] != option.default or name == "store"


def test_update_kinds_are_text_with_commas_or_a_list_in_the_file(tmp_path: Path) -> None:
    assert settle(tmp_path, "b", "--allowed-updates", "message, poll").allowed_updates == ["message", "poll"]
    (tmp_path / "runner_c.toml").write_text('allowed_updates = ["message", "poll"]\n')
    assert settle(tmp_path, "b").allowed_updates == ["message", "poll"]


def test_a_switch_can_be_taken_back_on_the_command_line(tmp_path: Path) -> None:
    assert settle(tmp_path, "b", RUNNER_DROP_PENDING="yes").drop_pending is True
    assert settle(tmp_path, "b", "--no-drop-pending", RUNNER_DROP_PENDING="yes").drop_pending is False


@pytest.mark.parametrize(
    ("value", "address"),
    [("127.0.0.1:9000", "127.0.0.1:9000"), (":9000", "127.0.0.1:9000"), ("9000", "127.0.0.1:9000"), ("on", "on")],
)
def test_the_playground_takes_an_address_a_port_or_nothing(tmp_path: Path, value: str, address: str) -> None:
    assert settle(tmp_path, "b", "--playground", value).playground == address
    assert settle(tmp_path, "b", "--playground").playground == "on"
    assert settle(tmp_path, "b", RUNNER_PLAYGROUND="off").playground is None


def test_a_target_after_a_bare_playground_option_is_the_target(tmp_path: Path) -> None:
    settings = settle(tmp_path, "--playground", "examples.echo")
    assert (settings.target, settings.playground) == ("examples.echo", "on")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["b", "--concurency", "5"], "there is no option --concurency; did you mean --concurrency?"),
        (["b", "--chek"], "there is no option --chek; did you mean --check?"),
        (["b", "--poll-timeout=5", "--zzz=1"], "there is no option --zzz"),
        (["b", "c"], "there is one target, and c is another argument"),
        (["b", "--concurrency", "many"], "--concurrency: 'many' is not possible: it expects a whole number"),
        (["b", "--concurrency", "0"], "--concurrency: '0' is not possible: it expects a whole number from 1 to"),
        (["b", "--grace", "-1"], "--grace: '-1' is not possible: it expects seconds"),
        (["b", "--grace", "nan"], "--grace: 'nan' is not possible: it expects seconds"),
        (["b", "--ack", "always"], "--ack: 'always' is not possible: it expects journal, fetch or done"),
        (["b", "--on-timeout", "x"], "--on-timeout: 'x' is not possible: it expects report, interrupt or abandon"),
        (["b", "--store", "x.db"], "--store: 'x.db' is not possible: it expects sqlite:PATH, such as sqlite:bot.db"),
        (["b", "--store", "sqlite:"], "--store: 'sqlite:' is not possible"),
        (["b", "--max-attempts", "0"], "--max-attempts: '0' is not possible: it expects a whole number from 1 to"),
        (["b", "--api-root", "localhost"], "--api-root: 'localhost' is not possible: it expects an address"),
        (["b", "--playground", "nowhere"], "--playground: 'nowhere' is not possible: it expects HOST:PORT"),
        (["b", "--allowed-updates", "a b"], "it expects names of update kinds"),
        (["b", "--concurrency"], "--concurrency: expected one argument"),
        (["b", "--check", "--version"], "not allowed with"),
    ],
)
def test_a_mistake_on_the_command_line_is_one_line_that_helps(tmp_path: Path, arguments: list[str], line: str) -> None:
    assert line in complaint(tmp_path, *arguments)


def test_a_wrong_value_in_the_environment_names_its_variable(tmp_path: Path) -> None:
    assert complaint(tmp_path, "b", RUNNER_ACK="never").startswith("RUNNER_ACK: 'never' is not possible")


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("concurency = 5", "runner_c.toml: there is no setting concurency; did you mean concurrency?"),
        ("concurrency = true", "runner_c.toml: concurrency: 'True' is not possible: it expects a whole number"),
        ("concurrency = 1.5", "runner_c.toml: concurrency: '1.5' is not possible"),
        ("drop_pending = 3", "runner_c.toml: drop_pending: '3' is not possible: it expects true or false"),
        ("concurrency = ", "runner_c.toml: "),
        ('token = "1:x"', "the token does not belong into a settings file"),
    ],
)
def test_a_mistake_in_the_file_names_the_file_and_the_key(tmp_path: Path, content: str, line: str) -> None:
    (tmp_path / "runner_c.toml").write_text(content)
    assert line in complaint(tmp_path, "b")


def test_a_variable_that_looks_mistyped_is_warned_of_and_foreign_ones_are_not(tmp_path: Path) -> None:
    settings = settle(tmp_path, "b", RUNNER_CONCURRENCI="5", RUNNER_OS="Linux", RUNNER_TEMP="/t", RUNNER_C_DEBUG="1")
    assert settings.warnings == (
        "the environment variable RUNNER_CONCURRENCI is not read; did you mean RUNNER_CONCURRENCY?",
    )


@pytest.mark.parametrize(
    "arguments", [["b", "--token", TOKEN], ["b", f"--token={TOKEN}"], [TOKEN], ["b", "--x", TOKEN]]
)
def test_a_token_in_the_arguments_is_refused_and_not_repeated(tmp_path: Path, arguments: list[str]) -> None:
    line = complaint(tmp_path, *arguments)
    assert "BOT_TOKEN or use --token-file" in line
    assert TOKEN not in line


def test_a_token_in_a_wrong_place_of_the_environment_is_not_repeated(tmp_path: Path) -> None:
    line = complaint(tmp_path, "b", RUNNER_API_ROOT=f"bot{TOKEN}")
    assert "<token>" in line
    assert TOKEN not in line


def test_the_token_comes_from_the_environment_or_a_file(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text(f"{TOKEN}\n")
    plain = settle(tmp_path, "b")
    assert token_of(plain, {}) == (None, "")
    assert token_of(plain, {"BOT_TOKEN": TOKEN}) == (TOKEN, "BOT_TOKEN")
    by_flag = settle(tmp_path, "b", "--token-file", str(path))
    assert token_of(by_flag, {"BOT_TOKEN": "other"}) == (TOKEN, str(path))
    by_variable = settle(tmp_path, "b", BOT_TOKEN_FILE=str(path))
    assert token_of(by_variable, {}) == (TOKEN, str(path))
    with pytest.raises(UsageError, match="BOT_TOKEN and BOT_TOKEN_FILE are both set"):
        token_of(by_variable, {"BOT_TOKEN": "other"})
    (tmp_path / "runner_c.toml").write_text(f"token_file = '{path}'\n")
    assert token_of(settle(tmp_path, "b"), {"BOT_TOKEN": "other"}) == ("other", "BOT_TOKEN")


def test_a_token_file_that_is_missing_empty_or_not_a_token_is_one_clear_line(tmp_path: Path) -> None:
    path = tmp_path / "token"
    settings = settle(tmp_path, "b", "--token-file", str(path))
    with pytest.raises(UsageError, match=r"--token-file: cannot read .*No such file"):
        token_of(settings, {})
    path.write_text(" \n")
    with pytest.raises(UsageError, match="must hold one token"):
        token_of(settings, {})
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="it is not text"):
        token_of(settings, {})


def test_a_number_behind_playground_is_a_port_and_a_word_is_refused(tmp_path: Path) -> None:
    assert settle(tmp_path, "b", "--playground", "0").playground == "127.0.0.1:0"
    assert settle(tmp_path, "b", "--playground", "1").playground == "127.0.0.1:1"
    assert settle(tmp_path, "b", RUNNER_PLAYGROUND="0").playground is None
    assert "expects HOST:PORT; leave it out" in complaint(tmp_path, "b", "--playground", "off")
    assert "expects HOST:PORT" in complaint(tmp_path, "b", "--playground", "[::1]:8081")


def test_a_table_of_pyproject_in_a_file_of_our_own_is_told_of(tmp_path: Path) -> None:
    (tmp_path / "runner_c.toml").write_text("[tool.runner_c]\ngrace = 1\n")
    assert "[tool.runner_c] is for pyproject.toml" in complaint(tmp_path, "b")


def test_one_setting_in_two_spellings_is_a_mistake(tmp_path: Path) -> None:
    (tmp_path / "runner_c.toml").write_text("poll-timeout = 1\npoll_timeout = 2\n")
    assert "poll_timeout stands there twice" in complaint(tmp_path, "b")


def test_the_switch_that_undoes_is_named_as_the_source(tmp_path: Path) -> None:
    settings = settle(tmp_path, "b", "--no-drop-pending", RUNNER_DROP_PENDING="1")
    assert settings.drop_pending is False
    assert settings.sources["drop_pending"] == "--no-drop-pending"
