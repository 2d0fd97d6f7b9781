"""The lowest score kept, where a classifier keeps a share of the corpus and other documents would reach it.

Notable: the share is one of all documents, so the score is found in two passes over the parts, as the stage
`thresholds` finds it. Documents that were never scored cannot count, and of those with just that score all stay.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

from flows.store.deciding_stages import lowest_scores
from flows.what_if.decided_run import DecidedRun
from flows.what_if.parts import decide_part
from flows.what_if.reevaluation import Reevaluation
from tasks.classify.lowest_kept import Float32s, lowest_score
from tasks.classify.score_rules import KeepTop
from tasks.dataset.rules import Rule
from tasks.dataset.store import Store


def with_scores_to_keep(store: Store, run: DecidedRun) -> DecidedRun:
    """Return the run with every share to keep as a threshold: the one that it came to, or would come to."""
    corpus = run.stages[-1]
    shares = [rule for rule in (*corpus.before, *corpus.after) if isinstance(rule, KeepTop)]
    if not shares:
        return run
    of_run = lowest_scores(store, run.record)
    before = _at(corpus.before, of_run)
    reached_as_before = not any(stage.reevaluation.changes for stage in run.stages[:-1])
    if reached_as_before and {rule for rule in corpus.after if rule in shares} <= set(corpus.before):
        # No document changes sides: the stored results hold, and of those with just that score some go.
        changed = replace(corpus, before=before, after=_at(corpus.after, of_run))
    else:
        lowest = {
            rule.classifier: lowest_score(rule.share, partial(_scores, store, run, rule))[0]
            for rule in corpus.after
            if isinstance(rule, KeepTop)
        }
        after = _at(corpus.after, lowest)
        changed = replace(corpus, before=before, after=after, reevaluation=Reevaluation(corpus.before, after))
    return replace(run, stages=(*run.stages[:-1], changed))


def _at(rules: Sequence[Rule], scores: Mapping[str, float]) -> tuple[Rule, ...]:
    """Return the rules, with a threshold for each share to keep whose lowest score is known."""
    return tuple(
        rule.at(scores[rule.classifier]) if isinstance(rule, KeepTop) and rule.classifier in scores else rule
        for rule in rules
    )


def _scores(store: Store, run: DecidedRun, rule: KeepTop) -> Iterator[Float32s]:
    """Yield the scores of the documents that would reach the corpus stage, part by part; duplicates have none."""
    (column,) = rule.columns
    for part in run.parts:
        *_, decided = decide_part(store, part, run.stages, [column])
        yield decided.decisions[column].filter(decided.reached).drop_null().to_numpy()
