"""Every stage of the data half by name, in the order of the work."""

from __future__ import annotations

from collections.abc import Mapping

from tasks.stages import (
    candidates,
    classifiers,
    compression,
    corpus,
    duplicates,
    extract,
    fetch,
    filter,
    packing,
    scores,
    selection,
    signatures,
    thresholds,
    tokenizer,
    tokens,
    wanted,
)
from tasks.stages.stage import Stage

STAGES: Mapping[str, Stage] = {
    stage.name: stage
    for stage in (
        selection.STAGE,
        wanted.STAGE,
        fetch.STAGE,
        extract.STAGE,
        filter.STAGE,
        signatures.STAGE,
        candidates.STAGE,
        duplicates.STAGE,
        classifiers.STAGE,
        scores.STAGE,
        thresholds.STAGE,
        corpus.STAGE,
        tokenizer.STAGE,
        tokens.STAGE,
        packing.STAGE,
        compression.STAGE,
    )
}
