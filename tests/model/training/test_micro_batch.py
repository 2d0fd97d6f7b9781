"""The search for the largest micro-batch that fits keeps the global batch, and all processes agree."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from model.base.config import LoopConfig
from model.base.errors import BadInput
from model.base.sizes import ModelShape
from model.data.token_cache import open_token_cache
from model.data.token_data import open_training_data
from model.network.transformer import Transformer, initialise
from model.pretrain import pretrain
from model.training.micro_batch import MicroBatch
from tests.model.tiny_corpus import SHAPE, TinyCorpus, read_metrics, run_program
from tests.model.training.test_training_loop import TWO_PROCESSES, losses


@contextmanager
def room_for(rows: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """While entered, a pass of more sequences runs out of memory in training."""
    whole = Transformer.forward

    def forward(self: Transformer, tokens: Tensor, *others: Any, **options: Any) -> Tensor:
        if len(tokens) > rows and torch.is_grad_enabled():
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return whole(self, tokens, *others, **options)

    with monkeypatch.context() as patched:
        patched.setattr(Transformer, "forward", forward)
        yield


def found_rows(folder: Path) -> list[int]:
    """What each search found."""
    return [event["rows"] for event in read_metrics(folder / "metrics.jsonl") if event["event"] == "micro_batch"]


@pytest.mark.parametrize("processes", [1, 2, 3])
@pytest.mark.parametrize("rows", [1, 2, 5])
def test_neither_passes_nor_processes_change_the_gradient(corpus: TinyCorpus, rows: int, processes: int) -> None:
    """Sequences of unequal length, with several documents each: every predicted token weighs the same."""
    loop, shape = LoopConfig(steps=1, global_batch_size=5, micro_batch=rows), ModelShape(**SHAPE)
    data, _ = open_training_data(open_token_cache(corpus.tokens, corpus.root / "cache"), corpus.packing, shape, 5, 0)

    def gradient(cut: MicroBatch, processes: int) -> tuple[float, Tensor]:
        model = Transformer(shape, torch.float32)
        initialise(model, 0)
        total = 0.0
        for rank in range(processes):
            batch = data.batch(0, rank, processes)
            assert batch.targets_in_step == data.batch(0, 0, 1).targets_in_step and batch.segments is not None
            for number in range(cut.passes):
                loss = model(*cut.cut(batch, number)) / batch.targets_in_step
                loss.backward()
                total += loss.item()
        return total, torch.cat([parameter.grad.flatten() for parameter in model.parameters()])  # type: ignore[union-attr]

    loss, expected = gradient(MicroBatch(LoopConfig(steps=1, global_batch_size=5), 1), 1)
    found_loss, found = gradient(MicroBatch(loop, processes), processes)
    assert found_loss == pytest.approx(loss, rel=1e-6)
    assert (found - expected).norm() < 1e-6 * expected.norm()


def test_the_search_halves_until_a_pass_fits(
    corpus: TinyCorpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    searched, told = tmp_path / "searched", tmp_path / "told"
    with room_for(4, monkeypatch):
        assert pretrain(corpus.pretrain_config(searched, 6, global_batch_size=9, micro_batch=-1)) == 0
    assert found_rows(searched) == [3, 3], "9, 5, 3; and again when the optimizer's state is there"
    assert pretrain(corpus.pretrain_config(told, 6, global_batch_size=9, micro_batch=3)) == 0
    assert losses(searched) == losses(told)


def test_with_room_for_all_nothing_changes(corpus: TinyCorpus, tmp_path: Path) -> None:
    searched, whole = tmp_path / "searched", tmp_path / "whole"
    assert pretrain(corpus.pretrain_config(searched, 4, micro_batch=-1)) == 0
    assert found_rows(searched) == [4, 4]
    assert pretrain(corpus.pretrain_config(whole, 4)) == 0
    assert losses(searched) == losses(whole)
    assert pretrain(corpus.pretrain_config(searched, 6, micro_batch=-1)) == 0
    assert found_rows(searched) == [4, 4, 4], "a resumed run has the optimizer's state from the start"


def test_a_sequence_that_does_not_fit_is_an_error(
    corpus: TinyCorpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        room_for(0, monkeypatch),
        pytest.raises(
            BadInput, match=r"not even one sequence of shape\.context = 32 tokens fits into the memory of cpu"
        ),
    ):
        pretrain(corpus.pretrain_config(tmp_path / "base", 3, micro_batch=-1))


def test_a_pass_that_fails_for_another_reason_is_not_taken_for_lack_of_memory(
    corpus: TinyCorpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forward(self: Transformer, *arguments: Any) -> Tensor:
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr(Transformer, "forward", forward)
    with pytest.raises(RuntimeError, match="shapes do not match"):
        pretrain(corpus.pretrain_config(tmp_path / "base", 3, micro_batch=-1))


@pytest.mark.slow
def test_one_process_out_of_memory_halves_the_rows_of_all(corpus: TinyCorpus, tmp_path: Path) -> None:
    folder = tmp_path / "base"
    config = corpus.pretrain_config(folder, 4, global_batch_size=16, micro_batch=-1)
    (tmp_path / "limited.py").write_text(
        "import os, sys\n"
        "import pytest\n"
        "from model.pretrain import pretrain\n"
        "from model.base.program import run_program\n"
        "from tests.model.training.test_micro_batch import room_for\n"
        "rows = 2 if os.environ['RANK'] == '1' else 99\n"
        "with room_for(rows, pytest.MonkeyPatch()):\n"
        "    sys.exit(run_program(pretrain, sys.argv[1:], 'usage'))\n"
    )
    code, output = run_program("limited", config, TWO_PROCESSES, PYTHONPATH=str(tmp_path))
    assert code == 0, output
    assert found_rows(folder) == [2, 2], "of eight"
    assert sorted(losses(folder)) == [1, 2, 3, 4]
