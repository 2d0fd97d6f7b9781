"""Export folders from anywhere: in several files, damaged, or made to do harm."""

import json
import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from model.base.errors import BadInput
from model.inference.loading import load_export, load_trained
from model.network.transformer import Transformer, initialise
from tests.conftest import ROOT
from tests.model.parrot import SHAPE, write_export
from tests.model.tiny_corpus import TinyCorpus, write_json

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
UP = "model.layers.0.mlp.up_proj.weight"


@pytest.fixture
def export(corpus: TinyCorpus, tmp_path: Path) -> Path:
    """An export in one file."""
    model = Transformer(SHAPE)
    initialise(model, 0)
    return write_export(tmp_path / "export", model, corpus.tokenizer)


@pytest.fixture
def sharded(export: Path) -> Path:
    """The same export in three files, as transformers writes large models."""
    weights = load_file(export / WEIGHTS)
    (export / WEIGHTS).rename(export.parent / "whole.safetensors")
    places = {name: f"model-{at % 3 + 1:05d}-of-00003.safetensors" for at, name in enumerate(weights)}
    for file in set(places.values()):
        save_file({name: weights[name] for name in weights if places[name] == file}, export / file)
    write_json(export / INDEX, {"metadata": {"total_size": 1}, "weight_map": places})
    return export


def changed_json(path: Path, **changes: Any) -> None:
    """Set fields of a JSON file."""
    write_json(path, {**json.loads(path.read_text()), **changes})


def test_a_model_in_several_files_is_the_model(sharded: Path) -> None:
    (sharded.parent / "one").mkdir()
    shutil.copyfile(sharded / "config.json", sharded.parent / "one" / "config.json")
    (sharded.parent / "whole.safetensors").rename(sharded.parent / "one" / WEIGHTS)
    expected = load_export(sharded.parent / "one", torch.float32).state_dict()
    found = load_trained(sharded, torch.float32).state_dict()
    assert found.keys() == expected.keys() and all(torch.equal(found[name], expected[name]) for name in expected)


def test_transformers_shards_are_read(export: Path) -> None:
    transformers = pytest.importorskip("transformers")
    transformers.AutoModelForCausalLM.from_pretrained(export).save_pretrained(export / "b", max_shard_size="40KB")
    assert not (export / "b" / WEIGHTS).exists() and len(list((export / "b").glob("*.safetensors"))) > 1
    tokens = torch.arange(20).unsqueeze(0)
    with torch.no_grad():
        assert torch.equal(load_export(export / "b", torch.float32)(tokens), load_export(export, torch.float32)(tokens))


@pytest.mark.parametrize(
    "name",
    [
        *("../whole.safetensors", "/etc/passwd", "sub/model.safetensors", "..\\whole.safetensors", "..", ""),
        *("model.bin", "C:model.safetensors", "a\x00.safetensors", "\x1b[2J.safetensors", 5, None, ["a"], {}),
    ],
)
def test_an_index_cannot_name_files_elsewhere(sharded: Path, name: Any) -> None:
    index = json.loads((sharded / INDEX).read_text())
    index["weight_map"][UP] = name
    write_json(sharded / INDEX, index)
    with pytest.raises(BadInput, match=r"must name \.safetensors files of its own folder|cannot be read as the index"):
        load_export(sharded, torch.float32)


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"weight_map": [1]}', '{"weight_map": {}}', "[" * 200_000])
def test_a_damaged_index_is_named(sharded: Path, content: str) -> None:
    (sharded / INDEX).write_text(content, encoding="latin-1")
    with pytest.raises(BadInput, match=INDEX):
        load_export(sharded, torch.float32)


def test_a_missing_file_or_weight_is_named(sharded: Path) -> None:
    places = json.loads((sharded / INDEX).read_text())["weight_map"]
    shard = sharded / places[UP]
    save_file({name: weight for name, weight in load_file(shard).items() if name != UP}, shard)
    with pytest.raises(BadInput, match=f"{shard.name} does not hold {UP}"):
        load_export(sharded, torch.float32)
    shard.unlink()
    with pytest.raises(BadInput, match=f"{shard.name} cannot be read"):
        load_export(sharded, torch.float32)


LOAD = """
import resource, sys, torch
from pathlib import Path
from model.base.errors import BadInput
from model.inference.loading import load_export
taken = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (taken + (512 << 20),) * 2)
resource.setrlimit(resource.RLIMIT_CPU, (120, 120))
try:
    load_export(Path(sys.argv[1]), torch.float32)
except BadInput as error:
    print(error)
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is limited as on Linux")
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_hidden_layers": 3_000_000}, "num_hidden_layers is 3000000, and at most 4096 is read"),
        ({"num_hidden_layers": 10**12, "use_sliding_window": True, "sliding_window": 4}, "at most 4096 is read"),
        ({"num_hidden_layers": 4000}, "model.layers.1.input_layernorm.weight is missing"),
        ({"vocab_size": 1 << 40}, "do not fit its config.json: "),
        ({"hidden_size": 1 << 24, "intermediate_size": 1 << 24}, "do not fit its config.json: "),
        ({"intermediate_size": 10**30}, "do not fit its config.json: "),
        ({"vocab_size": 1 << 62}, "do not fit its config.json: "),
        ({"max_position_embeddings": 1 << 40}, "max_position_embeddings is 1099511627776, and at most 1048576 is read"),
        ({"num_attention_heads": 1 << 20, "head_dim": 1 << 20}, "do not fit its config.json: "),
    ],
)
def test_absurd_sizes_are_refused_before_memory_is_taken(export: Path, changes: dict[str, Any], message: str) -> None:
    changed_json(export / "config.json", **changes)
    command = [sys.executable, "-c", LOAD, str(export)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=200, env={**os.environ})
    assert done.returncode == 0 and message in done.stdout, done


@pytest.mark.parametrize(
    "changes",
    [
        {"num_hidden_layers": "1"},
        {"num_hidden_layers": 1.0},
        {"num_hidden_layers": True},
        {"num_hidden_layers": 0},
        {"hidden_size": -64},
        {"num_key_value_heads": None},
        {"num_key_value_heads": 0},
        {"num_attention_heads": 0},
        {"head_dim": [32]},
        {"rms_norm_eps": float("nan")},
        {"rms_norm_eps": "1e-6"},
        {"rope_theta": float("inf")},
        {"rope_theta": 0},
        {"rope_theta": -1e4},
        {"rope_theta": 10**400},
        {"rope_scaling": [1]},
        {"rope_scaling": {"rope_type": "linear", "factor": float("nan")}},
        {"rope_scaling": {"rope_type": ["linear"], "factor": 2}},
        {"tie_word_embeddings": "no"},
        {"use_sliding_window": True, "sliding_window": "4"},
        {"use_sliding_window": True, "sliding_window": 4, "layer_types": [["sliding_attention"]]},
        {"use_sliding_window": True, "sliding_window": 4, "layer_types": 7},
        {"hidden_act": "gelu"},
        {"model_type": ["qwen3"]},
    ],
    ids=str,
)
def test_a_config_of_wrong_values_is_explained(export: Path, changes: dict[str, Any]) -> None:
    changed_json(export / "config.json", **changes)
    with pytest.raises(BadInput, match=r"config\.json"):
        load_export(export, torch.float32)


@pytest.mark.parametrize("content", ["[]", "null", "{", "[" * 200_000, '{"a":' * 100_000, "", "\xff\xfe"])
def test_a_config_that_is_no_object_is_explained(export: Path, content: str) -> None:
    (export / "config.json").write_text(content, encoding="latin-1")
    with pytest.raises(BadInput, match=r"the export in .* cannot be read: config\.json"):
        load_export(export, torch.float32)


def safetensors_file(header: Any, data: bytes = b"", length: int | None = None) -> bytes:
    """A file in safetensors' layout with any header."""
    content = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(content) if length is None else length) + content + data


def weight(size: list[int], start: int, end: int, dtype: str = "F32") -> dict[str, Any]:
    """An entry of the header."""
    return {"dtype": dtype, "shape": size, "data_offsets": [start, end]}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00" * 7,
        safetensors_file({}),
        safetensors_file({}, length=1 << 63),
        safetensors_file({}, length=99_000_000),
        safetensors_file(b"[" * 200_000),
        safetensors_file(b"{"),
        safetensors_file({"a": weight([1 << 40, 1 << 40], 0, 4)}, b"1234"),
        safetensors_file({"a": weight([1], 0, 1 << 40)}, b"1234"),
        safetensors_file({"a": weight([1], 8, 4)}, b"1234"),
        safetensors_file({"a": weight([1], 0, 4), "b": weight([1], 0, 4)}, b"1234"),
        safetensors_file({"a": weight([1], 0, 4, "PICKLE")}, b"1234"),
        safetensors_file({"model.embed_tokens.weight": weight([1], 0, 4)}, b"1234"),
    ],
)
def test_a_hostile_header_is_refused(export: Path, content: bytes) -> None:
    (export / WEIGHTS).write_bytes(content)
    with pytest.raises(BadInput, match=r"cannot be read|do not fit its config"):
        load_export(export, torch.float32)


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool, torch.complex64, torch.float8_e4m3fn])
def test_weights_that_are_no_floats_are_refused(export: Path, dtype: torch.dtype) -> None:
    weights = load_file(export / WEIGHTS)
    save_file({**weights, UP: weights[UP].to(dtype)}, export / WEIGHTS)
    with pytest.raises(BadInput, match=f"'{UP}' in .* is not float64, float32, float16 or bfloat16"):
        load_export(export, torch.float32)


def test_a_weight_of_another_size_or_name_is_named(export: Path) -> None:
    weights = load_file(export / WEIGHTS)
    save_file({**weights, UP: torch.zeros(64, 63)}, export / WEIGHTS)
    with pytest.raises(BadInput, match=rf"{UP} is \(64, 63\), and should be \(64, 64\)"):
        load_export(export, torch.float32)
    weights["extra"] = weights.pop(UP)
    save_file(weights, export / WEIGHTS)
    with pytest.raises(BadInput, match=f"{UP} is missing"):
        load_export(export, torch.float32)
