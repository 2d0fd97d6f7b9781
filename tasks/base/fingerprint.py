"""Fingerprints: what a dataset means, as a short name that changes when the meaning does.

Notable: a fingerprint covers the stage's own part of the recipe, a version that a developer raises when the stage's
output changes, and the fingerprints upstream. The store's place, the worker count and the machine stay out of it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any


def canonical(value: Any) -> str:
    """JSON with sorted keys and no spaces: equal meanings give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def digest(value: Any) -> str:
    """SHA-256 of the canonical JSON, first 32 hexadecimal digits."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()[:32]


def fingerprint(stage: str, version: int, config: Mapping[str, Any], upstream: Mapping[str, str]) -> str:
    """Sixteen hexadecimal digits that name what a stage makes.

    `config` holds the fields of the recipe that this stage reads, `upstream` the fingerprints it builds on by stage.
    """
    parts = {"stage": stage, "version": version, "config": dict(config), "upstream": dict(upstream)}
    return digest(parts)[:16]


def differences(before: Any, after: Any, path: str = "") -> list[tuple[str, Any, Any]]:
    """Every field that differs between two JSON values, as (dotted path, before, after).

    A field that only one side has is compared with None.
    """
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        found = []
        for key in sorted(set(before) | set(after)):
            found += differences(before.get(key), after.get(key), f"{path}.{key}" if path else str(key))
        return found
    return [] if before == after else [(path, before, after)]
