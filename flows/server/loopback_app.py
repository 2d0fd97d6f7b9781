"""The Prefect server's application as a run of our own serves it, for this user's programs on this machine only.

Notable: a web page can reach loopback through a name of its own that resolves there. Prefect has no setting that
refuses such a Host header, so the application is wrapped here. It is wrapped from outside: its own services call it in
memory, under a name that is not loopback, and no automation could act if they were refused.
"""

import os
from typing import Any

_HOSTS = ("127.0.0.1", "localhost")


def create_app() -> Any:
    """Return Prefect's application, which answers requests for loopback only; what it writes is for this user."""
    from fastapi.middleware.trustedhost import TrustedHostMiddleware
    from prefect.server.api.server import create_app as create_prefect_app

    os.umask(0o077)
    # Prefect's migrations put the current folder on the path, whatever the environment says.
    os.chdir(os.environ["PREFECT_HOME"])
    return TrustedHostMiddleware(create_prefect_app(), allowed_hosts=_HOSTS, www_redirect=False)
