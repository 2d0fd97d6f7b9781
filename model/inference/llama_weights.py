"""Decoders of other makers for the engine: folders of Llama, Mistral, Qwen2 and Qwen3 as transformers writes them.

Notable:
- They differ from ours in biases, in norms of heads, in an untied head and in how positions are stretched. What cannot
  be computed here is refused in words, never left out.
- A folder may come from anyone: its sizes are compared with the weights' headers before any memory is taken.
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from model.base.config import ModelShape
from model.base.config_loading import json_object
from model.base.errors import BadInput
from model.inference.decoders.decoder import DecoderWeights, decoder_weights
from model.inference.transformers_config import shape_of
from model.inference.weight_files import fitting_weights, read_weights
from model.network.rope import tables_of

_KINDS = ("llama", "mistral", "qwen2")
"""Types of models besides our own, as config.json names them."""


def load_decoder_weights(folder: Path) -> DecoderWeights:
    """Return the weights of an export folder, ours or another's.

    Raises BadInput if a file is missing, damaged or does not fit, or the model is of another kind.
    """
    config = _config(folder)
    _refuse_unknown(config, folder)
    rope = _rope_fields(config)
    shape = shape_of(_as_own(config, rope) if config.get("model_type") in _KINDS else config, folder)
    weights = decoder_weights(shape, read_weights(fitting_weights(shape, folder, _biases(config))))
    if not _is_llama3(rope):
        return weights
    cosines, sines = _llama3_tables(shape, rope, folder)
    return replace(weights, cosines=cosines, sines=sines)


def _config(folder: Path) -> dict[str, Any]:
    try:
        return json_object(folder / "config.json")
    except (OSError, ValueError) as error:
        raise BadInput(f"the export in {folder} cannot be read: config.json: {error}") from error


def _refuse_unknown(config: Mapping[str, Any], folder: Path) -> None:
    """Raise BadInput for what would change the numbers and is not computed here."""
    wrong = [name for name in ("quantization_config", "mlp_bias") if config.get(name)]
    if config.get("partial_rotary_factor", 1) != 1:
        wrong.append("partial_rotary_factor")
    if wrong:
        raise BadInput(f"{folder}/config.json has {', '.join(wrong)}, which the engine does not compute")


def _as_own(config: dict[str, Any], rope: Mapping[str, Any]) -> dict[str, Any]:
    """Return the config as that of a Llama that can be trained here; what it leaves out is seen to beside it."""
    full = {**config, "model_type": "llama", "attention_bias": False}
    if config["model_type"] == "mistral":
        full |= {"use_sliding_window": bool(config.get("sliding_window")), "max_window_layers": 0}
    if _is_llama3(rope):
        base = rope.get("rope_theta", config.get("rope_theta", 10_000.0))
        full |= {"rope_scaling": None, "rope_parameters": None, "rope_theta": base}
    return full


def _biases(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Return which matrices of attention have a bias."""
    if config["model_type"] == "qwen2":
        return ("q_proj", "k_proj", "v_proj")
    return ("q_proj", "k_proj", "v_proj", "o_proj") if config.get("attention_bias") else ()


def _rope_fields(config: Mapping[str, Any]) -> dict[str, Any]:
    fields = config.get("rope_parameters") or config.get("rope_scaling") or {}
    return dict(fields) if isinstance(fields, dict) else {}


def _is_llama3(rope: Mapping[str, Any]) -> bool:
    return rope.get("rope_type", rope.get("type")) == "llama3"


def _llama3_tables(shape: ModelShape, rope: Mapping[str, Any], folder: Path) -> tuple[Tensor, Tensor]:
    """Return cosines and sines with the slow frequencies stretched as by Llama 3.1 (transformers' `llama3`)."""
    names = ("factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings")
    try:
        factor, slow, fast, original = (float(rope[name]) for name in names)
    except (KeyError, TypeError, ValueError) as error:
        raise BadInput(f"{folder}/config.json lacks what llama3 positions need: {error!r}") from error
    if not (factor >= 1 and 0 < slow < fast and original > 0):
        raise BadInput(f"{folder}/config.json has llama3 positions that make no sense: {dict(rope)}")
    frequencies = shape.rope_base ** -(torch.arange(0, shape.head_dim, 2, dtype=torch.float32) / shape.head_dim)
    turns = original * frequencies / (2 * math.pi)
    kept = ((turns - slow) / (fast - slow)).clamp(0, 1)
    return tables_of(frequencies * kept + frequencies / factor * (1 - kept), 1.0, shape.context)
