"""Loading of a trained model: from a model folder's newest valid checkpoint, or from an export folder's safetensors."""

from pathlib import Path

import torch
from torch import nn

from model.base.config_loading import json_object
from model.base.errors import BadInput
from model.base.sizes import ModelShape
from model.checkpoints.checkpointing import load_model, newest_valid_checkpoint
from model.inference.decoders.decoder import DecoderWeights, decoder_weights
from model.inference.transformers_config import shape_of
from model.inference.weight_files import fitting_weights, holds_weights, read_weights
from model.network.low_rank import merge_adapters
from model.network.transformer import Transformer
from model.objectives.objectives import (
    CAUSAL,
    OBJECTIVE_SETTING,
    LanguageModel,
    Objective,
    objective_of,
    with_adapters,
)

_PREFIX = "model."
_HEAD = "lm_head.weight"


def load_trained(folder: Path, dtype: torch.dtype) -> Transformer:
    """Return the text-generating model in a model or export folder, with float32 or bfloat16 activations.

    Raises BadInput if the folder holds neither a valid checkpoint nor an export, or a model of another objective.
    """
    return require_decoder(folder, *load_any(folder, dtype))


def require_decoder(folder: Path, model: LanguageModel, objective: Objective) -> Transformer:
    """Return the model from `folder` if it generates text; raises BadInput if it fills gaps instead."""
    if not isinstance(model, Transformer) or objective is not CAUSAL:
        raise BadInput(
            f"the model in {folder} was pretrained with the objective {objective.name}: it fills gaps and cannot be "
            "finetuned to chat, exported or asked questions; set pretrain.objective to causal for a model that can"
        )
    return model


def load_any(folder: Path, dtype: torch.dtype, averaged: int = 1) -> tuple[LanguageModel, Objective]:
    """Return the model in `folder`, whatever its objective, and that objective; otherwise like `load_trained`.

    Of a model folder the weights of the `averaged` newest checkpoints are averaged, or of as many as there are.
    """
    if holds_weights(folder):
        return load_export(folder, dtype), CAUSAL
    checkpoint = newest_valid_checkpoint(folder / "checkpoints")
    if checkpoint is None:
        raise BadInput(
            f"{folder} holds neither model.safetensors nor a valid checkpoint; train or export a model first"
        )
    shape = checkpoint.progress.shape
    objective = objective_of(checkpoint.progress.settings[OBJECTIVE_SETTING], shape)
    model = with_adapters(objective, checkpoint.progress.settings).build(shape, dtype)
    load_model(checkpoint, model)
    if averaged > 1:
        _average(model, folder / "checkpoints", checkpoint.progress.step, averaged)
    merge_adapters(model)
    return model.eval(), objective


@torch.no_grad()
def _average(model: LanguageModel, folder: Path, newest: int, count: int) -> None:
    """Turn the weights of the checkpoint at step `newest` into the mean of that and the `count` - 1 before it."""
    sums = {name: weight.clone() for name, weight in model.state_dict().items()}
    found, step = 1, newest
    while found < count:
        before = newest_valid_checkpoint(folder, lambda progress, step=step: progress.step < step)  # type: ignore[misc]
        if before is None:
            break
        load_model(before, model)
        for name, weight in model.state_dict().items():
            sums[name] += weight
        found, step = found + 1, before.progress.step
    model.load_state_dict({name: total / found for name, total in sums.items()})


def load_export(folder: Path, dtype: torch.dtype) -> Transformer:
    """Return the model in an export folder; raises BadInput if a file is missing, damaged or does not fit.

    A config.json of any sizes takes no memory before the weights' headers have confirmed them.
    """
    shape, weights = _exported(folder)
    model = Transformer(shape, dtype)
    own = {name if name == _HEAD else name.removeprefix(_PREFIX): weight for name, weight in weights.items()}
    if shape.tied_embeddings:
        own[_HEAD] = own["embed_tokens.weight"]
    model.load_state_dict(own)
    return model.eval()


def load_decoder_weights(folder: Path) -> DecoderWeights:
    """Return the weights of an export folder for the engine; otherwise like `load_export`."""
    return decoder_weights(*_exported(folder))


def _exported(folder: Path) -> tuple[ModelShape, dict[str, torch.Tensor]]:
    """Return the shape of an export and its weights under transformers' names, without a tied head."""
    try:
        config = json_object(folder / "config.json")
    except (OSError, ValueError) as error:
        raise BadInput(f"the export in {folder} cannot be read: config.json: {error}") from error
    shape = shape_of(config, folder)
    return shape, read_weights(fitting_weights(shape, folder))


def grown_weights(model: Transformer, vocab_size: int) -> dict[str, torch.Tensor]:
    """Return the weights for a vocabulary that may be larger: a new token's are the mean of all others."""
    weights = model.state_dict()
    for name in ("embed_tokens.weight", _HEAD):
        new = weights[name].mean(dim=0, keepdim=True).expand(vocab_size - len(weights[name]), -1)
        weights[name] = torch.cat([weights[name], new])
    return weights


@torch.no_grad()
def cast_matrices(model: nn.Module, dtype: torch.dtype) -> None:
    """Cast the weights of the products once, for a model that is only used; otherwise every pass casts them again."""
    for parameter in model.parameters():
        if parameter.ndim > 1:
            parameter.data = parameter.data.to(dtype)


def exported_weights(model: Transformer, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    """Return the weights under transformers' names, without a tied head, as transformers saves them."""
    return {name: weight.detach().to("cpu", dtype).contiguous() for name, weight in exported_names(model).items()}


def exported_names(model: Transformer) -> dict[str, torch.Tensor]:
    """Return the model's own tensors under the names that an export gives them."""
    return {
        name if name == _HEAD else _PREFIX + name: weight
        for name, weight in model.state_dict().items()
        if not (name == _HEAD and model.shape.tied_embeddings)
    }
