"""Untrusted text (pages, addresses, a model's replies, files' contents) made safe to show.

Notable: a terminal obeys an escape character, and a direction mark reverses all text after it. Needs no torch: the
flows show such texts too.
"""

import re

# C0 and C1 controls except tab and newline, the embeddings, overrides and isolates of text direction, and lone
# surrogates, which no encoding can write.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def harmless(text: str) -> str:
    """Return the text with each of its control characters replaced."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)


def harmless_json(text: str) -> str:
    """Return JSON with each of the control characters in its strings spelt by its number: the same values."""
    return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
