"""Every stage of the data half by name, in the order of the work."""

from __future__ import annotations

from collections.abc import Mapping

from tasks.stages import (
    candidates,
    corpus,
    duplicates,
    extract,
    fetch,
    filter,
    packing,
    signatures,
    tokenizer,
    tokens,
)
from tasks.stages.stage import Stage

STAGES: Mapping[str, Stage] = {
    stage.name: stage
    for stage in (
        fetch.STAGE,
        extract.STAGE,
        filter.STAGE,
        signatures.STAGE,
        candidates.STAGE,
        duplicates.STAGE,
        corpus.STAGE,
        tokenizer.STAGE,
        tokens.STAGE,
        packing.STAGE,
    )
}
