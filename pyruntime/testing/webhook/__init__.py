"""Deliver updates to the bot's webhook, as the real server does.

`lane` says which updates wait for each other, `courier` delivers and tries again, `client` is one HTTP connection,
`delivery` what is remembered of each attempt.
"""

from pyruntime.testing.webhook.courier import Courier
from pyruntime.testing.webhook.delivery import Delivery

__all__ = ["Courier", "Delivery"]
