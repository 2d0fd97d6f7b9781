"""Secrets in URLs: recipes and settings are recorded, reported and shown, so none may hold a password or a signature.

Notable: a user name alone is none, but for HTTP, where it may be a token. A password may hold an unescaped slash, as
the secret keys of S3 do.
"""

import re

from pydantic.config import JsonDict

_USER = re.compile(
    r"(?<![a-z0-9+.-])(?:((?:https?|ftps?)://)[^/\s]*@|([a-z0-9+.-]+://)[^/?#\s:@]*:(?!\d{1,5}[/?#])[^\s@]*@)",
    re.IGNORECASE,
)
_HOST_IN_IPV6 = re.compile(r"\Ahttps?://\[[0-9a-f:.]+\]", re.IGNORECASE)
_QUERY = re.compile(
    r"([?&](?:x-(?:amz|goog)-(?:signature|credential|security-token)|sig|signature|"
    r"(?:[a-z]+[_-])?(?:token|key|secret|password))=)[^&#\s'\"]+",
    re.IGNORECASE,
)


NO_SECRET: JsonDict = {
    "pattern": r"^(?!(?:[hH][tT][tT][pP][sS]?|[fF][tT][pP][sS]?)://[^/]*@|[a-zA-Z0-9+.-]+://[^/?#@:]*:[^@]*@"
    r"|[^?]*[?](?:.*&)?(?:[xX]-(?:[aA]mz|[gG]oog)-(?:[sS]ignature|[cC]redential|[sS]ecurity-[tT]oken)|[sS]ig(?:nature)?"
    r"|(?:[a-zA-Z]+[_-])?(?:[tT]oken|[kK]ey|[sS]ecret|[pP]assword))=)"
}
"""For the JSON schema of fields that hold an address: what a server refuses that has only the schema, before it stores
what was given. `refuse_secret` knows more kinds."""


def refuse_secret(address: str, what: str) -> None:
    """Raise ValueError for an address with a password or a signature in it; `what` names it in the error."""
    if _USER.search(address) or _QUERY.search(address):
        raise ValueError(
            f"{what} has a user name, a password or a signature in its URL, which would be recorded and reported: give"
            " credentials in the environment, such as AWS_ACCESS_KEY_ID, or in ~/.netrc"
        )


def redacted(text: str) -> str:
    """Return a text with `***` for what is secret in the URLs that it quotes."""
    return _QUERY.sub(r"\1***", _USER.sub(lambda found: f"{found[1] or found[2]}***@", text))


def is_chain(address: str) -> bool:
    """Return whether an address leads on to another one by `::`, as fsspec has it; that of a host in IPv6 does not."""
    return "://" in address and "::" in _HOST_IN_IPV6.sub("", address, count=1)
