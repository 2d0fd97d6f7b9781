"""What replaces personal data, and which characters may not stand beside it."""

import re

Spans = list[tuple[int, int]]  # where something was found, as (start, end), in order and without overlaps

PLACEHOLDERS = {
    "secret_keys": "[SECRET]",
    "emails": "[EMAIL]",
    "ip_addresses": "[IP]",
    "ibans": "[IBAN]",
    "card_numbers": "[CARD]",
    "phone_numbers": "[PHONE]",
}
"""By kind. No finder finds anything in a placeholder."""

WORD = r"[^\W\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u9fff\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\uff21-\uffef]"
"""Pattern of a character that makes one word of what stands beside it: letters, digits and the underscore, but none of
the scripts that put no space between a word and a number (Chinese, Japanese, Korean, Thai, Lao, Burmese, Khmer)."""

_IS_WORD = re.compile(WORD)


def is_word(character: str) -> bool:
    """Return whether the character (or "") makes one word of what stands beside it."""
    return _IS_WORD.match(character) is not None
