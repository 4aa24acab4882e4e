"""Webhooks: updates that Telegram posts to a WSGI app instead of being asked for them.

::

    server ──POST──▶ request: check, read ──▶ app: offer ──▶ 200 when it is durable, 503 when there is no room
                                               │
                     registration ◀── init ────┘   setWebhook, if the app is told its address

`answer` is what comes back, `reply` the option to put the first call of a handler into it.
"""

from pyruntime.webhook.answer import Answer
from pyruntime.webhook.app import WebhookApp, webhook_app

__all__ = ["Answer", "WebhookApp", "webhook_app"]
