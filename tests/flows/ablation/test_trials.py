"""Models are really trained and scored: a planted better corpus is found, and what is done is not done again."""

import random
import time
from dataclasses import replace
from pathlib import Path

import pytest

from flows.ablation.trials import AblationSettings, Corpus, ablate
from model.base.config import LoopConfig, PretrainSection
from model.base.sizes import ModelShape
from tasks.base.errors import UsageError
from tests.model.evaluation.asked_models import towns, write_task
from tests.model.tiny_corpus import SHAPE, TinyCorpus, make_tiny_corpus, write_plan, write_tokens


def side(root: Path, corpus: TinyCorpus, name: str, right: float, draws: random.Random) -> Corpus:
    """Tokens of 3,000 facts, of which a share is right and the others name a good at random."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(corpus.tokenizer))
    facts, goods = towns(corpus), sorted({fact["good"] for fact in towns(corpus)})
    rows, plan = [], []
    for number in range(3000):
        fact = draws.choice(facts)
        good = fact["good"] if draws.random() < right else draws.choice(goods)
        text = f"{fact['town']} sells {good}."
        ids = [0, *tokenizer.encode(text).ids, 0]
        rows.append({"id": f"{name}:{number}", "tokens": ids, "n_bytes": len(text.encode()), "split": "train"})
        plan.append({"part": 0, "row": number, "start": 0, "length": len(ids)})
    rows[-1]["split"] = "validation"
    write_tokens(root / name / "tokens", [rows])
    sequences = [plan[at : at + 3] for at in range(0, 2997, 3)]
    write_plan(root / name / "packing", sequences)
    targets = sum(segment["length"] - 1 for sequence in sequences for segment in sequence)
    tokens, packing = (str(root / name / folder) for folder in ("tokens", "packing"))
    return Corpus(name, tokens, packing, corpus.tokenizer, SHAPE["vocab_size"], targets, len(sequences))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> TinyCorpus:
    return make_tiny_corpus(tmp_path_factory.mktemp("facts"))


def settings(corpus: TinyCorpus, folder: Path) -> AblationSettings:
    task = write_task(folder, "facts", towns(corpus), output_type="loglikelihood", doc_to_text="{{town}} sells",
                      doc_to_target=" {{good}}.")  # fmt: skip
    loop = LoopConfig(steps=1, global_batch_size=4, threads=1, precision="float32")
    return AblationSettings(PretrainSection(shape=ModelShape(**SHAPE), loop=loop), 3, 0, [task], folder / "models")


@pytest.mark.slow
def test_the_planted_better_corpus_is_found(corpus: TinyCorpus, tmp_path: Path) -> None:
    draws = random.Random(1)
    good, bad = side(tmp_path, corpus, "good", 1.0, draws), side(tmp_path, corpus, "bad", 0.0, draws)
    told: list[str] = []
    start = time.monotonic()
    found = ablate(bad, good, settings(corpus, tmp_path), told.append)
    print(f"{time.monotonic() - start:.0f} s: {found.words}")
    assert found.better == "good" and found.overall.signal_to_noise > 3
    assert told[0] == "bad, seed 1 of 3" and len(told) == 6
    start = time.monotonic()
    assert ablate(bad, good, settings(corpus, tmp_path), told.append) == found
    assert time.monotonic() - start < 2, "all is there"


def test_too_few_seeds_and_too_many_tokens_are_refused(corpus: TinyCorpus, tmp_path: Path) -> None:
    one = side(tmp_path, corpus, "one", 1.0, random.Random(1))
    how = settings(corpus, tmp_path)
    with pytest.raises(UsageError, match="at least 3 seeds"):
        ablate(one, one, replace(how, seeds=2), print)
    with pytest.raises(UsageError, match="lower the tokens"):
        ablate(one, one, replace(how, tokens=10**9), print)
