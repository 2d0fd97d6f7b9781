"""Names of hosts as they are compared, in ASCII, as browsers write them; and the top-level domains that end them."""

from functools import cache
from importlib import resources

import idna

MAX_HOST_CHARS = 253  # RFC 1035, section 2.3.4, without the dot at the end
_MAX_LABEL = 63


def ascii_host(name: str) -> str:
    """Return a domain or host in lower case, without dots or slashes at its ends, international names in ASCII.

    By UTS 46 without its transitional mapping, as browsers do: "straße" is another name than "strasse". Raises
    `UnicodeError` for what is no host's name.
    """
    name = name.lower().strip("./")
    if len(name) > MAX_HOST_CHARS:
        raise UnicodeError(f"it is longer than {MAX_HOST_CHARS} characters")
    if not name.isascii():
        labels = idna.uts46_remap(name, std3_rules=False, transitional=False).split(".")
        name = ".".join(label if label.isascii() else f"xn--{label.encode('punycode').decode()}" for label in labels)
    if not all(0 < len(label) <= _MAX_LABEL for label in name.split(".")):
        raise UnicodeError("a label between its dots is empty or longer than 63 characters")
    return name


@cache
def top_level_domains() -> frozenset[str]:
    """Return all of the Internet, from the public suffix list that `tld` ships.

    In lower case, without a dot; those of other scripts as they are written.
    """
    listed = resources.files("tld") / "res" / "effective_tld_names_public_only.dat.txt"
    suffixes = (line.split(maxsplit=1) for line in listed.read_text(encoding="utf-8").splitlines())
    return frozenset(words[0].rpartition(".")[2] for words in suffixes if words and not words[0].startswith("//"))
