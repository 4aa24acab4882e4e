"""HTTP/1.1 for Bot API calls.

``DirectTransport`` is the hot path: keep-alive over the standard library's sockets and TLS. ``RequestsTransport`` hands
over to ``requests``: proxies, custom sessions, uploads and downloads.
"""

from pyruntime.transport.direct import DirectTransport
from pyruntime.transport.endpoint import Endpoint
from pyruntime.transport.proxy import check_proxy, environment_proxy
from pyruntime.transport.tls import TlsContext
from pyruntime.transport.via_requests import RequestsTransport

__all__ = ["DirectTransport", "Endpoint", "RequestsTransport", "TlsContext", "check_proxy", "environment_proxy"]
