"""List the options of the command line: name, default, meaning, and how a value is read.

One table serves the command line, the environment and the settings file, so that the three never differ.
A reader takes the raw value (text from the command line and the environment, any TOML value from a file) and
returns the value to use; it raises `ValueError` with what it expects, ready to be shown to the user.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field

from runner_c.secret import hide_tokens

__all__ = ["OPTIONS", "PLAYGROUND_PORT", "Option"]

PLAYGROUND_PORT = 8081
PLAYGROUND_DEFAULT = "on"
"""The value of a bare `--playground`: PLAYGROUND_PORT on this machine, or any free port if that is taken."""

Reader = Callable[[object], object]


@dataclass(frozen=True)
class Option:
    """Describe one option.

    `name` is the key in a file; the flag is the same with dashes, the first environment variable is
    `RUNNER_` and the name in capitals, and `more_variables` are further ones, in order. `unset` says what it means
    that there is no value.
    """

    name: str
    read: Reader
    default: object
    metavar: str
    help: str
    is_switch: bool = False
    unset: str = "none"
    more_variables: tuple[str, ...] = field(default=())

    @property
    def flag(self) -> str:
        """Return the name on the command line, such as `--poll-timeout`; TARGET has no dashes."""
        return "TARGET" if self.name == "target" else "--" + self.name.replace("_", "-")

    @property
    def off_flag(self) -> str:
        """Return the name on the command line that turns a switch off, such as `--no-drop-pending`."""
        return "--no-" + self.flag[2:]

    @property
    def variables(self) -> tuple[str, ...]:
        """Return the environment variables that set this option; the first one that is set wins."""
        return ("RUNNER_" + self.name.upper(), *self.more_variables)


def text(value: object) -> str:
    """Read a text that is not empty."""
    if not isinstance(value, str) or not value.strip():
        raise ValueError("expects a text that is not empty")
    return value.strip()


def boolean(value: object) -> bool:
    """Read true or false; as text also 1, 0, yes, no, on, off."""
    if isinstance(value, bool):
        return value
    word = value.strip().lower() if isinstance(value, str) else ""
    if word in ("1", "true", "yes", "on"):
        return True
    if word in ("0", "false", "no", "off"):
        return False
    raise ValueError("expects true or false")


def whole_number(lowest: int, highest: int) -> Reader:
    """Return a reader of whole numbers in this range."""

    def read(value: object) -> int:
        try:
            if isinstance(value, (str, int)) and not isinstance(value, bool):
                number = int(value)
                if lowest <= number <= highest:
                    return number
        except ValueError:
            pass
        raise ValueError(f"expects a whole number from {lowest} to {highest}")

    return read


def seconds(lowest: float, highest: float) -> Reader:
    """Return a reader of a time in seconds in this range."""

    def read(value: object) -> float:
        try:
            if isinstance(value, (str, int, float)) and not isinstance(value, bool):
                number = float(value)
                if lowest <= number <= highest:
                    return number
        except ValueError:
            pass
        raise ValueError(f"expects seconds, a number from {lowest:g} to {highest:g}")

    return read


def one_of(*choices: str) -> Reader:
    """Return a reader of one of these words."""

    def read(value: object) -> str:
        if isinstance(value, str) and value.strip().lower() in choices:
            return value.strip().lower()
        raise ValueError("expects " + " or ".join([", ".join(choices[:-1]), choices[-1]]))

    return read


def store(value: object) -> str:
    """Read the URL of a store, or `none`."""
    if value == "none":
        return "none"
    if isinstance(value, str) and (value == "memory:" or (value.startswith("sqlite:") and len(value) > len("sqlite:"))):
        return value
    raise ValueError("expects sqlite:PATH, such as sqlite:bot.db, or memory: or none")


def names(value: object) -> list[str]:
    """Read update kinds: a list, or text with commas."""
    parts = value.split(",") if isinstance(value, str) else value
    if isinstance(parts, list) and all(isinstance(part, str) for part in parts):
        found = [part.strip() for part in parts if part.strip()]
        if all(part.isascii() and part.replace("_", "a").isalnum() for part in found):
            return found
    raise ValueError("expects names of update kinds such as message,callback_query")


def url(value: object) -> str:
    """Read the root of a Bot API server, without a slash at the end."""
    if isinstance(value, str) and value.strip().startswith(("http://", "https://")):
        root = value.strip().rstrip("/")
        if "@" in root.split("://", 1)[1].split("/")[0]:
            raise ValueError("expects an address without a user name and a password")
        if re.search(r"/bot\d+(:|%3a)", root, re.IGNORECASE):
            raise ValueError("expects an address without the token: what comes before /bot<token>")
        if len(root.split("://", 1)[1]) > 0:
            return root
    raise ValueError("expects an address such as http://127.0.0.1:8081")


def speed(value: object) -> float:
    """Read a factor above 0, or `max`."""
    if value == "max":
        return math.inf
    try:
        if isinstance(value, (str, int, float)) and not isinstance(value, bool) and 0 < float(value) <= 1e6:
            return float(value)
    except ValueError:
        pass
    raise ValueError("expects a factor above 0, such as 10, or max")


def webhook_url(value: object) -> str:
    """Read the address under which Telegram reaches the bot."""
    found = value.strip() if isinstance(value, str) else ""
    if not re.fullmatch(r"https?://[^/@\s?#]+(/[^\s?#]*)?", found):
        raise ValueError("expects an address such as https://example.org/telegram, without user name, ? and #")
    if hide_tokens(found) != found:
        raise ValueError("expects an address without the token; a secret of its own keeps strangers out")
    return found


def host_and_port(value: object) -> str:
    """Read HOST:PORT, :PORT or PORT to listen on; without a host it is this machine only."""
    said = str(value).strip() if isinstance(value, (str, int)) and not isinstance(value, bool) else ""
    found = address(f":{said}" if said.isdigit() else said) if said else None
    if found is None or found == PLAYGROUND_DEFAULT:
        raise ValueError("expects HOST:PORT such as 127.0.0.1:8080")
    return found


def address(value: object) -> str | None:
    """Read HOST:PORT for the playground; true means the default address and false none."""
    try:
        return PLAYGROUND_DEFAULT if boolean(value) else None
    except ValueError:
        pass
    if isinstance(value, str):
        host, colon, port = value.strip().rpartition(":")
        if (
            (colon or not host)
            and not set("[]:") & set(host)
            and port.isascii()
            and port.isdigit()
            and int(port) <= 65535
        ):
            return f"{host or '127.0.0.1'}:{int(port)}"
    raise ValueError(f"expects HOST:PORT such as 127.0.0.1:{PLAYGROUND_PORT}")


OPTIONS: tuple[Option, ...] = (
    Option("target", text, None, "TARGET", "the bot to run: module[:attribute] or path/to/file.py"),
    Option("concurrency", whole_number(1, 10_000), 500, "N", "handlers that run at the same time, at most; 1 to 10000"),
    Option("backlog", whole_number(1, 100_000_000), 10_000, "N", "updates held and unfinished, at most; 1 or more"),
    Option(
        "store",
        store,
        None,
        "URL",
        "where updates, sessions and dead letters are kept: sqlite:PATH, memory: or none",
        unset="sqlite:<target>.runner.db; none with --playground and --replay, and with --ack fetch or done",
    ),
    Option(
        "ack",
        one_of("journal", "fetch", "done"),
        None,
        "journal|fetch|done",
        "confirm updates when the store has them, on fetch, or when done; the latter two go without a store",
        unset="journal with a store, else fetch",
    ),
    Option("max_attempts", whole_number(1, 1000), 1, "N", "tries of an update that fails, before it is a dead letter"),
    Option(
        "allowed_updates",
        names,
        None,
        "KINDS",
        "update kinds to ask for, with commas; else as the handlers need",
        unset="as the handlers need",
    ),
    Option("drop_pending", boolean, False, "", "forget what waited at Telegram before the start", is_switch=True),
    Option("poll_timeout", whole_number(0, 50), 30, "SECONDS", "length of one long poll, 0 to 50"),
    Option("handler_timeout", seconds(0.001, 1e6), None, "SECONDS", "report a handler that runs longer; else never"),
    Option(
        "on_timeout",
        one_of("report", "interrupt", "abandon"),
        "report",
        "report|interrupt|abandon",
        "what happens to such a handler",
    ),
    Option("grace", seconds(0, 1e6), 25.0, "SECONDS", "how long a stop waits for handlers"),
    Option(
        "api_root",
        url,
        None,
        "URL",
        "another Bot API server",
        unset="https://api.telegram.org",
        more_variables=("BOT_API_ROOT",),
    ),
    Option("token_file", text, None, "PATH", "file that holds the token", more_variables=("BOT_TOKEN_FILE",)),
    Option(
        "playground",
        address,
        None,
        "HOST:PORT",
        f"chat with the bot on a local page, port {PLAYGROUND_PORT} or any free one: no token, no network",
    ),
    Option(
        "webhook",
        webhook_url,
        None,
        "URL",
        "take updates at this address of a reverse proxy instead of polling; the webhook is set at the start",
        unset="none: the bot is polled",
    ),
    Option(
        "listen", host_and_port, None, "HOST:PORT", "where the webhook is served, in plain HTTP", unset="127.0.0.1:8080"
    ),
    Option(
        "webhook_connections", whole_number(1, 100), 40, "N", "requests that Telegram makes at the same time; 1 to 100"
    ),
    Option(
        "remove_webhook",
        boolean,
        False,
        "",
        "with --webhook: remove it at the end; without: remove one that is set, then poll",
        is_switch=True,
    ),
    Option("record", text, None, "PATH", "note each update in this file, one JSON object a line, to be replayed later"),
    Option(
        "replay",
        text,
        None,
        "PATH",
        "run the bot on a recording instead of polling; calls go to a fake server, unless --api-root is given here",
        unset="none: the bot is polled",
    ),
    Option("replay_speed", speed, 1.0, "N|max", "how much faster than it was; max leaves the pauses out"),
    Option("log_level", one_of("debug", "info", "warning", "error"), "info", "LEVEL", "debug, info, warning or error"),
    Option("log_format", one_of("text", "json"), "text", "text|json", "text, or one JSON object a line"),
    Option("log_file", text, None, "PATH", "write the log to this file too; processes may share it"),
)
