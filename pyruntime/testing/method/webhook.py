"""Keep the state of the webhook; `pyruntime.testing.webhook` delivers."""

import re
import ssl
from typing import Any, Final

from pyruntime.testing.body import UploadedFile
from pyruntime.testing.method.registry import Arguments, bad_request
from pyruntime.testing.webhook.tls import client_context
from pyruntime.testing.world import World

_KEPT: Final = frozenset({"secret_token", "certificate"})
"""What getWebhookInfo does not tell."""
_SECRET: Final = re.compile(r"[A-Za-z0-9_-]{1,256}\Z")


def set_webhook(world: World, arguments: Arguments) -> str:
    """Set or, with an empty url, remove the webhook; return the reply's description.

    Raises: Refused on a bad url or secret token.
    """
    url = arguments.text("url")
    if not url:
        return delete_webhook(world)
    if not url.startswith(("https://", "http://")):
        raise bad_request("bad webhook: An HTTPS URL must be provided for webhook")
    secret = arguments.text("secret_token")
    if secret and not _SECRET.match(secret):
        raise bad_request("secret token contains unallowed characters")
    was_set = world.webhook.get("url") == url
    certificate = _read_certificate(arguments)
    world.webhook = {
        "url": url,
        "has_custom_certificate": certificate is not None,
        "max_connections": min(max(arguments.integer("max_connections", 40), 1), 100),
        "secret_token": secret,
        "certificate": certificate,
    }
    if arguments.text("ip_address"):
        world.webhook["ip_address"] = arguments.text("ip_address")
    return "Webhook is already set" if was_set else "Webhook was set"


def _read_certificate(arguments: Arguments) -> str | None:
    file = arguments.file("certificate")
    if not isinstance(file, UploadedFile):
        return None
    try:
        certificate = file.data.decode()
        client_context(certificate)
    except (ValueError, ssl.SSLError):
        raise bad_request("bad webhook: Failed to set custom certificate file") from None
    return certificate


def delete_webhook(world: World) -> str:
    """Remove the webhook; return the reply's description."""
    was_set = bool(world.webhook)
    world.webhook = {}
    return "Webhook was deleted" if was_set else "Webhook is already deleted"


def webhook_info(world: World, pending: int, allowed_kinds: list[str] | None) -> dict[str, Any]:
    """Describe the webhook."""
    info: dict[str, Any] = {
        "url": "",
        "has_custom_certificate": False,
        "pending_update_count": pending,
        **{name: value for name, value in world.webhook.items() if name not in _KEPT},
    }
    if allowed_kinds is not None:
        info["allowed_updates"] = allowed_kinds
    return info
