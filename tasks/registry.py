"""Every stage of the data half by name, in the order of the work."""

from collections.abc import Mapping

from tasks.classify import classifiers, scores, thresholds
from tasks.corpus import corpus
from tasks.dataset.stage import Stage
from tasks.dedup import candidates, clusters, duplicates, partitions, signatures
from tasks.extract import extract
from tasks.fetch import fetch, selected_records, selection
from tasks.filter import filter
from tasks.tokenize import compression, packing, tokenizer, tokens

STAGES: Mapping[str, Stage] = {
    stage.name: stage
    for stage in (
        selection.STAGE,
        selected_records.STAGE,
        fetch.STAGE,
        extract.STAGE,
        filter.STAGE,
        signatures.STAGE,
        partitions.STAGE,
        candidates.STAGE,
        clusters.STAGE,
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
