"""GGUF: `python -m model.gguf_export --model EXPORT_FOLDER --output FILE [--precision float16|q8_0|...]`.

Notable:
- The file is made from an export folder, so llama.cpp runs what transformers runs. It is complete: weights, sizes,
  tokenizer and chat template are all inside.
- llama.cpp knows the architecture as `qwen3` or `qwen2` and the tokenizer's split pattern as `qwen2`. Its rotation
  pairs channel i with i + D/2, as ours does, so no weight is permuted; that of its `llama` pairs channel 2i with
  2i + 1, so the rows of queries and keys are. What divides each frequency, as in Llama 3.1, is a tensor of its own.
- llama.cpp's `qwen3` has no sliding window, so a model with one is refused.
- Norm scales stay float32 at every precision, as llama.cpp expects. q8_0 and q4_0 keep a matrix in blocks of 32 values
  with a scale; q4_0 leaves the embeddings and the head at q8_0, and a matrix whose rows are no whole blocks is float16.
- Format: github.com/ggml-org/ggml, docs/gguf.md; written by the `gguf` package.
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from torch import Tensor

from model.base.config import GgufPrecision
from model.base.config_loading import json_object
from model.base.errors import BadInput
from model.base.full_disk import written_whole
from model.base.program import run_command
from model.base.sizes import ModelShape
from model.data.chat_format import END_OF_TEXT, END_OF_TURN, load_chat_format
from model.inference.loading import load_export
from model.inference.transformers_config import model_type
from model.network.rope import rotary_frequencies
from model.network.transformer import Transformer

PRECISIONS = get_args(GgufPrecision)

_NAMES = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
"""Our name of a layer's part to GGUF's."""
_FILE_TYPES: dict[str, tuple[str, str]] = {
    "float32": ("F32", "ALL_F32"),
    "float16": ("F16", "MOSTLY_F16"),
    "bfloat16": ("BF16", "MOSTLY_BF16"),
    "q8_0": ("Q8_0", "MOSTLY_Q8_0"),
    "q4_0": ("Q4_0", "MOSTLY_Q4_0"),
}
"""GGUF's names for a precision: of a matrix, and of the file."""
_BLOCK = 32


def write_gguf(folder: Path, output: Path, precision: str = "float16") -> None:
    """Write the model of an export folder to one GGUF file, which appears whole or not at all.

    Raises:
        BadInput: the folder is not an export, the precision is unknown, the `gguf` package is missing, llama.cpp could
            not run the model, or the disk is full.
    """
    if precision not in PRECISIONS:
        raise BadInput(f"a GGUF file can be {', '.join(PRECISIONS)}, not {precision!r}")
    try:
        import gguf
    except ImportError as error:
        raise BadInput("writing GGUF needs the gguf package: pip install 'sluice[gguf]'") from error
    model = load_export(folder, torch.float32)
    _refuse_what_llama_cpp_leaves_out(model.shape, folder)
    tokenizer = _tokenizer(folder)
    template = load_chat_format(folder / "tokenizer.json").template
    with written_whole(output) as file:
        writer = gguf.GGUFWriter(file, model_type(model.shape))
        _add_sizes(writer, model.shape, gguf.LlamaFileType[_FILE_TYPES[precision][1]], gguf.RopeScalingType)
        _add_tokenizer(writer, gguf.TokenType, tokenizer, template, model.shape.vocab_size)
        for name, weight in _tensors(model):
            stored = gguf.GGMLQuantizationType[_stored_as(name, weight, precision)]
            values = weight.numpy().astype(np.float32)
            writer.add_tensor(name, gguf.quants.quantize(values, stored), raw_dtype=stored)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()


def _refuse_what_llama_cpp_leaves_out(shape: ModelShape, folder: Path) -> None:
    kind = model_type(shape)
    if any(shape.windows):
        raise BadInput(
            f"the model in {folder} has layers with a sliding window of {shape.sliding_window} positions, which "
            "llama.cpp's qwen3 would read as the whole context; train with shape.sliding_window = 0 to write GGUF, or "
            "use the folder in transformers"
        )
    if shape.head_norms and shape.attention_bias != "none":
        unread = "biases in attention"
    elif shape.rope_scaling == "llama3" and kind != "llama":
        unread = "positions stretched as by Llama 3.1"
    else:
        return
    raise BadInput(
        f"the model in {folder} has {unread}, which llama.cpp's {kind} does not read; use the folder in transformers"
    )


def _stored_as(name: str, weight: Tensor, precision: str) -> str:
    """Return GGUF's name of the type that a weight is stored in."""
    kind = _FILE_TYPES[precision][0]
    if weight.ndim == 1:
        return "F32"
    if kind.startswith("Q") and weight.shape[-1] % _BLOCK:
        return "F16"
    return "Q8_0" if kind == "Q4_0" and name in ("token_embd.weight", "output.weight") else kind


def _add_sizes(writer: Any, shape: ModelShape, file_kind: Any, rope_kinds: Any) -> None:
    writer.add_name("sluice")
    writer.add_file_type(file_kind)
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.hidden_size)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.intermediate_size)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_key_length(shape.head_dim)
    writer.add_value_length(shape.head_dim)
    writer.add_layer_norm_rms_eps(shape.norm_epsilon)
    writer.add_vocab_size(shape.vocab_size)
    if not shape.head_norms:
        writer.add_rope_dimension_count(shape.head_dim)
    writer.add_rope_freq_base(shape.rope_base)
    if shape.rope_scaling in ("linear", "yarn"):
        writer.add_rope_scaling_type(getattr(rope_kinds, shape.rope_scaling.upper()))
        writer.add_rope_scaling_factor(shape.rope_factor)
        writer.add_rope_scaling_orig_ctx_len(shape.original_context)


def _add_tokenizer(writer: Any, types: Any, tokenizer: dict[str, Any], template: str, vocab_size: int) -> None:
    added = {token["content"]: token["id"] for token in tokenizer["added_tokens"]}
    special = {token["content"] for token in tokenizer["added_tokens"] if token["special"]}
    # The embedding may have more rows than there are tokens.
    known = {number: (f"[unused {number}]", types.UNUSED) for number in range(vocab_size)}
    known |= {number: (token, types.NORMAL) for token, number in tokenizer["model"]["vocab"].items()}
    known |= {
        number: (token, types.CONTROL if token in special else types.USER_DEFINED) for token, number in added.items()
    }
    tokens, kinds = zip(*(known[number] for number in range(vocab_size)), strict=True)
    merges = [pair if isinstance(pair, str) else " ".join(pair) for pair in tokenizer["model"]["merges"]]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges(merges)
    writer.add_bos_token_id(added[END_OF_TEXT])
    writer.add_eos_token_id(added[END_OF_TURN])
    writer.add_pad_token_id(added[END_OF_TEXT])
    writer.add_add_bos_token(False)
    writer.add_chat_template(template)


def _tensors(model: Transformer) -> list[tuple[str, Tensor]]:
    """Return every weight under GGUF's name; a tied head is left out."""
    found: list[tuple[str, Tensor]] = [("token_embd.weight", model.embed_tokens.weight)]
    for number, block in enumerate(model.layers):
        for name, weight in block.named_parameters():
            part, _, kind = name.rpartition(".")
            turned = model_type(model.shape) == "llama" and part in ("self_attn.q_proj", "self_attn.k_proj")
            stored = _neighbours_paired(weight, model.shape.head_dim) if turned else weight
            found.append((f"blk.{number}.{_NAMES[part]}.{kind}", stored))
    found.append(("output_norm.weight", model.norm.weight))
    if not model.shape.tied_embeddings:
        found.append(("output.weight", model.lm_head.weight))
    if model.shape.rope_scaling == "llama3":
        found.append(("rope_freqs.weight", _frequency_divisors(model.shape)))
    return [(name, weight.detach()) for name, weight in found]


def _frequency_divisors(shape: ModelShape) -> Tensor:
    """Return what each rotary frequency of an unstretched model is divided by: float32 (head_dim / 2)."""
    plain = replace(shape, rope_scaling="none", rope_factor=1.0, rope_original_context=0)
    return rotary_frequencies(plain)[0] / rotary_frequencies(shape)[0]


def _neighbours_paired(weight: Tensor, head_dim: int) -> Tensor:
    """Return a matrix (heads * D, channels), or a bias, with row i + D/2 of each head after row i."""
    return weight.unflatten(0, (-1, 2, head_dim // 2)).transpose(1, 2).flatten(0, 2)


def _tokenizer(folder: Path) -> dict[str, Any]:
    path = folder / "tokenizer.json"
    try:
        tokenizer = json_object(path)
        names = {token["content"] for token in tokenizer["added_tokens"]}
        is_bpe = {"vocab", "merges"} <= tokenizer["model"].keys()
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadInput(f"{path} cannot be read as a tokenizer: {error!r}") from error
    if not is_bpe:
        raise BadInput(f"{path} is no byte-pair encoding, which is all that can be written as GGUF here")
    if missing := {END_OF_TEXT, END_OF_TURN} - names:
        raise BadInput(f"{path} lacks the special tokens {', '.join(sorted(missing))}")
    return tokenizer


def main(arguments: list[str]) -> int:
    """Write the file and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m model.gguf_export", description="Write a model as one GGUF file.")
    parser.add_argument("--model", type=Path, required=True, help="an export folder")
    parser.add_argument("--output", type=Path, required=True, help="the file to write")
    parser.add_argument("--precision", choices=PRECISIONS, default="float16")
    given = parser.parse_args(arguments)
    return run_command(lambda: write_gguf(given.model, given.output, given.precision))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
