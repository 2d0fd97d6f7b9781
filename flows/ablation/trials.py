"""The models of an ablation: for each corpus and seed one is trained, and scored by bits per byte of tasks' answers.

Notable: a model that is scored already is not trained again, and a training that was stopped goes on from its newest
checkpoint, so the same command goes on after a kill. What is scored is the average of the newest checkpoints' weights,
which wavers less than the last one.
"""

import dataclasses
import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flows.ablation.verdict import Scores, Verdict, verdict
from flows.launch.configured_program import run_configured
from model.base.config import PretrainSection
from model.base.config_loading import config_as_json
from tasks.base.errors import UsageError
from tasks.base.fingerprint import digest

AVERAGED = 4
"""Checkpoints whose weights are averaged, the newest ones; together a fifth of the training."""
LEAST_SEEDS = 3
MOST_SEEN = 0.75
"""Share of a corpus that a model may see, at most: the noise between corpora could not be told otherwise."""


@dataclass(frozen=True)
class Corpus:
    """A side of an ablation."""

    name: str
    tokens: str
    """Folder of the tokens dataset."""
    packing: str
    """Folder of the packing plan."""
    tokenizer: Path
    vocab_size: int
    targets: int
    """Tokens of the plan to learn from."""
    sequences: int
    """Sequences of the plan."""


@dataclass(frozen=True)
class AblationSettings:
    """What is the same for both sides."""

    section: PretrainSection
    """The model and how it learns; its vocabulary follows each side's tokenizer, its steps the tokens."""
    seeds: int
    tokens: int
    """That each model is trained on; 0: a quarter of the smaller corpus."""
    tasks: Sequence[str]
    """Likelihood tasks: shipped names or YAML files."""
    folder: Path
    """Where models and results go."""


def ablate(first: Corpus, second: Corpus, settings: AblationSettings, tell: Callable[[str], None]) -> Verdict:
    """Train and score the models of both corpora that are not there yet, and return the verdict.

    Raises `UsageError` for too few seeds or too many tokens, `PermanentError` where a program fails.
    """
    if settings.seeds < LEAST_SEEDS:
        raise UsageError(f"An ablation takes at least {LEAST_SEEDS} seeds: fewer show no noise to compare with.")
    smaller = min(first, second, key=lambda corpus: corpus.targets)
    tokens = settings.tokens or smaller.targets // 4
    if tokens > MOST_SEEN * smaller.targets:
        raise UsageError(
            f"The corpus of {smaller.name} has {smaller.targets:,} tokens, and models may see {MOST_SEEN:.0%} of them, "
            f"so that seeds see different parts: lower the tokens, {tokens:,}."
        )
    sides = []
    for corpus in (first, second):
        by_task: defaultdict[str, list[float]] = defaultdict(list)
        for seed in range(settings.seeds):
            tell(f"{corpus.name}, seed {seed + 1} of {settings.seeds}")
            for task, bits in _scored(corpus, settings, tokens, seed).items():
                by_task[task].append(bits)
        sides.append(Scores(corpus.name, by_task, tokens / corpus.targets))
    return verdict(*sides)


def _scored(corpus: Corpus, settings: AblationSettings, tokens: int, seed: int) -> dict[str, float]:
    """Return the bits per byte by task of one model, which is trained unless that is done."""
    section = _section(corpus, settings.section, tokens, seed)
    training = section | {"tokens": corpus.tokens, "packing": corpus.packing, "cache": str(settings.folder / "cache")}
    folder = settings.folder / f"{digest(training)[:12]}-{seed}"
    result = folder / f"result-{digest(list(settings.tasks))[:8]}.json"
    if not result.exists():
        run_configured("model.pretrain", folder / "pretrain.json", training | {"folder": str(folder)})
        asked: dict[str, Any] = {
            "model": str(folder),
            "tokenizer": str(corpus.tokenizer),
            "tasks": list(settings.tasks),
        }
        asked |= {"result": str(result), "average_checkpoints": AVERAGED}
        run_configured("model.evaluate", folder / "evaluate.json", asked)
    found = json.loads(result.read_text(encoding="utf-8"))["tasks"]
    bits = {
        task["task"]: metric["value"]
        for task in found
        for metric in task["metrics"]
        if metric["metric"] == "bits_per_byte"
    }
    if not bits:
        raise UsageError("None of the tasks has bits per byte: name likelihood tasks.")
    return bits


def _section(corpus: Corpus, section: PretrainSection, tokens: int, seed: int) -> dict[str, Any]:
    loop, sequences = section.loop, tokens / (corpus.targets / corpus.sequences)
    steps = max(AVERAGED, round(sequences / loop.global_batch_size))
    own = dataclasses.replace(
        section,
        shape=dataclasses.replace(section.shape, vocab_size=corpus.vocab_size),
        schedule=dataclasses.replace(section.schedule, warmup_steps=min(section.schedule.warmup_steps, steps - 1)),
        loop=dataclasses.replace(
            loop,
            steps=steps,
            seed=loop.seed + seed,
            checkpoint_every=max(1, steps // (5 * AVERAGED)),
            keep_checkpoints=AVERAGED,
            evaluate_every=0,
            evaluation_documents=1,
            max_hours=0.0,
            patience=0,
            trackers=(),
        ),
    )
    return config_as_json(own)
