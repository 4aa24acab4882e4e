"""Webhooks: updates that Telegram posts to a WSGI app instead of being asked for them.

::

    server ──POST──▶ request: gate, read ──▶ app: offer ──▶ 200 when it is durable, 503 when there is no room
                                               │
                     registration ◀── init ────┘   setWebhook, if the app is told its address

`option` puts an app together; `answer` is what comes back; `reply` puts the first call of a handler into it, if that is
asked for; `server` serves an app for the command line.
"""

from pyruntime.webhook.answer import Answer
from pyruntime.webhook.app import WebhookApp
from pyruntime.webhook.option import webhook_app

__all__ = ["Answer", "WebhookApp", "webhook_app"]
