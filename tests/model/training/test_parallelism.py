"""Several processes train as one does: real processes under accelerate, joined by gloo."""

import json
import socket
from collections import defaultdict
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from model.base.config import LoopConfig
from model.base.config_loading import config_as_json
from model.base.deciding_fields import deciding_fields
from model.base.errors import BadInput
from model.checkpoints.checkpointing import newest_valid_checkpoint
from model.pretrain import pretrain
from tests.conftest import ROOT
from tests.model.tiny_corpus import TinyCorpus, read_metrics, run_program, start_program, write_json

EXACT: dict[str, Any] = {"precision": "float32", "global_batch_size": 5, "checkpoint_every": 8, "evaluate_every": 8}
"""Five sequences a step: two and three a process, so that shares are uneven."""


def processes(number: int) -> tuple[str, ...]:
    """The launcher for so many processes on the CPU."""
    if number == 1:
        return ("-m", "accelerate.commands.launch", "--config_file", str(ROOT / "infra/accelerate/cpu.yaml"))
    config = str(ROOT / "infra/accelerate/cpu-2.yaml")
    options = ("--config_file", config, "--num_processes", str(number), "--main_process_port", "0")
    return ("-m", "accelerate.commands.launch", *options)


FLAGS = ("-m", "accelerate.commands.launch", "--multi_gpu", "--num_machines", "1", "--num_processes", "2")
"""The flags that start two processes without a config file. `--cpu` is not among them: it starts a single one."""


def curve(folder: Path) -> dict[int, tuple[float, float]]:
    """(loss, gradient norm) of each step."""
    events = read_metrics(folder / "metrics.jsonl")
    return {event["step"]: (event["loss"], event["grad_norm"]) for event in events if event["event"] == "step"}


def held_out(folder: Path) -> list[float]:
    """Losses of the evaluations."""
    return [event["loss"] for event in read_metrics(folder / "metrics.jsonl") if event["event"] == "eval"]


def uneven(config: Path, optimizer: str = "muon", tied: bool = True) -> Path:
    """Gives the model of a config matrices whose rows divide neither by two nor by three.

    `optimizer` is a name, or "muon by heads". The learning rate does not depend on the number of steps.
    """
    values = json.loads(config.read_text())
    values["shape"] |= {"intermediate_size": 71, "kv_heads": 1, "tied_embeddings": tied}
    name, unit = ("muon", "head") if optimizer == "muon by heads" else (optimizer, "matrix")
    values["optimizer"] = {"name": name, "muon_unit": unit, "weight_decay": 0.1, "lr": 1e-3, "muon_lr": 5e-3}
    values["schedule"] = {"decay_fraction": 0.0}
    return write_json(config, values)


@pytest.fixture(scope="module")
def alone(corpus: TinyCorpus, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Makes the run of one process with an optimizer, once."""

    @cache
    def run(optimizer: str) -> Path:
        folder = tmp_path_factory.mktemp("alone") / "base"
        assert pretrain(uneven(corpus.pretrain_config(folder, 16, **EXACT), optimizer)) == 0
        return folder

    return run


@pytest.mark.parametrize(
    ("parallelism", "optimizer", "launcher"),
    [
        ("fsdp", "muon", processes(2)),
        pytest.param("fsdp", "muon by heads", processes(2), marks=pytest.mark.slow),
        pytest.param("fsdp", "adamw", FLAGS, marks=pytest.mark.slow),
        pytest.param("ddp", "muon", FLAGS, marks=pytest.mark.slow),
    ],
)
def test_two_processes_have_the_losses_of_one(
    corpus: TinyCorpus,
    alone: Callable[[str], Path],
    tmp_path: Path,
    parallelism: str,
    optimizer: str,
    launcher: tuple[str, ...],
) -> None:
    folder = tmp_path / "base"
    options = EXACT | {"parallelism": parallelism, "micro_batch": 2}
    code, output = run_program(
        "model.pretrain", uneven(corpus.pretrain_config(folder, 16, **options), optimizer), launcher
    )
    assert code == 0, output
    expected = curve(alone(optimizer))
    assert curve(folder).keys() == expected.keys()
    for step, (loss, norm) in curve(folder).items():
        assert loss == pytest.approx(expected[step][0], abs=1e-4), step
        assert norm == pytest.approx(expected[step][1], rel=1e-2), step
    assert held_out(folder) == pytest.approx(held_out(alone(optimizer)), abs=1e-4)
    checkpoint = newest_valid_checkpoint(folder / "checkpoints")
    assert checkpoint is not None
    sizes = [file.stat().st_size for file in sorted(checkpoint.folder.glob("*.distcp"))]
    assert len(sizes) == 2, "there really were two processes"
    # Sharded matrices are halved; under DDP whole ones are shared out, of which this model has few.
    assert min(sizes) > (0.4 if parallelism == "fsdp" else 0.3) * sum(sizes), "each wrote its share"


@pytest.mark.slow
def test_two_machines_train_as_one_process_does(
    corpus: TinyCorpus, alone: Callable[[str], Path], tmp_path: Path
) -> None:
    """Two launchers, each of which believes to be on a machine of its own."""
    folder = tmp_path / "base"
    config = uneven(corpus.pretrain_config(folder, 16, **EXACT | {"parallelism": "fsdp"}))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    nodes = str(ROOT / "infra/accelerate/nodes.yaml")
    where = ("--num_machines", "2", "--num_processes", "2", "--main_process_port", port)
    launcher = ("-m", "accelerate.commands.launch", "--config_file", nodes, *where)
    machines = [start_program("model.pretrain", config, (*launcher, "--machine_rank", rank)) for rank in "01"]
    outputs = [machine.communicate(timeout=300)[0] for machine in machines]
    assert [machine.returncode for machine in machines] == [0, 0], outputs
    for step, (loss, _) in curve(alone("muon")).items():
        assert curve(folder)[step][0] == pytest.approx(loss, abs=1e-4), step


@pytest.mark.slow
def test_another_number_of_processes_sees_the_same_tokens(corpus: TinyCorpus, tmp_path: Path) -> None:
    """1, then 2 by FSDP, then 3 by DDP, then 3 by FSDP: the sequences and losses of one process all the way."""
    folder, straight = tmp_path / "parts" / "base", tmp_path / "whole" / "base"
    folder.parent.mkdir()
    straight.parent.mkdir()
    module = "tests.model.recorded_pretraining"
    code, output = run_program(module, uneven(corpus.pretrain_config(straight, 16, **EXACT), tied=False))
    assert code == 0, output
    for number, parallelism, steps in ((1, "ddp", 4), (2, "fsdp", 8), (3, "ddp", 12), (3, "fsdp", 16)):
        config = corpus.pretrain_config(folder, steps, **EXACT | {"parallelism": parallelism})
        code, output = run_program(module, uneven(config, tied=False), processes(number))
        assert code == 0, output
    assert len(seen(folder)) == 16 and seen(folder) == seen(straight)
    for step, (loss, _) in curve(folder).items():
        assert loss == pytest.approx(curve(straight)[step][0], abs=1e-4), step


def seen(folder: Path) -> dict[int, list[str]]:
    """Digests of the rows of each step in order, over all processes; all numbers of processes must agree."""
    by_size: dict[tuple[int, int], list[str]] = {}
    for file in sorted(folder.parent.glob("seen-*.jsonl")):
        size = int(file.name.split("-")[1])
        steps: dict[int, list[str]] = dict(json.loads(line) for line in file.read_text().splitlines())
        for step, rows in steps.items():
            by_size.setdefault((size, step), []).extend(rows)
    found: dict[int, list[str]] = defaultdict(list)
    for (_, step), rows in by_size.items():
        assert found.setdefault(step, rows) == rows, f"step {step} differs between numbers of processes"
    return dict(found)


def test_checkpointed_activations_change_nothing(
    corpus: TinyCorpus, alone: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = tmp_path / "base"
    config = uneven(corpus.pretrain_config(folder, 16, **EXACT | {"activation_checkpointing": True}))
    assert pretrain(config) == 0
    assert curve(folder) == curve(alone("muon")), "to the last bit"


def test_parallelism_is_no_part_of_a_runs_identity() -> None:
    plain = LoopConfig(steps=1, global_batch_size=1)
    spread = LoopConfig(
        steps=1, global_batch_size=1, parallelism="fsdp", activation_checkpointing=True, background_checkpoint_mib=0
    )
    assert deciding_fields({"loop": config_as_json(plain)}) == deciding_fields({"loop": config_as_json(spread)})


def test_what_cannot_be_sharded_or_launched_is_refused(corpus: TinyCorpus, tmp_path: Path) -> None:
    config = corpus.pretrain_config(tmp_path / "base", 2, parallelism="fsdp", micro_batch=-1)
    code, output = run_program("model.pretrain", config, processes(2))
    assert code == 1
    assert "loop.micro_batch = -1 searches by running out of memory, which under loop.parallelism = fsdp" in output


def test_float8_is_refused_where_there_is_none(corpus: TinyCorpus, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"loop\.float8 needs a GPU with float8 units .* and the cpu has none; set it"):
        pretrain(corpus.pretrain_config(tmp_path / "base", 2, float8=True))
    with pytest.raises(ValueError, match="float8 needs precision bfloat16"):
        LoopConfig(steps=1, global_batch_size=1, float8=True, precision="float32")
