"""Configs are read strictly, and without torch."""

import copy
import dataclasses
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from model.base.config import MAX_SEED, LoopConfig, PretrainConfig, PretrainSection, SftSection
from model.base.config_loading import config_as_json, load_config, parse_config
from model.base.deciding_fields import PACE_FIELDS, deciding_fields
from model.base.errors import BadInput
from model.base.sizes import ModelShape
from tests.conftest import ROOT
from tests.model.tiny_corpus import SHAPE, write_json

VALUES: dict[str, Any] = {
    "folder": "models/base",
    "tokens": "tokens",
    "packing": "packing",
    "cache": "cache",
    "shape": SHAPE,
    "loop": {"steps": 10, "global_batch_size": 4},
    "optimizer": {"lr": 1},
    "schedule": {},
}


def test_a_config_reads_back_to_itself() -> None:
    config = parse_config(VALUES, PretrainConfig, "here")
    assert config.folder == Path("models/base")
    assert config.optimizer.lr == 1.0 and isinstance(config.optimizer.lr, float)
    assert config.shape.head_dim == 8, "0 means hidden_size / heads"
    assert parse_config(config_as_json(config), PretrainConfig, "there") == config


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (
            ("loop", "global_batch_sise"),
            4,
            "unknown field loop.global_batch_sise; did you mean 'loop.global_batch_size'?",
        ),
        (("qqq",), 1, "unknown field qqq; known fields: shape, loop"),
        (("loop", "steps"), "ten", 'loop.steps must be of type int, not "ten"'),
        (("loop", "steps"), True, "loop.steps must be of type int, not true"),
        (("loop", "steps"), 0, "loop.steps must be at least 1"),
        (("optimizer", "name"), "adam", 'optimizer.name must be one of muon, adamw, not "adam"'),
        (("shape",), 3, "shape must be an object, not 3"),
        (("shape", "kv_heads"), 3, "shape.kv_heads must divide heads"),
        (("shape", "context"), 0, "shape.context must be at least 1"),
        (("shape", "rope_base"), 0, "shape.rope_base must be positive"),
        (("shape", "norm_epsilon"), -1e-6, "shape.norm_epsilon must be positive"),
        (("shape", "rope_base"), math.inf, "shape.rope_base must be a finite number, not inf"),
        (("loop", "global_batch_size"), 0, "loop.global_batch_size must be at least 1"),
        (("loop", "seed"), -1, "loop.seed must not be negative"),
        (("loop", "seed"), MAX_SEED + 1, f"loop.seed must be at most {MAX_SEED}"),
        (("loop", "max_hours"), math.inf, "loop.max_hours must be a finite number, not inf"),
        (("optimizer", "lr"), math.nan, "optimizer.lr must be a finite number, not nan"),
        (("optimizer", "lr"), -1e-3, "optimizer.lr must be positive"),
        (("optimizer", "lr"), 10**400, "optimizer.lr must be of type float"),
        (("optimizer", "muon_lr"), math.inf, "optimizer.muon_lr must be a finite number, not inf"),
        (("optimizer", "weight_decay"), math.inf, "optimizer.weight_decay must be a finite number, not inf"),
        (("optimizer", "gradient_clip"), math.nan, "optimizer.gradient_clip must be a finite number, not nan"),
        (("schedule", "final_fraction"), math.nan, "schedule.final_fraction must be between 0 and 1"),
        (("folder",), "", 'folder must be of type path (a string), not ""'),
    ],
)
def test_a_wrong_field_is_named(path: tuple[str, ...], value: Any, message: str) -> None:
    values = copy.deepcopy(VALUES)
    section = values
    for name in path[:-1]:
        section = section[name]
    section[path[-1]] = value
    with pytest.raises(BadInput) as caught:
        parse_config(values, PretrainConfig, "demo.json")
    assert str(caught.value).startswith("demo.json: ")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        (
            {"warmup_steps": 100},
            "warmup_steps must be less than loop.steps: after 100 .* a run of 100 would end",
        ),
        (
            {"warmup_steps": 61},
            r"warmup_steps \(61\) and .*fraction \(0.4, 40 steps\) must fit .*\(100\)",
        ),
        ({"warmup_steps": 1, "decay_fraction": 1.0}, "the decay would begin before the warmup ends; lower one of them"),
        ({"warmup_steps": 100, "name": "cosine"}, "must be less than loop.steps"),
        ({"warmup_steps": 500, "name": "linear"}, "must be less than loop.steps"),
        ({"warmup_steps": 100, "decay_fraction": 0.0}, "must be less than loop.steps"),
    ],
)
@pytest.mark.parametrize("section", [PretrainSection, SftSection])
def test_warmup_and_decay_fit_into_the_run(section: type, schedule: dict[str, Any], message: str) -> None:
    values = {"loop": {"steps": 100, "global_batch_size": 4}, "schedule": schedule}
    values |= {"shape": SHAPE} if section is PretrainSection else {}
    with pytest.raises(BadInput, match=message):
        parse_config(values, section, "demo.json")


def test_a_missing_field_is_named() -> None:
    values = copy.deepcopy(VALUES)
    del values["loop"]["steps"]
    with pytest.raises(BadInput, match=r"demo\.json: the field loop\.steps is missing"):
        parse_config(values, PretrainConfig, "demo.json")


def test_an_unreadable_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"cannot read the config .*nothing\.json: No such file"):
        load_config(tmp_path / "nothing.json", LoopConfig)
    for content, cause in (("{", "Expecting"), ("[" * 200_000, "nested too deeply")):
        (tmp_path / "broken.json").write_text(content)
        with pytest.raises(BadInput, match=rf"broken\.json is not JSON: .*{cause}"):
            load_config(tmp_path / "broken.json", LoopConfig)
    os.truncate(tmp_path / "broken.json", (1 << 28) + 1)
    with pytest.raises(BadInput, match=r"broken\.json is not JSON: it is larger than 256 MiB"):
        load_config(tmp_path / "broken.json", LoopConfig)
    assert load_config(write_json(tmp_path / "shape.json", SHAPE), ModelShape) == ModelShape(**SHAPE)


def test_configs_need_neither_torch_nor_the_data_half() -> None:
    blocked = "import sys\nfor name in ('torch', 'accelerate', 'prefect', 'flows', 'tasks'): sys.modules[name] = None\n"
    script = f"{blocked}import model.base.config, model.base.config_loading, model.base.errors, model.base.program"
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True)


def test_the_configs_import_the_standard_library_alone() -> None:
    script = (
        "import sys\nbefore = set(sys.modules)\nimport model.base.config\n"
        "new = {name.split('.')[0] for name in set(sys.modules) - before} - {'model'}\n"
        "print(*sorted(new - sys.stdlib_module_names))"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True, capture_output=True, text=True)
    assert done.stdout.strip() == ""


def test_pace_fields_are_fields_of_the_loop() -> None:
    names = {field.name for field in dataclasses.fields(LoopConfig)}
    assert names > PACE_FIELDS
    deciding = {"steps", "global_batch_size", "seed", "precision", "document_mask", "evaluation_documents"}
    deciding |= {"spike_sigma", "max_hours", "patience", "float8"}
    assert names - PACE_FIELDS == deciding, "a new field has to be sorted into one or the other"


def test_a_seed_beyond_torchs_is_refused() -> None:
    assert LoopConfig(steps=1, global_batch_size=1, seed=2**64 - 1).seed == 2**64 - 1
    with pytest.raises(ValueError, match="seed must be at most 18446744073709551615"):
        LoopConfig(steps=1, global_batch_size=1, seed=2**64)


def test_a_loop_without_its_pace_decides_the_result() -> None:
    values = config_as_json(parse_config(VALUES, PretrainConfig, "here"))
    deciding = deciding_fields(values)
    assert {**deciding, "loop": values["loop"], "init": None} == values
    assert deciding["loop"].keys() == values["loop"].keys() - PACE_FIELDS


def test_the_steps_between_evaluations_decide_where_they_end_the_run() -> None:
    values = config_as_json(LoopConfig(steps=3, global_batch_size=4, evaluate_every=5))
    assert "evaluate_every" not in deciding_fields({"loop": values})["loop"]
    assert deciding_fields({"loop": {**values, "patience": 2}})["loop"]["evaluate_every"] == 5


def test_a_list_is_checked_entry_by_entry(tmp_path: Path) -> None:
    loop = {"steps": 1, "global_batch_size": 1}
    assert parse_config({**loop, "trackers": ["wandb"]}, LoopConfig, "c").trackers == ("wandb",)
    assert config_as_json(LoopConfig(1, 1, trackers=("wandb",)))["trackers"] == ["wandb"]
    with pytest.raises(BadInput, match=r"c: trackers\[1\] must be one of tensorboard, wandb, not \"wandbb\""):
        parse_config({**loop, "trackers": ["wandb", "wandbb"]}, LoopConfig, "c")
    with pytest.raises(BadInput, match=r"c: trackers must be of type list of .*, not \"wandb\""):
        parse_config({**loop, "trackers": "wandb"}, LoopConfig, "c")


def test_the_model_half_imports_nothing_of_the_data_half() -> None:
    for file in (ROOT / "model").rglob("*.py"):
        for line in file.read_text(encoding="utf-8").splitlines():
            assert not line.startswith(
                ("from flows", "from tasks", "import flows", "import tasks", "import prefect")
            ), file
