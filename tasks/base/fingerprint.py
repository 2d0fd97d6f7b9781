"""Fingerprints: short names for what a dataset means, which change when the meaning does.

Notable: the version is raised by a developer when a stage's output changes; the store's place, the worker count and the
machine stay out of a fingerprint.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any


def canonical(value: Any) -> str:
    """Return JSON with sorted keys and no spaces: equal values give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def digest(value: Any) -> str:
    """Return the first 32 hexadecimal digits of the canonical JSON's SHA-256."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()[:32]


def fingerprint(stage: str, version: int, config: Mapping[str, Any], upstream: Mapping[str, str]) -> str:
    """Return the sixteen hexadecimal digits that name a stage's output."""
    return digest({"stage": stage, "version": version, "config": dict(config), "upstream": dict(upstream)})[:16]


def differences(before: Any, after: Any, path: str = "") -> list[tuple[str, Any, Any]]:
    """Return each field that differs between JSON values, as (dotted path, before, after), None where it is missing."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        found = []
        for key in sorted(set(before) | set(after)):
            found += differences(before.get(key), after.get(key), f"{path}.{key}" if path else str(key))
        return found
    return [] if before == after else [(path, before, after)]
