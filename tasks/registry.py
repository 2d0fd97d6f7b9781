"""Every stage of the data half by name, in the order of the work."""

from collections.abc import Mapping

from tasks.classify import classifiers, scores, thresholds
from tasks.corpus import corpus
from tasks.dataset.stage import OWN_CODE, PartJob, Stage
from tasks.dedup import candidates, clusters, duplicates, partitions, signatures
from tasks.extract import extract
from tasks.fetch import fetch, selected_records, selection
from tasks.filter import filter
from tasks.own_code.named_code import load
from tasks.synthesis import backtranslated, preference_pairs, rephrased, responses
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
        rephrased.STAGE,
        backtranslated.STAGE,
        responses.STAGE,
        preference_pairs.STAGE,
        tokenizer.STAGE,
        tokens.STAGE,
        packing.STAGE,
        compression.STAGE,
    )
}


def stage_of(job: PartJob) -> Stage:
    """Return the stage that a job is of: one of these, or the user's own, whose code the job brings."""
    if OWN_CODE not in job.config:
        return STAGES[job.stage]
    stage: Stage = load(job.config[OWN_CODE])
    return stage
