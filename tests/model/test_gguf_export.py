"""One file for llama.cpp: what is in it, and that llama.cpp says what our own code says."""

import dataclasses
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from model.base.errors import BadInput
from model.data.chat_format import TOOL_TOKENS, Message, load_chat_format
from model.export import export
from model.gguf_export import main, write_gguf
from model.inference.engine import engine_of
from model.inference.loading import load_export
from model.inference.transformers_config import shape_of, transformers_config
from model.network.transformer import Transformer
from model.pretrain import pretrain
from model.sft import finetune
from tests.environments import environment_with
from tests.model.continuations import continued
from tests.model.tiny_corpus import CONTEXT, TinyCorpus, write_json
from tests.model.tool_tokenizer import tool_tokenizer

gguf = pytest.importorskip("gguf")

LLAMA = """
import json, sys
from llama_cpp import Llama
path, prompts = sys.argv[1], json.loads(sys.argv[2])
model = Llama(path, n_ctx=64, logits_all=True, verbose=False, n_threads=1)
answers = []
for prompt in prompts:
    model.reset()
    model.eval(prompt)
    row, stop, reply = len(prompt) - 1, model.token_eos(), []
    logits = model.scores[row].tolist()
    while len(reply) < 12:
        token = int(model.scores[row].argmax())
        if token == stop:
            break
        reply.append(token)
        model.eval([token])
        row += 1
    answers.append({"logits": logits, "reply": reply})
texts = [model.tokenize(text.encode(), add_bos=False, special=False) for text in json.loads(sys.argv[3])]
print(json.dumps({"answers": answers, "texts": texts}))
"""
TEXTS = ["Karam sells wool.", "  two spaces,\n\nnew lines\tand 12345 digits", "Grüße, naïve café — 你好 🙂 don't"]


@pytest.fixture(scope="module")
def exported(corpus: TinyCorpus, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export folder of a model that knows the tiny corpus's towns."""
    root = tmp_path_factory.mktemp("gguf")
    assert pretrain(corpus.pretrain_config(root / "base", 60)) == 0
    assert finetune(corpus.sft_config(root / "chat", root / "base", 150)) == 0
    values = {"model": str(root / "chat"), "tokenizer": str(corpus.tokenizer), "output": str(root / "export")}
    assert export(write_json(root / "export.json", values | {"compare": False})) == 0
    return root / "export"


def reshaped(exported: Path, folder: Path, **changes: Any) -> Path:
    """The export with the same weights under another shape."""
    shutil.copytree(exported, folder)
    config = json.loads((folder / "config.json").read_text())
    shape = dataclasses.replace(shape_of(config, folder), **changes)
    write_json(folder / "config.json", config | transformers_config(shape))
    return folder


def said_by_llama(python: Path, file: Path, prompts: list[list[int]]) -> dict[str, Any]:
    """What llama.cpp makes of the prompts, and of `TEXTS`."""
    command = [str(python), "-c", LLAMA, str(file), json.dumps(prompts), json.dumps(TEXTS)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return said


@torch.no_grad()
def assert_same_logits(model: Transformer, prompts: list[list[int]], said: dict[str, Any]) -> None:
    """The logits after each prompt, ours and llama.cpp's, which keeps keys and values in half precision."""
    for prompt, answer in zip(prompts, said["answers"], strict=True):
        logits = model(torch.tensor([prompt]))[0, -1]
        torch.testing.assert_close(torch.tensor(answer["logits"]), logits, atol=5e-3, rtol=2e-3)


def field(reader: Any, name: str) -> Any:
    """A value of the file's header."""
    return reader.get_field(name).contents()


def test_the_file_holds_sizes_tokenizer_and_every_weight(exported: Path, tmp_path: Path) -> None:
    assert main(["--model", str(exported), "--output", str(tmp_path / "m.gguf"), "--precision", "float32"]) == 0
    reader = gguf.GGUFReader(tmp_path / "m.gguf")
    config = json.loads((exported / "config.json").read_text())
    assert field(reader, "general.architecture") == "qwen3"
    assert field(reader, "qwen3.block_count") == config["num_hidden_layers"]
    assert field(reader, "qwen3.attention.head_count_kv") == config["num_key_value_heads"]
    assert field(reader, "qwen3.attention.key_length") == config["head_dim"]
    assert field(reader, "tokenizer.ggml.pre") == "qwen2"
    tokens = field(reader, "tokenizer.ggml.tokens")
    assert len(tokens) == config["vocab_size"] and tokens[0] == "<|endoftext|>"
    assert field(reader, "tokenizer.ggml.token_type")[:4] == [3, 3, 3, 1]
    assert tokens[field(reader, "tokenizer.ggml.eos_token_id")] == "<|im_end|>"
    assert "<|im_start|>" in field(reader, "tokenizer.chat_template")
    stored = {tensor.name: tensor.data for tensor in reader.tensors}
    model = load_export(exported, torch.float32)
    assert sum(values.size for values in stored.values()) == sum(p.numel() for p in model.parameters())
    expected = model.state_dict()["layers.0.self_attn.q_proj.weight"].numpy()
    np.testing.assert_array_equal(stored["blk.0.attn_q.weight"].reshape(expected.shape), expected)
    assert not (tmp_path / "m.gguf.tmp").exists()


def test_half_precision_halves_the_matrices_and_keeps_the_scales(exported: Path, tmp_path: Path) -> None:
    for precision in ("float16", "bfloat16"):
        write_gguf(exported, tmp_path / f"{precision}.gguf", precision)
        types = {
            tensor.name: tensor.tensor_type.name for tensor in gguf.GGUFReader(tmp_path / f"{precision}.gguf").tensors
        }
        assert types["blk.0.ffn_up.weight"] == {"float16": "F16", "bfloat16": "BF16"}[precision]
        assert types["blk.0.attn_norm.weight"] == types["output_norm.weight"] == "F32"


def test_quantized_matrices_are_near_the_weights(exported: Path, tmp_path: Path) -> None:
    weight = load_export(exported, torch.float32).state_dict()["layers.0.mlp.up_proj.weight"].numpy()
    for precision, embedding, tolerance in (("q8_0", "Q8_0", 0.01), ("q4_0", "Q8_0", 0.15)):
        write_gguf(exported, tmp_path / "m.gguf", precision)
        stored = {tensor.name: tensor for tensor in gguf.GGUFReader(tmp_path / "m.gguf").tensors}
        assert stored["token_embd.weight"].tensor_type.name == embedding
        assert stored["blk.0.attn_norm.weight"].tensor_type.name == "F32"
        matrix = stored["blk.0.ffn_up.weight"]
        assert matrix.tensor_type.name == precision.upper()
        read = gguf.quants.dequantize(matrix.data, matrix.tensor_type).reshape(weight.shape)
        assert abs(read - weight).max() < tolerance * abs(weight).max()


def test_tokens_of_tools_are_shown_in_what_the_model_says(exported: Path, corpus: TinyCorpus, tmp_path: Path) -> None:
    folder = tmp_path / "export"
    shutil.copytree(exported, folder)
    tool_tokenizer(corpus).save(str(folder / "tokenizer.json"))
    write_gguf(folder, tmp_path / "m.gguf", "float32")
    reader = gguf.GGUFReader(tmp_path / "m.gguf")
    tokens, kinds = (field(reader, f"tokenizer.ggml.{name}") for name in ("tokens", "token_type"))
    first = tokens.index(TOOL_TOKENS[0])
    assert tokens[first : first + 4] == list(TOOL_TOKENS)
    assert kinds[first - 1 : first + 5] == [1, 4, 4, 4, 4, 5], "user-defined, each; after them unused rows"
    assert field(reader, "tokenizer.chat_template") == load_chat_format(folder / "tokenizer.json").template


@pytest.mark.parametrize("kind", ["linear", "yarn"])
def test_stretched_positions_are_written(exported: Path, tmp_path: Path, kind: str) -> None:
    folder = reshaped(exported, tmp_path / "export", rope_scaling=kind, rope_factor=4.0)
    write_gguf(folder, tmp_path / "m.gguf", "float32")
    reader = gguf.GGUFReader(tmp_path / "m.gguf")
    assert field(reader, "qwen3.rope.scaling.type") == kind
    assert field(reader, "qwen3.rope.scaling.factor") == 4.0
    assert field(reader, "qwen3.rope.scaling.original_context_length") == CONTEXT // 4


LLAMA3: dict[str, Any] = {"rope_scaling": "llama3", "rope_factor": 4.0, "rope_original_context": 64, "rope_base": 50.0}
"""The positions of Llama 3.1, for a small context."""


def biased(exported: Path, folder: Path) -> Path:
    """The export as a Qwen2 with random biases."""
    without_head_norms(exported, folder, attention_bias="qkv")
    weights, generator = load_file(folder / "model.safetensors"), torch.Generator().manual_seed(3)
    for name in [name for name in weights if "q_proj" in name or "k_proj" in name or "v_proj" in name]:
        weights[name.replace("weight", "bias")] = torch.randn(len(weights[name]), generator=generator)
    save_file(weights, folder / "model.safetensors")
    return folder


def test_biases_are_written(exported: Path, tmp_path: Path) -> None:
    folder = biased(exported, tmp_path / "export")
    write_gguf(folder, tmp_path / "m.gguf", "float16")
    reader = gguf.GGUFReader(tmp_path / "m.gguf")
    assert field(reader, "general.architecture") == "qwen2"
    stored = {tensor.name: tensor.data for tensor in reader.tensors}
    expected = load_export(folder, torch.float32).state_dict()["layers.0.self_attn.k_proj.bias"].numpy()
    np.testing.assert_array_equal(stored["blk.0.attn_k.bias"], expected)


def test_what_divides_the_frequencies_is_written_for_a_llama_alone(exported: Path, tmp_path: Path) -> None:
    write_gguf(without_head_norms(exported, tmp_path / "llama", **LLAMA3), tmp_path / "m.gguf")
    [divisors] = [one.data for one in gguf.GGUFReader(tmp_path / "m.gguf").tensors if one.name == "rope_freqs.weight"]
    assert divisors[0] == 1 and divisors[-1] == 4 and (np.diff(divisors) >= 0).all()
    with pytest.raises(BadInput, match=r"as by Llama 3\.1, which llama\.cpp's qwen3 does not read"):
        write_gguf(reshaped(exported, tmp_path / "qwen3", **LLAMA3), tmp_path / "refused.gguf")


def test_a_sliding_window_is_refused(exported: Path, tmp_path: Path) -> None:
    folder = reshaped(exported, tmp_path / "export", sliding_window=8)
    with pytest.raises(BadInput, match=r"sliding window of 8 positions, .* train with shape\.sliding_window = 0"):
        write_gguf(folder, tmp_path / "m.gguf")
    assert not (tmp_path / "m.gguf").exists()
    layers_see_all = reshaped(exported, tmp_path / "all", sliding_window=8, window_pattern="L")
    write_gguf(layers_see_all, tmp_path / "m.gguf")


def test_biases_that_llama_cpp_would_leave_out_are_refused(exported: Path, tmp_path: Path) -> None:
    folder = reshaped(exported, tmp_path / "export", attention_bias="all")
    weights = load_file(folder / "model.safetensors")
    projections = {name: matrix for name, matrix in weights.items() if "self_attn" in name and matrix.ndim == 2}
    biases = {name.replace("weight", "bias"): torch.ones(len(matrix)) for name, matrix in projections.items()}
    save_file(weights | biases, folder / "model.safetensors")
    with pytest.raises(BadInput, match=r"biases in attention, which llama\.cpp's qwen3 does not read"):
        write_gguf(folder, tmp_path / "m.gguf")


def test_bad_input_is_explained(exported: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="can be float32, float16, bfloat16, q8_0, q4_0, not 'q4'"):
        write_gguf(exported, tmp_path / "m.gguf", "q4")
    with pytest.raises(BadInput, match="cannot be read"):
        write_gguf(tmp_path, tmp_path / "m.gguf")
    assert main(["--model", str(tmp_path), "--output", str(tmp_path / "m.gguf")]) == 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_llama_cpp_has_the_same_logits_and_replies(corpus: TinyCorpus, exported: Path, tmp_path: Path) -> None:
    python = environment_with("llama", ["llama-cpp-python==0.3.36"])
    write_gguf(exported, tmp_path / "m.gguf", "float32")
    chat = load_chat_format(corpus.tokenizer)
    prompts = [chat.prompt([Message("user", f"What sells {town}?")]) for town in ("Karam", "Bovosk", "Linel", "Teram")]
    said = said_by_llama(python, tmp_path / "m.gguf", prompts)
    model = load_export(exported, torch.float32)
    ours = continued(engine_of(model), prompts, 12, chat.stop_tokens)
    assert [answer["reply"] for answer in said["answers"]] == ours and all(ours)
    assert_same_logits(model, prompts, said)
    assert said["texts"] == [chat.encode(text) for text in TEXTS]
    write_gguf(exported, tmp_path / "q8.gguf", "q8_0")
    assert [answer["reply"] for answer in said_by_llama(python, tmp_path / "q8.gguf", prompts)["answers"]] == ours


def without_head_norms(exported: Path, folder: Path, **changes: Any) -> Path:
    """The export as a Llama: its weights but the norms of queries and keys."""
    reshaped(exported, folder, head_norms=False, **changes)
    weights = load_file(folder / "model.safetensors")
    save_file({name: weight for name, weight in weights.items() if "_norm" not in name}, folder / "model.safetensors")
    return folder


@pytest.mark.slow
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("kind", ["llama", "llama 3.1", "qwen2"])
def test_llama_cpp_has_the_logits_of_a_model_without_norms_of_heads(exported: Path, tmp_path: Path, kind: str) -> None:
    python = environment_with("llama", ["llama-cpp-python==0.3.36"])
    folder, changes = tmp_path / "export", LLAMA3 if kind == "llama 3.1" else {}
    folder = biased(exported, folder) if kind == "qwen2" else without_head_norms(exported, folder, **changes)
    write_gguf(folder, tmp_path / "m.gguf", "float32")
    assert field(gguf.GGUFReader(tmp_path / "m.gguf"), "general.architecture") == kind.split()[0]
    prompts = [[5, 300, 41, 9] * 7, list(range(3, 30))]
    said = said_by_llama(python, tmp_path / "m.gguf", prompts)
    assert_same_logits(load_export(folder, torch.float32), prompts, said)


@pytest.mark.slow
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("kind", ["linear", "yarn"])
def test_llama_cpp_stretches_positions_likewise(exported: Path, tmp_path: Path, kind: str) -> None:
    python = environment_with("llama", ["llama-cpp-python==0.3.36"])
    changes = {"context": 64, "rope_scaling": kind, "rope_factor": 2.0, "rope_base": 50.0}
    folder = reshaped(exported, tmp_path / "export", **changes)
    write_gguf(folder, tmp_path / "m.gguf", "float32")
    prompts = [[5, 300, 41, 9] * 12, list(range(3, 50))]
    said = said_by_llama(python, tmp_path / "m.gguf", prompts)
    assert_same_logits(load_export(folder, torch.float32), prompts, said)
    with pytest.raises(AssertionError):
        assert_same_logits(load_export(exported, torch.float32), [prompt[:32] for prompt in prompts], said)
