"""Test bots without Telegram: a fake Bot API server, a pytest plugin, and a playground for the browser.

```python
def test_start(bot_api, run_bot):
    run_bot(bot)
    chat = bot_api.chat(1)
    chat.send("/start")
    assert chat.reply().text == "visit 1"
```

Importing this package is cheap: its parts are loaded when they are first used.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyruntime.testing.body import UploadedFile
    from pyruntime.testing.chat import Chat
    from pyruntime.testing.fault import Fault
    from pyruntime.testing.message import Message, Query
    from pyruntime.testing.playground import Playground
    from pyruntime.testing.server import TEST_TOKEN, FakeBotApi
    from pyruntime.testing.transcript import Call

__all__ = [
    "TEST_TOKEN",
    "Call",
    "Chat",
    "FakeBotApi",
    "Fault",
    "Message",
    "Playground",
    "Query",
    "UploadedFile",
]

_HOMES = {
    "Call": "transcript",
    "Chat": "chat",
    "FakeBotApi": "server",
    "Fault": "fault",
    "Message": "message",
    "Playground": "playground",
    "Query": "message",
    "TEST_TOKEN": "server",
    "UploadedFile": "body",
}


def __getattr__(name: str) -> Any:
    """Load the part that holds `name`."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value
