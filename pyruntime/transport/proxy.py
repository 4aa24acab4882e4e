"""Which proxy, if any, lies on the way to the Bot API."""

from __future__ import annotations

import importlib.util
import ipaddress
import os
import sys
from urllib.parse import urlsplit

__all__ = ["check_proxy", "environment_proxy"]


def environment_proxy(url: str) -> str | None:
    """Return the proxy for a URL as the environment says: HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY.

    On macOS and Windows the settings of the system count as well. What is on this machine is never behind a proxy.
    """
    if sys.platform == "linux" and not any(name.lower().endswith("_proxy") for name in os.environ):
        # Saves the imports below, which most programs never need.
        return None
    if is_loopback(urlsplit(url).hostname or ""):
        return None
    from urllib.request import getproxies

    proxies = getproxies()
    if not proxies:
        return None
    from requests.utils import select_proxy, should_bypass_proxies

    return None if should_bypass_proxies(url, no_proxy=None) else select_proxy(url, proxies)


def check_proxy(proxy: str) -> str:
    """Return the URL of a proxy if it can be used.

    Raises:
        ValueError: not the URL of a proxy.
        ImportError: a SOCKS proxy, and what is needed for it is not installed.
    """
    if "://" not in proxy:
        proxy = f"http://{proxy}"
    parts = urlsplit(proxy)
    if parts.scheme not in ("http", "https", "socks4", "socks4a", "socks5", "socks5h") or not parts.hostname:
        # The URL itself may carry a password.
        raise ValueError(f"not a proxy: {parts.scheme}://{parts.hostname or ''}")
    if parts.scheme.startswith("socks") and importlib.util.find_spec("socks") is None:
        raise ImportError('a SOCKS proxy needs one more package: pip install "requests[socks]"')
    return proxy


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine, by its name alone."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
