"""The top-level domains of the Internet, by the list that comes with Sluice."""

from __future__ import annotations

from functools import cache
from importlib import resources


@cache
def top_level_domains() -> frozenset[str]:
    """All of them, in small letters and without a dot."""
    listed = (resources.files("tasks") / "lists" / "top-level-domains.txt").read_text(encoding="utf-8")
    return frozenset(name for line in listed.splitlines() if not line.startswith("#") for name in line.split())
