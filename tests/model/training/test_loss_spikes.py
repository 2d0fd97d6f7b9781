"""Steps that would harm the model are skipped, and where that does not help training goes back and past them."""

import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from model.base.errors import BadInput
from model.checkpoints.checkpointing import newest_valid_checkpoint
from model.checkpoints.progress import LossSpikeState
from model.pretrain import pretrain
from model.training.loss_spikes import LossSpikes
from tests.model.tiny_corpus import (
    CONTEXT,
    SHAPE,
    TinyCorpus,
    read_metrics,
    run_program,
    write_json,
    write_plan,
    write_tokens,
)
from tests.model.training.test_training_loop import TWO_PROCESSES, losses

BATCH = 8
SEED = 3
ALONE, IN_A_ROW, WITHOUT_END = 150, range(168, 174), range(200, 252)
"""The batches of garbage."""
SETTLED = 160


def skipped(losses: list[float], norms: list[float] | None = None, sigma: float = 6.0) -> list[int]:
    """The numbers of the steps that are skipped."""
    spikes = LossSpikes(sigma, LossSpikeState())
    pairs = zip(losses, norms or [1.0] * len(losses), strict=True)
    return [number for number, (loss, norm) in enumerate(pairs) if spikes.check(loss, norm) is not None]


def ripple(steps: int, height: float = 2.0) -> list[float]:
    """Losses that move by 0.1 about `height`, with a deviation of 0.1."""
    return [height + (0.1 if number % 2 else -0.1) for number in range(steps)]


def test_a_spike_lies_six_deviations_above_the_accepted_steps() -> None:
    assert skipped([*ripple(64), 2.59, 2.0]) == []
    assert skipped([*ripple(64), 2.61, 2.0]) == [64]
    assert skipped([*ripple(64), 0.1]) == [], "a loss may fall as it likes"
    assert skipped([1.0] * 65, [*ripple(64), 2.61]) == [64], "the gradient's norm is checked likewise"


def test_a_spike_needs_64_accepted_steps_and_is_measured_against_the_last_128() -> None:
    assert skipped([*ripple(63), 9.0]) == []
    assert skipped([*ripple(10, 9.0), *ripple(118), 8.0]) == []
    assert skipped([*ripple(10, 9.0), *ripple(128), 8.0]) == [138], "the first ten have left the window"


def test_skipped_steps_are_not_in_the_comparison() -> None:
    assert skipped([*ripple(64), *[9.0] * 70, 2.0]) == list(range(64, 134))


def test_what_is_not_finite_is_always_skipped_and_sigma_0_skips_nothing_else() -> None:
    assert skipped([math.nan, 2.0, math.inf], [1.0, math.inf, 1.0]) == [0, 1, 2]
    assert skipped([*ripple(64), 99.0, math.nan], sigma=0.0) == [65]


def test_small_ripples_of_a_flat_loss_are_no_spikes() -> None:
    assert skipped([*[2.0] * 64, 2.01]) == []


def test_a_run_returns_to_one_checkpoint_three_times() -> None:
    spikes = LossSpikes(6.0, LossSpikeState())
    assert [spikes.may_rewind_to(step) for step in (80, 80, 80, 80)] == [True, True, True, False]
    assert spikes.may_rewind_to(100), "a newer one is another matter"


class PoisonedCorpus:
    """The tiny corpus, an epoch of 260 steps, in which some batches are nothing but one sequence of random tokens.

    Training has settled long before the first of them, so the garbage stands out.
    """

    def __init__(self, corpus: TinyCorpus, root: Path) -> None:
        self._corpus, self._root = corpus, root
        random = np.random.default_rng(1)
        rows = [row for part in sorted(corpus.tokens.glob("*.parquet")) for row in pq.read_table(part).to_pylist()]
        good = [
            [{"part": 0, "row": number, "start": 0, "length": min(len(row["tokens"]), CONTEXT + 1)}]
            for number, row in enumerate(rows)
            if row["split"] == "train"
        ]
        garbage = random.integers(3, SHAPE["vocab_size"], CONTEXT + 1).tolist()
        rows.append({"id": "garbage", "tokens": garbage, "n_bytes": 99, "split": "train"})
        order = np.random.default_rng([SEED, 0]).permutation(260 * BATCH)
        plan = [good[number] for number in random.integers(0, len(good), len(order))]
        for batch in (ALONE, *IN_A_ROW, *WITHOUT_END):
            for sequence in order[batch * BATCH : (batch + 1) * BATCH]:
                plan[sequence] = [{"part": 0, "row": len(rows) - 1, "start": 0, "length": CONTEXT + 1}]
        write_tokens(root / "tokens", [rows])
        write_plan(root / "packing", plan)
        self.settled = root / "settled"
        for steps in (ALONE, ALONE + 1, SETTLED):
            assert pretrain(self.config(self.settled, steps)) == 0

    def config(self, folder: Path, steps: int, **loop: Any) -> Path:
        """A config at a constant rate, so that a run may be cut anywhere."""
        options = {"global_batch_size": BATCH, "checkpoint_every": 20, "seed": SEED, "precision": "float32"}
        # Garbage lies 58 deviations above the rest, whose batches reach 6 on some processors.
        options |= {"spike_sigma": 20.0, **loop}
        config = self._corpus.pretrain_config(folder, steps, keep_checkpoints=3, micro_batch=3, **options)
        changed: dict[str, Any] = {name: str(self._root / name) for name in ("tokens", "packing", "cache")}
        changed |= {"optimizer": {"name": "adamw", "lr": 2e-3}, "schedule": {"decay_fraction": 0.0}}
        return write_json(config, {**json.loads(config.read_text()), **changed})

    def copy(self, folder: Path) -> Path:
        """A copy of the run as it was before the batches that are bad in a row."""
        return shutil.copytree(self.settled, folder)


@pytest.fixture(scope="module")
def poisoned(corpus: TinyCorpus, tmp_path_factory: pytest.TempPathFactory) -> PoisonedCorpus:
    """A poisoned corpus and a run on it."""
    return PoisonedCorpus(corpus, tmp_path_factory.mktemp("poisoned"))


def events(folder: Path, name: str) -> list[dict[str, Any]]:
    """The lines of one kind in a run's log."""
    return [event for event in read_metrics(folder / "metrics.jsonl") if event["event"] == name]


def test_a_poisoned_batch_is_skipped_and_changes_no_weight(poisoned: PoisonedCorpus) -> None:
    (skipped,) = events(poisoned.settled, "skipped")
    assert skipped["step"] == ALONE + 1 and "deviations above" in skipped["reason"]
    assert sorted(losses(poisoned.settled)) == [step for step in range(1, SETTLED + 1) if step != ALONE + 1]
    before, after = (
        (poisoned.settled / "checkpoints" / f"step-{step:08d}" / "__0_0.distcp").read_bytes()
        for step in (ALONE, ALONE + 1)
    )
    assert before == after


def test_bad_steps_in_a_row_rewind_and_skip_their_batches(poisoned: PoisonedCorpus, tmp_path: Path) -> None:
    folder = poisoned.copy(tmp_path / "base")
    assert pretrain(poisoned.config(folder, 185)) == 0
    (rewind,) = events(folder, "rewind")
    # Steps 169 to 173 were bad, on batches 168 to 172. Step 161 is now of batch 173, which is bad as well.
    assert (rewind["step"], rewind["from_step"], rewind["batches_passed"]) == (160, 173, 13)
    assert [event["step"] for event in events(folder, "skipped")] == [ALONE + 1, 161]
    assert sorted(losses(folder)) == [step for step in range(1, 186) if step not in (ALONE + 1, 161)]

    for cut, when in {171: "amid the bad steps", 175: "after the return"}.items():
        parts = poisoned.copy(tmp_path / when)
        for steps in (cut, 185):
            assert pretrain(poisoned.config(parts, steps)) == 0
        assert losses(parts) == losses(folder), f"cut {when}, it is the same run"
        last = newest_valid_checkpoint(parts / "checkpoints")
        assert last is not None and last.progress.loss_spikes.batches_passed == 13


@pytest.mark.slow
def test_two_processes_rewind_together(poisoned: PoisonedCorpus, tmp_path: Path) -> None:
    alone, together = (poisoned.copy(tmp_path / name) for name in ("alone", "together"))
    assert pretrain(poisoned.config(alone, 185)) == 0
    code, output = run_program("model.pretrain", poisoned.config(together, 185), TWO_PROCESSES)
    assert code == 0, output
    assert [event["from_step"] for event in events(together, "rewind")] == [173]
    assert losses(together) == pytest.approx(losses(alone), abs=1e-3)


def test_a_run_that_rewinds_in_vain_gives_up(poisoned: PoisonedCorpus, tmp_path: Path) -> None:
    folder = poisoned.copy(tmp_path / "base")
    assert pretrain(poisoned.config(folder, 185)) == 0
    with pytest.raises(
        BadInput, match=r"far above the steps before in 5 steps in a row, up to step 190 \(and again"
    ) as told:
        pretrain(poisoned.config(folder, 230))
    assert "or set loop.spike_sigma to 0 if such losses are expected" in str(told.value)
    assert [event["batches_passed"] for event in events(folder, "rewind")] == [13, 20, 25, 30]
    assert pretrain(poisoned.config(folder, 190, spike_sigma=0.0)) == 0, "which a resumed run may do"
