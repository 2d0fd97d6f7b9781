"""The top-level domains of the Internet, from the public suffix list that `tld` ships."""

from functools import cache
from importlib import resources


@cache
def top_level_domains() -> frozenset[str]:
    """Return all of them in lower case, without a dot; those of other scripts as they are written."""
    listed = resources.files("tld") / "res" / "effective_tld_names_public_only.dat.txt"
    suffixes = (line.split(maxsplit=1) for line in listed.read_text(encoding="utf-8").splitlines())
    return frozenset(words[0].rpartition(".")[2] for words in suffixes if words and not words[0].startswith("//"))
