"""Set up logging for the command line: text or JSON, to stderr and a file, and never with a token in it.

A record may carry an `action`, a short constant name of what happened (`extra={"action": "poll.failed"}`), which
can be searched for when messages change. Other extra fields stand in the JSON lines.

The library itself only calls `logging.getLogger`; nothing here runs unless the command line asks for it.
"""

import json
import logging
import sys
import threading
from datetime import UTC, datetime
from types import TracebackType
from typing import TextIO

from runner_c.secret import hide_tokens
from runner_c.trace import format_error

__all__ = ["JsonFormatter", "Scrubber", "TextFormatter", "flush", "set_up"]

FILE_SIZE_BYTES = 20 * 1024 * 1024
FILES_KEPT = 5
STANDARD_FIELDS = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "action"}

log = logging.getLogger("runner_c.cli")


class Scrubber(logging.Filter):
    """Take tokens out of text and out of log records.

    It knows the tokens it was told of, in plain and in URL spelling, and everything that looks like one.

    Thread-safety: any thread may add and clean; `add` replaces the list as a whole.
    """

    def __init__(self, *tokens: str) -> None:
        super().__init__()
        self._known: tuple[str, ...] = ()
        for token in tokens:
            self.add(token)

    def add(self, token: str | None) -> None:
        """Learn a token that must not be shown; None and very short ones are passed over."""
        if token and len(token) >= 6:
            self._known = (*self._known, token, token.replace(":", "%3A"), token.replace(":", "%3a"))

    def clean(self, text: str) -> str:
        """Return `text` with `<token>` in place of each token."""
        for token in self._known:
            if token in text:
                text = text.replace(token, "<token>")
        return hide_tokens(text)

    def filter(self, record: logging.LogRecord) -> bool:
        """Clean the message and the traceback of a record; always let it pass."""
        try:
            message = record.getMessage()
        except Exception as error:
            message = f"{record.msg} (the arguments of this log call do not fit: {error})"
        record.msg, record.args = self.clean(message), None
        if record.exc_info and not record.exc_text:
            raised = record.exc_info[1]
            record.exc_text = "" if raised is None else format_error(raised)
        if record.exc_text:
            record.exc_text = self.clean(record.exc_text)
            record.exc_info = None
        if record.stack_info:
            record.stack_info = self.clean(record.stack_info)
        for name, value in vars(record).items():
            if name not in STANDARD_FIELDS and not isinstance(value, (int, float, bool, type(None))):
                setattr(record, name, self.clean(str(value)))
        return True


class TextFormatter(logging.Formatter):
    """Format a record as one line, followed by the traceback if there is one.

    `2026-01-31 12:00:00.123 WARNING runner_c.poller [poll.failed] message`, in local time.
    """

    default_msec_format = "%s.%03d"

    def formatMessage(self, record: logging.LogRecord) -> str:
        """Return the line without the traceback."""
        action = getattr(record, "action", None)
        mark = f" [{action}]" if action else ""
        return f"{self.formatTime(record)} {record.levelname} {record.name}{mark} {record.message}"


class JsonFormatter(logging.Formatter):
    """Format a record as one JSON object on one line: time (UTC), level, logger, action, message, thread, exception."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the JSON text."""
        fields: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "action": getattr(record, "action", None),
            "message": record.getMessage(),
            "thread": record.threadName,
        }
        if record.exc_info and not record.exc_text:
            record.exc_text = self.formatException(record.exc_info)
        if record.exc_text:
            fields["exception"] = record.exc_text
        if record.stack_info:
            fields["stack"] = record.stack_info
        for name, value in vars(record).items():
            if name not in STANDARD_FIELDS and name not in fields:
                fields[name] = value
        return json.dumps({name: value for name, value in fields.items() if value is not None}, default=str)


def set_up(level: str, form: str, path: str | None, scrubber: Scrubber, stream: TextIO | None = None) -> None:
    """Send all log records to stderr, and to the file `path` too if it is given.

    The file may be shared by processes; at 20 MB it is renamed and a new one begun, and five old ones are kept.
    Warnings and exceptions that end a thread go to the log as well, so that they pass the scrubber.

    Args: level, a name in small letters; form, `text` or `json`.
    Raises: OSError, if the file cannot be written.
    """
    handlers: list[logging.Handler] = [logging.StreamHandler(stream or sys.stderr)]
    if path:
        from concurrent_log_handler import ConcurrentRotatingFileHandler

        with open(path, "a", encoding="utf-8"):
            pass
        handlers.append(
            ConcurrentRotatingFileHandler(path, "a", maxBytes=FILE_SIZE_BYTES, backupCount=FILES_KEPT, encoding="utf-8")
        )
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
        old.close()
    for handler in handlers:
        handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
        handler.addFilter(scrubber)
        root.addHandler(handler)
    root.setLevel(level.upper())
    for chatty in ("urllib3", "requests"):
        logging.getLogger(chatty).setLevel(max(root.level, logging.INFO))
    logging.captureWarnings(True)
    threading.excepthook = _log_dead_thread
    sys.excepthook = _log_crash


def flush(timeout_s: float = 1.0) -> None:
    """Flush and close all log handlers before a hard exit.

    Blocks: at most `timeout_s`, also when a hung thread holds the lock of a handler.
    """
    closer = threading.Thread(target=logging.shutdown, name="runner-c-flush", daemon=True)
    closer.start()
    closer.join(timeout_s)


def _log_dead_thread(hooked: threading.ExceptHookArgs) -> None:
    if hooked.exc_type is SystemExit:
        return
    name = hooked.thread.name if hooked.thread else "unknown"
    value = hooked.exc_value or hooked.exc_type()
    log.error("thread %s died", name, exc_info=value, extra={"action": "thread.died"})


def _log_crash(kind: type[BaseException], error: BaseException, place: TracebackType | None) -> None:
    log.critical("crashed", exc_info=(kind, error, place), extra={"action": "runner.crashed"})
