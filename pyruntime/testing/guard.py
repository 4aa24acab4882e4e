"""Keep other web pages away from the pages and control endpoints of a local server.

Two ways in are shut: a page elsewhere that posts to 127.0.0.1 (its Origin is not ours, and it cannot send JSON without
asking first), and a page whose host name was re-bound to 127.0.0.1 (its Host is a name that is not ours).
"""

import ipaddress

from pyruntime.testing.wire import Request


def refuse_foreign(request: Request, own_host: str, is_page: bool = False) -> tuple[int, str] | None:
    """Return status and reason if the request must be refused, else None.

    `is_page` is for the page itself, which may be reached by a link from anywhere.
    """
    host = request.header(b"host")
    if not _is_own(host, own_host):
        return 403, "Forbidden: this host name is not served here"
    if is_page:
        return None
    origin = request.header(b"origin")
    if origin and origin != f"http://{host}":
        return 403, "Forbidden: requests of other pages are not served"
    if request.header(b"sec-fetch-site") in ("cross-site", "same-site"):
        return 403, "Forbidden: requests of other pages are not served"
    if request.verb == "POST":
        kind = request.header(b"content-type").partition(";")[0].strip().lower()
        if kind != "application/json":
            return 415, "Unsupported Media Type: send application/json"
    return None


def _is_own(host: str, own_host: str) -> bool:
    """Tell whether a Host header is ours: an address (nobody can re-bind one), localhost, or the host listened on."""
    name = host
    if host.startswith("["):
        name = host[1:].partition("]")[0]
    elif host.count(":") == 1:
        name = host.partition(":")[0]
    if name.lower() in ("localhost", own_host.lower()):
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
