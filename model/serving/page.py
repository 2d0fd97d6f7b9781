"""The web page, and the policy that lets a browser run nothing but what stands in it."""

import base64
import hashlib
import re
from pathlib import Path

_PAGE = Path(__file__).with_name("page.html")


def page_and_policy() -> tuple[bytes, str]:
    """Return the page and its Content-Security-Policy: its own script and style by their digests, and no other."""
    html = _PAGE.read_bytes()
    policy = {
        "default-src": "'none'",
        "script-src": _digests(html, "script"),
        "style-src": _digests(html, "style"),
        "connect-src": "'self'",
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
        "require-trusted-types-for": "'script'",
        "trusted-types": "'none'",
    }
    return html, "; ".join(f"{name} {value}" for name, value in policy.items())


def _digests(html: bytes, element: str) -> str:
    contents = re.findall(rf"<{element}>(.*?)</{element}>".encode(), html, flags=re.DOTALL)
    digests = [base64.b64encode(hashlib.sha256(content).digest()).decode() for content in contents]
    return " ".join(f"'sha256-{digest}'" for digest in digests)
