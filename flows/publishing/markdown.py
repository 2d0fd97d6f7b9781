"""Words and counts as Markdown, for the cards and summaries that leave the store."""

import re
from collections.abc import Iterable

_MARKUP = re.compile(r"[\\`*_{}\[\]<>|#&~$!]")
_LONGEST = 200


def escaped(words: str) -> str:
    """Return words of a page as they can stand in a line or a table's cell: read as they are, never as markup."""
    plain = "".join(c if c.isprintable() else " " for c in words).strip()
    return _MARKUP.sub(lambda found: f"\\{found[0]}", plain)


def counts_table(counts: Iterable[tuple[str, int]], what: str, of: str) -> str:
    """Return a table of names, which are escaped, with their counts."""
    rows = [f"| {escaped(name[:_LONGEST]) or '(none)'} | {count:,} |" for name, count in counts]
    return "\n".join([f"| {what} | {of} |", "|---|---:|", *rows])
