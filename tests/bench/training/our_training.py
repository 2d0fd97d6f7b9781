"""The project's training loop as a worker to be measured: the whole of `train`, with its loader and its log."""

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from accelerate import Accelerator

from model.base.config import LoopConfig
from model.base.learning_config import OptimizerConfig, ScheduleConfig
from model.network.transformer import initialise
from model.training.training_loop import Run, start_accelerator, train
from tests.bench.side_by_side import median_rate
from tests.bench.training.packed_corpus import TWO_MILLION, Sizes, open_packed_corpus


def trained(accelerator: Accelerator, run: Run, event: str) -> list[dict[str, Any]]:
    """The lines of one kind, "step" say, that a whole run writes to its metrics."""
    assert train(accelerator, run) == 0
    lines = map(json.loads, (run.folder / "metrics.jsonl").read_text().splitlines())
    return [line for line in lines if line["event"] == event]


def our_training(
    corpus: Path,
    optimizer: OptimizerConfig,
    warmup: int,
    steps: int,
    document_mask: bool = True,
    compile: bool = False,
    sizes: Sizes = TWO_MILLION,
) -> Callable[[], float]:
    """A worker that trains a new model for `warmup` + `steps` steps and returns the tokens/s of the latter's median.

    Without `document_mask` attention is plainly causal, as it is in the other loops. The checkpoint at the end is
    outside the time, since the others write none; so is compiling, as long as `warmup` is not 0.
    """
    loop = LoopConfig(
        steps=warmup + steps, global_batch_size=sizes.sequences, document_mask=document_mask, compile=compile
    )
    accelerator = start_accelerator(loop)
    data, digest, _ = open_packed_corpus(corpus, sizes)

    def work() -> float:
        folder = Path(tempfile.mkdtemp(prefix="model-", dir=corpus))
        run = Run(
            folder=folder,
            shape=sizes.shape,
            loop=loop,
            optimizer=optimizer,
            schedule=ScheduleConfig(),
            data=data,
            data_digest=digest,
            initialise=lambda model: initialise(model, 1),
        )
        seconds = [line["seconds"] for line in trained(accelerator, run, "step")]
        assert len(seconds) == warmup + steps
        return median_rate(seconds[warmup - 1 :], sizes.tokens_per_step)

    return work
