"""Finds secrets of computer systems: keys and tokens of well-known services, private keys, JSON web tokens.

Notable: only forms with a prefix or a frame of their own are found, since these are certain. An assignment of any
random-looking string (`password = ...`) is not: on web pages most of those are examples and checksums.
"""

import re

from tasks.personal_data.placeholders import Spans

_FORMS = {  # by the text that every such key holds, which is quickly looked for
    "AKIA": r"AKIA[0-9A-Z]{16}",  # Amazon Web Services, long-lived
    "ASIA": r"ASIA[0-9A-Z]{16}",  # the same, for a session
    # GitHub: personal, OAuth, user, server and refresh tokens
    **{f"gh{kind}_": rf"gh{kind}_[0-9A-Za-z]{{36,251}}+" for kind in "pousr"},
    "github_pat_": r"github_pat_[0-9A-Za-z_]{60,251}+",
    "glpat-": r"glpat-[0-9A-Za-z_-]{20,64}+",  # GitLab
    "xox": r"xox[abeoprs]-[0-9A-Za-z-]{16,251}+",  # Slack
    "hooks.slack.com/services/": r"https://hooks\.slack\.com/services/T[0-9A-Z]{6,16}/B[0-9A-Z]{6,16}/[0-9A-Za-z]{16,40}+",
    "_live_": r"[sr]k_live_[0-9A-Za-z]{16,251}+",  # Stripe
    "_test_": r"[sr]k_test_[0-9A-Za-z]{16,251}+",
    "AIza": r"AIza[0-9A-Za-z_-]{35}",  # Google: API keys and OAuth secrets
    "GOCSPX-": r"GOCSPX-[0-9A-Za-z_-]{28}",
    "SG.": r"SG\.[0-9A-Za-z_-]{22}\.[0-9A-Za-z_-]{43}",  # SendGrid
    "npm_": r"npm_[0-9A-Za-z]{36}",
    "pypi-AgE": r"pypi-AgE[0-9A-Za-z_-]{50,251}+",
    "hf_": r"hf_[0-9A-Za-z]{34}",  # Hugging Face
    "sk-": r"sk-(?:[0-9A-Za-z]{48}|(?:proj|ant|svcacct)-[0-9A-Za-z_-]{32,251}+)",  # OpenAI, Anthropic
    "eyJ": r"eyJ[0-9A-Za-z_-]{10,8192}+\.eyJ[0-9A-Za-z_-]{10,8192}+\.[0-9A-Za-z_-]{10,8192}+",  # JSON web token
}
_KEYS = {held: re.compile(rf"(?<![\w-])(?<!\[SECRET\]){form}(?!\w)") for held, form in _FORMS.items()}
_KEYS_WITHOUT_UNDERSCORE = {held: key for held, key in _KEYS.items() if "_" not in held}

_AWS_SECRET = re.compile(
    r"(?i:aws_?secret_?(?:access_?)?key)[\"']?\s{0,8}[=:]{1,2}\s{0,8}[\"']?(?P<key>[0-9A-Za-z/+]{40}+)(?![\w/+=])"
)
_KEY_FRAME = re.compile(r"-----(?P<side>BEGIN|END) (?:[0-9A-Z]{1,12} ){0,2}PRIVATE KEY(?: BLOCK)?-----")
_KEY_BODY = re.compile(r"[0-9A-Za-z+/=]{40}")
_KEY_LINES = re.compile(r"(?:\s{1,4}[0-9A-Za-z+/=]{40,128}+)++(?:\n[0-9A-Za-z+/]{1,63}={0,2}(?=\n|\Z))?")


def find_secret_keys(text: str) -> Spans:
    """Return where the secret keys of `text` are."""
    keys = _KEYS if "_" in text else _KEYS_WITHOUT_UNDERSCORE
    spans = [match.span() for held, key in keys.items() if held in text for match in key.finditer(text)]
    lowered = text.lower()
    if "secret" in lowered and "aws" in lowered:
        spans += [match.span("key") for match in _AWS_SECRET.finditer(text)]
    if "PRIVATE KEY" in text:
        spans += _find_private_keys(text)
    return _without_overlaps(spans) if spans else []


def _find_private_keys(text: str) -> Spans:
    """Return private keys in PEM or PGP armour: to their last line, or as far as they go where that is missing."""
    spans: Spans = []
    begun: re.Match[str] | None = None
    for frame in [*_KEY_FRAME.finditer(text), None]:
        begins = frame is not None and frame["side"] == "BEGIN"
        if begun and frame and not begins:
            if _KEY_BODY.search(text, begun.end(), frame.start()):
                spans.append((begun.start(), frame.end()))
        elif begun and (lines := _KEY_LINES.match(text, begun.end())):
            spans.append((begun.start(), lines.end()))
        begun = frame if begins else None
    return spans


def _without_overlaps(spans: Spans) -> Spans:
    """Return the spans in order; of two that overlap, the one that begins first, or else the longer one."""
    chosen: Spans = []
    for start, end in sorted(spans, key=lambda span: (span[0], -span[1])):
        if not chosen or start >= chosen[-1][1]:
            chosen.append((start, end))
    return chosen
