"""runner_c: run synchronous Telegram bots at full concurrency, in order, without losing an update.

The engine. It knows updates (dicts with an ``update_id``), keys, threads and time, and no bot framework; `pyruntime`
is the bot layer that comes with it. The way of an update::

    source ──poller──▶ sink: admit ──▶ lanes ──▶ ring ──▶ worker ──▶ handler ──▶ settle ──▶ confirm

Importing it starts no thread, opens no file and reads no environment.
"""

from runner_c._delivery import Delivery
from runner_c._intake import is_update
from runner_c._keys import BYPASS, by_chat, by_chat_thread, by_user
from runner_c._sessions import MemoryStorage
from runner_c._sink import current
from runner_c._wire import (
    exchange,
    exchange_reply,
    is_quiet,
    plain_reply,
    receive,
    receive_reply,
    wait_for_data,
)
from runner_c.adapter import adapted
from runner_c.deadline import Overdue
from runner_c.errors import (
    ConfigError,
    ForkedProcess,
    HandlerTimeout,
    KeyDeadlock,
    MalformedReply,
    RunnerError,
    SourceBroken,
    Stopped,
    StoreDamaged,
    StoreError,
    StoreInUse,
    StoreUnavailable,
    TooManyWrittenOff,
)
from runner_c.gate import Gate
from runner_c.launch import run
from runner_c.protocols import RunnableBot, Storage, Supplier, Update, UpdateBatch
from runner_c.recording import Recorder
from runner_c.replay import Replay
from runner_c.runner import RunnerHandle, create_runner
from runner_c.sequentialize import Sequentialize, sequentialize
from runner_c.sink import create_batch_sink, create_concurrent_sink, create_sequential_sink
from runner_c.source import Offers, create_source
from runner_c.stats import InFlight, Stats, StopReport
from runner_c.store import Store, open_store
from runner_c.trace import format_error
from runner_c.version import __version__

__all__ = [
    "BYPASS",
    "ConfigError",
    "Delivery",
    "ForkedProcess",
    "Gate",
    "HandlerTimeout",
    "InFlight",
    "KeyDeadlock",
    "MalformedReply",
    "MemoryStorage",
    "Offers",
    "Overdue",
    "Recorder",
    "Replay",
    "RunnableBot",
    "RunnerError",
    "RunnerHandle",
    "Sequentialize",
    "SourceBroken",
    "Stats",
    "StopReport",
    "Stopped",
    "Storage",
    "Store",
    "StoreDamaged",
    "StoreError",
    "StoreInUse",
    "StoreUnavailable",
    "Supplier",
    "TooManyWrittenOff",
    "Update",
    "UpdateBatch",
    "__version__",
    "adapted",
    "by_chat",
    "by_chat_thread",
    "by_user",
    "create_batch_sink",
    "create_concurrent_sink",
    "create_runner",
    "create_sequential_sink",
    "create_source",
    "current",
    "exchange",
    "exchange_reply",
    "format_error",
    "is_quiet",
    "is_update",
    "open_store",
    "plain_reply",
    "receive",
    "receive_reply",
    "run",
    "sequentialize",
    "wait_for_data",
]
