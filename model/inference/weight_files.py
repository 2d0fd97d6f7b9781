"""The weights of an export folder: one safetensors file, or several that an index file lists.

Notable: a folder may come from anyone. What its files hold is known from their headers, which safetensors checks, so
sizes are compared before any memory is taken; and an index can only name files of its own folder.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file

from model.base.config_loading import json_object
from model.base.errors import BadInput
from model.base.sizes import ModelShape

_WEIGHTS = "model.safetensors"
_INDEX = "model.safetensors.index.json"
_HEAD = "lm_head.weight"
_DTYPES = frozenset({"F64", "F32", "F16", "BF16"})
"""Safetensors' names of the types that weights may have."""


@dataclass(frozen=True)
class StoredWeight:
    """A weight in a file, not yet read."""

    file: Path
    size: tuple[int, ...]


def holds_weights(folder: Path) -> bool:
    """Return whether `folder` is an export folder."""
    return any((folder / name).is_file() for name in (_WEIGHTS, _INDEX))


def fitting_weights(shape: ModelShape, folder: Path) -> dict[str, StoredWeight]:
    """Return the weights of an export folder, without a tied head, once their sizes are those of its config, `shape`.

    Raises BadInput if a file is missing or damaged, or a weight is missing, too many or of another size.
    """
    stored, expected = stored_weights(folder), _sizes(shape)
    if shape.tied_embeddings:
        stored.pop(_HEAD, None)
    for name in [*sorted(expected), *sorted(stored.keys() - expected.keys())]:
        found, wanted = stored[name].size if name in stored else "missing", expected.get(name, "absent")
        if found != wanted:
            raise BadInput(
                f"the weights in {folder} do not fit its config.json: {name} is {found}, and should be {wanted}"
            )
    return stored


def _sizes(shape: ModelShape) -> dict[str, tuple[int, ...]]:
    """Return the size of every weight of a model under transformers' name."""
    hidden, inner, head = shape.hidden_size, shape.intermediate_size, shape.head_dim
    queries, keys = shape.heads * head, shape.kv_heads * head
    outputs = {"q_proj": queries, "k_proj": keys, "v_proj": keys, "o_proj": hidden}
    biased = {"none": (), "qkv": ("q_proj", "k_proj", "v_proj"), "all": tuple(outputs)}[shape.attention_bias]
    layer: dict[str, tuple[int, ...]] = {f"self_attn.{name}.bias": (outputs[name],) for name in biased}
    layer |= {f"self_attn.{name}.weight": (size, hidden) for name, size in outputs.items() if name != "o_proj"}
    layer |= {"self_attn.o_proj.weight": (hidden, queries), "mlp.down_proj.weight": (hidden, inner)}
    layer |= {f"mlp.{name}.weight": (inner, hidden) for name in ("gate_proj", "up_proj")}
    layer |= {f"{name}.weight": (hidden,) for name in ("input_layernorm", "post_attention_layernorm")}
    if shape.head_norms:
        layer |= {f"self_attn.{name}.weight": (head,) for name in ("q_norm", "k_norm")}
    sizes = {"model.embed_tokens.weight": (shape.vocab_size, hidden), "model.norm.weight": (hidden,)}
    if not shape.tied_embeddings:
        sizes[_HEAD] = shape.vocab_size, hidden
    for number in range(shape.layers):
        sizes |= {f"model.layers.{number}.{name}": size for name, size in layer.items()}
    return sizes


def stored_weights(folder: Path) -> dict[str, StoredWeight]:
    """Return every weight of an export folder by its name, from the headers of its files.

    Raises BadInput if a file is missing or damaged, or a weight is not of floating point.
    """
    if (folder / _WEIGHTS).is_file() or not (folder / _INDEX).is_file():
        return _weights_in(folder / _WEIGHTS)
    places = _places(folder / _INDEX)
    found: dict[str, StoredWeight] = {}
    for file in sorted(set(places.values())):
        found |= {name: weight for name, weight in _weights_in(folder / file).items() if places.get(name) == file}
    if missing := places.keys() - found.keys():
        name = min(missing)
        raise BadInput(f"{folder / places[name]} does not hold {name}, which {_INDEX} says it does; get the file again")
    return found


def read_weights(stored: Mapping[str, StoredWeight]) -> dict[str, torch.Tensor]:
    """Return the weights themselves."""
    weights: dict[str, torch.Tensor] = {}
    for file in sorted({weight.file for weight in stored.values()}):
        try:
            tensors = load_file(file)
        except (OSError, SafetensorError) as error:
            raise _unreadable(file, error) from error
        weights |= {name: tensor for name, tensor in tensors.items() if name in stored and stored[name].file == file}
    return weights


def _places(index: Path) -> dict[str, str]:
    """Return the file of each weight; the index's names are not trusted."""
    try:
        places = json_object(index)["weight_map"]
        files = set(places.values())
        wrong = [file for file in files if not isinstance(file, str) or not _is_plain_name(file)]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadInput(f"{index} cannot be read as the index of a model in several files: {error!r}") from error
    if wrong or not files:
        named = f"names {wrong[0]!r}" if wrong else "names no file"
        raise BadInput(f"{index} {named}; it must name .safetensors files of its own folder")
    return dict(places)


def _is_plain_name(file: str) -> bool:
    return file.endswith(".safetensors") and file.isprintable() and not set(file) & set("/\\:")


def _weights_in(file: Path) -> dict[str, StoredWeight]:
    try:
        with safe_open(file, "pt") as opened:
            slices = {name: opened.get_slice(name) for name in opened.keys()}  # noqa: SIM118, it is no mapping
            wrong = [name for name, part in slices.items() if part.get_dtype() not in _DTYPES]
            found = {name: StoredWeight(file, tuple(part.get_shape())) for name, part in slices.items()}
    except (OSError, SafetensorError) as error:
        raise _unreadable(file, error) from error
    if wrong:
        raise BadInput(f"{wrong[0]!r} in {file} is not float64, float32, float16 or bfloat16; nothing else is read")
    return found


def _unreadable(file: Path, error: Exception) -> BadInput:
    return BadInput(f"the weights {file} cannot be read: {error}")
