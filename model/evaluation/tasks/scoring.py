"""From answers to numbers: the scores of each item, and what they come to over a task. Needs no torch.

Notable: BLEU and chrF are sacrebleu's, over the whole task; the score of an item is then that of its sentence.
"""

import math
import re
import string
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from model.base.errors import BadInput
from model.evaluation.answer_check import answers
from model.evaluation.intervals import bootstrap_interval, mean_interval
from model.evaluation.results import Measured
from model.evaluation.tasks.task import MetricSpec, TaskSpec

_CORPUS_METRICS = ("bleu", "chrf", "chrf++")
_CORPUS_RESAMPLES = 200
_NO_MATCH = "[invalid]"
_NUMBER = re.compile(r"[-+]?(?:\d[\d,]*)?\.?\d+(?:[eE][-+]?\d+)?")


@dataclass(frozen=True)
class ItemScore:
    """What one item came to."""

    answer: str
    """What the model said or chose."""
    scores: Mapping[str, float]
    """By metric."""
    nats: tuple[float, ...] = ()
    """Log-likelihood of each choice, or of the continuation."""
    right_bytes: int = 0
    """UTF-8 bytes of the right continuation, for bits per byte."""
    right_nats: float = 0.0
    """Its log-likelihood."""


def compared(spec: TaskSpec, reply: str) -> str:
    """Return what of a reply is compared, by the task's filters."""
    for step in spec.filter_list[0].get("filter", ()) if spec.filter_list else ():
        name = step.get("function")
        if name == "regex":
            try:
                found = re.findall(str(step.get("regex_pattern", "")), reply)
            except re.error as error:
                raise BadInput(f"the task {spec.task}: regex_pattern: {error}") from error
            group = found[int(step.get("group_select", 0))] if found else _NO_MATCH
            reply = next(filter(None, group), _NO_MATCH) if isinstance(group, tuple) else group.strip()
        elif name != "take_first":
            raise BadInput(f"the task {spec.task}: there is no filter {name!r}; there are: regex, take_first")
    return reply


def text_score(metric: MetricSpec, said: str, targets: Sequence[str]) -> float:
    """Return the score of a reply, the best over the right answers."""
    if metric.metric in _CORPUS_METRICS:
        return _corpus_score(metric.metric, [said], [targets])
    return float(any(_TEXT_SCORES[metric.metric](metric, said, target) for target in targets))


def _exact_match(metric: MetricSpec, said: str, target: str) -> bool:
    return _plain(metric, said) == _plain(metric, target)


def _plain(metric: MetricSpec, text: str) -> str:
    for pattern in metric.regexes_to_ignore:
        text = re.sub(pattern, "", text)
    text = text.lower() if metric.ignore_case else text
    return text.translate(str.maketrans("", "", string.punctuation)) if metric.ignore_punctuation else text


def _numeric_match(_: MetricSpec, said: str, target: str) -> bool:
    """Whether the last number of a reply is the right one."""
    numbers, right = _NUMBER.findall(said[-10_000:]), _NUMBER.findall(target)
    return bool(numbers and right) and _value(numbers[-1]) == _value(right[-1])


def _value(number: str) -> Fraction | None:
    whole, _, exponent = number.lower().partition("e")
    if len(number) > 40 or abs(int(exponent or 0)) > 400:
        return None
    return Fraction(whole.replace(",", "")) * Fraction(10) ** int(exponent or 0)


_TEXT_SCORES: Mapping[str, Callable[[MetricSpec, str, str], bool]] = {
    "exact_match": _exact_match,
    "numeric_match": _numeric_match,
    "contains": lambda _, said, target: answers(said, target),
}


def choice_scores(nats: Sequence[float], choices: Sequence[str], right: int) -> dict[str, float]:
    """Return whether the likeliest choice is right: by log-likelihood, by that for each character, for each byte."""
    lengths = {"acc": [1] * len(choices), "acc_norm": [len(choice) for choice in choices]}
    lengths["acc_bytes"] = [len(choice.encode()) for choice in choices]
    return {name: float(_best(nats, length) == right) for name, length in lengths.items()}


def _best(nats: Sequence[float], lengths: Sequence[int]) -> int:
    return int(np.argmax([value / max(1, length) for value, length in zip(nats, lengths, strict=True)]))


def measured(
    metric: MetricSpec, items: Sequence[ItemScore], said: Sequence[str], targets: Sequence[Sequence[str]]
) -> Measured:
    """Return what a task's items come to by one metric, with its interval; `said` is what was compared."""
    name = metric.metric
    if name in _CORPUS_METRICS:
        value = _corpus_score(name, said, targets)
        low, high = bootstrap_interval(
            len(items),
            lambda drawn: _corpus_score(name, [said[at] for at in drawn], [targets[at] for at in drawn]),
            _CORPUS_RESAMPLES,
        )
    elif name == "bits_per_byte":
        nats = np.array([item.right_nats for item in items])
        sizes = np.array([item.right_bytes for item in items])
        value = float(-nats.sum() / math.log(2) / sizes.sum())
        low, high = bootstrap_interval(
            len(items), lambda drawn: float(-nats[drawn].sum() / math.log(2) / sizes[drawn].sum())
        )
    elif name == "perplexity":
        nats_of = [item.right_nats for item in items]
        value = math.exp(-sum(nats_of) / len(nats_of))
        low, high = (math.exp(-end) for end in reversed(mean_interval(nats_of)))
    else:
        values = [item.scores[name] for item in items]
        value, (low, high) = sum(values) / len(values), mean_interval(values)
    return Measured(name, value, low, high)


def _corpus_score(name: str, said: Sequence[str], targets: Sequence[Sequence[str]]) -> float:
    """Return sacrebleu's score, 0 to 100; the targets of an item are its references."""
    from sacrebleu.metrics import BLEU, CHRF  # only translations need it

    most = max(map(len, targets))
    references = [[own[at] if at < len(own) else None for own in targets] for at in range(most)]
    metric = BLEU() if name == "bleu" else CHRF(word_order=2 if name == "chrf++" else 0)
    if len(said) == 1 and name == "bleu":
        metric = BLEU(effective_order=True)
    return float(metric.corpus_score(list(said), references).score)
