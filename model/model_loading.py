"""Loads a trained model: from a model folder's newest valid checkpoint, or from an export folder's safetensors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from model.checkpointing import load_model, newest_valid_checkpoint
from model.config import ModelShape
from model.errors import BadInput
from model.transformer import Transformer

_PREFIX = "model."
_HEAD = "lm_head.weight"

SHAPE_FIELDS = {
    "vocabulary_size": "vocab_size",
    "layers": "num_hidden_layers",
    "width": "hidden_size",
    "heads": "num_attention_heads",
    "kv_heads": "num_key_value_heads",
    "head_width": "head_dim",
    "feed_forward_width": "intermediate_size",
    "context": "max_position_embeddings",
    "norm_epsilon": "rms_norm_eps",
    "tied_embeddings": "tie_word_embeddings",
}
"""Our name of a size to transformers' name in config.json; the rotary base stands apart there."""


def load_trained(folder: Path, dtype: torch.dtype) -> Transformer:
    """The model in `folder`, ready to be used, with activations of type `dtype`.

    Args:
        folder: a model folder (models/<name>) or an export folder (models/<name>/export).
        dtype: float32 or bfloat16.

    Raises:
        BadInput: the folder holds neither a valid checkpoint nor an export.
    """
    if (folder / "model.safetensors").is_file():
        return load_export(folder, dtype)
    checkpoint = newest_valid_checkpoint(folder / "checkpoints")
    if checkpoint is None:
        raise BadInput(
            f"{folder} holds neither model.safetensors nor a valid checkpoint; train or export a model first"
        )
    model = Transformer(checkpoint.progress.shape, dtype)
    load_model(checkpoint, model)
    return model.eval()


def load_export(folder: Path, dtype: torch.dtype) -> Transformer:
    """The model in an export folder.

    Raises:
        BadInput: a file is missing or damaged, or the weights do not fit config.json.
    """
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        weights = load_file(folder / "model.safetensors")
    except (OSError, ValueError, SafetensorError) as error:
        raise BadInput(f"the export in {folder} cannot be read: {error}") from error
    model = Transformer(shape_of(config, folder), dtype)
    own = {name if name == _HEAD else name.removeprefix(_PREFIX): weight for name, weight in weights.items()}
    if model.shape.tied_embeddings:
        own[_HEAD] = own.get("embed_tokens.weight", torch.empty(0))
    try:
        model.load_state_dict(own)
    except RuntimeError as error:
        raise BadInput(f"the weights in {folder} do not fit its config.json: {error}") from error
    return model.eval()


def exported_weights(model: Transformer, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    """The weights under transformers' names; a tied head is left out, as transformers does."""
    return {
        name if name == _HEAD else _PREFIX + name: weight.detach().to("cpu", dtype).contiguous()
        for name, weight in model.state_dict().items()
        if not (name == _HEAD and model.shape.tied_embeddings)
    }


def shape_of(config: dict[str, Any], folder: Path) -> ModelShape:
    """The shape in transformers' config.json.

    Raises:
        BadInput: another architecture than Qwen3, or a size is missing.
    """
    if config.get("model_type") != "qwen3":
        raise BadInput(f"{folder}/config.json is of model type {config.get('model_type')}; only qwen3 can be read")
    try:
        sizes = {own: config[theirs] for own, theirs in SHAPE_FIELDS.items()}
        rope_base = config["rope_theta"] if "rope_theta" in config else config["rope_parameters"]["rope_theta"]
        return ModelShape(**sizes, rope_base=float(rope_base))
    except (KeyError, TypeError, ValueError) as error:
        raise BadInput(f"{folder}/config.json does not describe a whole model: {error!r}") from error
