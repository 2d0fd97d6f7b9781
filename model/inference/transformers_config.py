"""A model's shape as transformers writes it in config.json, and back: a Qwen3, or where heads have no norms a Llama, a
Qwen2 or a Mistral. What cannot be computed here is refused in words, never left out.

Notable: `rope_theta` and `rope_scaling` are where transformers 4 and the servers expect them, and transformers 5 reads
them too; what it writes itself (`rope_parameters`) can be read here.
"""

from pathlib import Path
from typing import Any

from model.base.config_loading import parse_config
from model.base.errors import BadInput
from model.base.sizes import ModelShape

_RENAMED = {
    "layers": "num_hidden_layers",
    "heads": "num_attention_heads",
    "kv_heads": "num_key_value_heads",
    "context": "max_position_embeddings",
    "norm_epsilon": "rms_norm_eps",
    "tied_embeddings": "tie_word_embeddings",
}
_EXPORTED = ("vocab_size", "layers", "hidden_size", "heads", "kv_heads", "head_dim", "intermediate_size", "context")
_SIZES = {name: _RENAMED.get(name, name) for name in (*_EXPORTED, "norm_epsilon", "tied_embeddings")}
"""Our name of a size to transformers' name."""
_LARGEST = {"layers": 1 << 12, "context": 1 << 20}
"""What no weights confirm: a model's layers and positions are believed up to here."""
_ROPE_NAMES = ("rope_theta", "rope_type", "type")
_QWEN3, _QWEN2, _LLAMA, _MISTRAL = "qwen3", "qwen2", "llama", "mistral"
_CLASSES = {
    _QWEN3: "Qwen3ForCausalLM",
    _QWEN2: "Qwen2ForCausalLM",
    _LLAMA: "LlamaForCausalLM",
    _MISTRAL: "MistralForCausalLM",
}
"""Model types that are written and read, with transformers' class."""
_LLAMA3 = {
    "rope_original_context": "original_max_position_embeddings",
    "rope_low_freq_factor": "low_freq_factor",
    "rope_high_freq_factor": "high_freq_factor",
}
"""Our name of an option of Llama 3.1's positions to transformers' name."""
_SHORT, _LONG = "sliding_attention", "full_attention"


def transformers_config(shape: ModelShape) -> dict[str, Any]:
    """Return the fields of config.json that describe a shape."""
    kind = model_type(shape)
    config: dict[str, Any] = {"architectures": [_CLASSES[kind]], "model_type": kind}
    config |= {theirs: getattr(shape, own) for own, theirs in _SIZES.items()}
    config |= {"rope_theta": shape.rope_base, "rope_scaling": _rope_scaling(shape)}
    if kind in (_QWEN3, _LLAMA):
        config["attention_bias"] = shape.attention_bias == "all"
    if kind in (_QWEN3, _QWEN2):
        config["use_sliding_window"] = bool(shape.sliding_window)
    if shape.sliding_window:
        kinds = [_SHORT if window else _LONG for window in shape.windows]
        # transformers before 4.53 has no layer types, only the first layer from which on all have the window.
        first = kinds.index(_SHORT) if _SHORT in kinds else shape.layers
        config |= {"sliding_window": shape.sliding_window, "max_window_layers": first, "layer_types": kinds}
    return config


def model_type(shape: ModelShape) -> str:
    """Return transformers' name for a model of this shape."""
    if shape.head_norms:
        return _QWEN3
    if shape.attention_bias == "qkv":
        return _QWEN2
    return _MISTRAL if shape.sliding_window else _LLAMA


def shape_of(config: dict[str, Any], folder: Path) -> ModelShape:
    """Return the shape in the config.json of an export folder; raises BadInput if it is no whole model of a known type.

    A Qwen3, Qwen2, Llama or Mistral, as transformers saves it, is known.
    """
    kind = str(config.get("model_type"))
    if kind not in _CLASSES:
        raise BadInput(f"{folder}/config.json is of model type {kind}; only {', '.join(_CLASSES)} can be read")
    if kind != _QWEN3:
        config = _with_implied(config)
    if kind == _MISTRAL:
        config = config | {"use_sliding_window": bool(config.get("sliding_window")), "max_window_layers": 0}
    try:
        values = {own: config[theirs] for own, theirs in _SIZES.items()}
        for own, largest in _LARGEST.items():
            if values[own] > largest:
                raise ValueError(f"{_SIZES[own]} is {values[own]}, and at most {largest} is read")
        if config.get("hidden_act", "silu") != "silu":
            raise ValueError(f"hidden_act is {config['hidden_act']!r}, and only 'silu' can be read")
        if unknown := _not_computed(config):
            raise ValueError(f"{unknown} is set, which is not computed here")
        values |= {"head_norms": kind == _QWEN3, "attention_bias": _biases(kind, config)}
        values |= {**_rope(config), **_windows(config)}
        shape = parse_config(values, ModelShape, f"{folder}/config.json")
        options = {name: value for name, value in _rope_fields(config).items() if name not in _ROPE_NAMES}
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise BadInput(f"{folder}/config.json does not describe a whole model: {error!r}") from error
    expected = {name: value for name, value in (_rope_scaling(shape) or {}).items() if name not in _ROPE_NAMES}
    if options != expected:
        raise BadInput(
            f"{folder}/config.json has positions with the options {options}, and only {expected} can be read for "
            f"them with max_position_embeddings = {shape.context}"
        )
    return shape


def _not_computed(config: dict[str, Any]) -> str:
    """Return the fields that would change the numbers and that nothing here computes; "" where there is none."""
    wrong = [name for name in ("quantization_config", "mlp_bias") if config.get(name)]
    if config.get("partial_rotary_factor", 1) != 1:
        wrong.append("partial_rotary_factor")
    return ", ".join(wrong)


def _biases(kind: str, config: dict[str, Any]) -> str:
    if kind == _QWEN2:
        return "qkv"
    return "all" if config.get("attention_bias") else "none"


def _with_implied(config: dict[str, Any]) -> dict[str, Any]:
    """Return a config with what one without norms of heads need not say."""
    heads, hidden = config.get("num_attention_heads"), config.get("hidden_size")
    implied: dict[str, Any] = {"num_key_value_heads": heads, "rope_theta": 10_000.0, "tie_word_embeddings": False}
    full = {**implied, **_rope_fields(config), **config}
    if not full.get("head_dim") and isinstance(heads, int) and heads and isinstance(hidden, int):
        full["head_dim"] = hidden // heads
    return full


def _rope_scaling(shape: ModelShape) -> dict[str, Any] | None:
    if shape.rope_scaling == "none":
        return None
    scaling: dict[str, Any] = {"rope_type": shape.rope_scaling, "factor": shape.rope_factor}
    if shape.rope_scaling == "yarn":
        scaling["original_max_position_embeddings"] = shape.original_context
    if shape.rope_scaling == "llama3":
        scaling |= {theirs: getattr(shape, own) for own, theirs in _LLAMA3.items()}
    return scaling


def _rope_fields(config: dict[str, Any]) -> dict[str, Any]:
    return {**(config.get("rope_parameters") or config.get("rope_scaling") or {})}


def _rope(config: dict[str, Any]) -> dict[str, Any]:
    fields = _rope_fields(config)
    kind = fields.get("rope_type", fields.get("type", "default"))
    if kind not in ("default", "linear", "yarn", "llama3"):
        raise ValueError(f"positions of the type {kind!r}")
    values = {"rope_base": float(config["rope_theta"] if "rope_theta" in config else fields["rope_theta"])}
    if kind != "default":
        values |= {"rope_scaling": kind, "rope_factor": float(fields["factor"])}
    if kind == "llama3":
        values |= {own: fields[theirs] for own, theirs in _LLAMA3.items()}
    return values


def _windows(config: dict[str, Any]) -> dict[str, Any]:
    if not config.get("use_sliding_window"):
        return {}
    layers, first = config["num_hidden_layers"], config.get("max_window_layers", 0)
    kinds = config.get("layer_types") or [_LONG if layer < first else _SHORT for layer in range(layers)]
    pattern = "".join({_SHORT: "S", _LONG: "L"}[kind] for kind in kinds)
    return {"sliding_window": config["sliding_window"], "window_pattern": pattern}
