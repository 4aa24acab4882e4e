"""Speak TLS to webhooks as the real server does: with the authority that setWebhook brought, if it brought one."""

import functools
import ssl

__all__ = ["client_context"]


@functools.lru_cache(maxsize=32)
def client_context(certificate: str | None) -> ssl.SSLContext:
    """Return what to connect with.

    Args: certificate, what setWebhook uploaded, in PEM: the peer must show it, or one that it has signed, for the name
    in the URL. None: any certificate is taken, since those that the real server wants are hard to come by on a machine
    for tests.
    Raises: ssl.SSLError if `certificate` holds none.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if certificate is None:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    else:
        context.load_verify_locations(cadata=certificate)
    return context
