"""What the planner says a model costs, against the real model: its parameters, torch's count of its operations, and the
bytes that training it holds."""

import dataclasses
from typing import get_args

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from flows.planning.memory import activation_bytes, state_bytes
from flows.planning.scaled_shape import scaled_shape
from model.base.learning_config import OptimizerConfig, OptimizerName
from model.base.sizes import ModelShape
from model.metrics.flops import count_parameters, flop_per_token
from model.metrics.gpus import known_gpus, named_peak
from model.network.transformer import Transformer, initialise
from model.training.optimizer import build_optimizers

GROUPED = ModelShape(
    vocab_size=128, layers=2, hidden_size=64, heads=4, kv_heads=2, intermediate_size=96, context=32, head_dim=16
)
SHAPES = {
    "grouped": GROUPED,
    "one head of keys": dataclasses.replace(GROUPED, kv_heads=1),
    "untied": dataclasses.replace(GROUPED, tied_embeddings=False),
    "heads wider than the stream": dataclasses.replace(GROUPED, head_dim=24, layers=3),
    "every head its own": dataclasses.replace(GROUPED, kv_heads=4, vocab_size=200, intermediate_size=160),
}


def trained_one_step(shape: ModelShape, optimizer: OptimizerConfig) -> tuple[Transformer, list[torch.optim.Optimizer]]:
    model = Transformer(shape)
    initialise(model, 0)
    optimizers = build_optimizers(model, optimizer, torch.float32)
    tokens = torch.randint(shape.vocab_size, (2, shape.context))
    model(tokens, tokens).backward()
    for each in optimizers:
        each.step()
    return model, optimizers


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_parameters_are_those_of_the_model(shape: ModelShape) -> None:
    counts, model = count_parameters(shape), Transformer(shape)
    assert counts.total == sum(parameter.numel() for parameter in model.parameters())
    assert counts.scales == sum(parameter.numel() for parameter in model.parameters() if parameter.ndim < 2)
    assert counts.matrices == sum(
        p.numel() for name, p in model.named_parameters() if "layers." in name and p.ndim == 2
    )


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_flop_are_those_that_torch_counts(shape: ModelShape) -> None:
    model, tokens = Transformer(shape), torch.randint(shape.vocab_size, (3, shape.context))
    with FlopCounterMode(display=False) as counter:
        model(tokens, tokens).backward()
    assert counter.get_total_flops() == flop_per_token(shape) * tokens.numel()


def test_attention_in_a_window_is_counted_to_its_width() -> None:
    windowed = dataclasses.replace(GROUPED, layers=4, sliding_window=8, window_pattern="SSSL")
    whole = dataclasses.replace(windowed, sliding_window=0)
    spared = 12.0 * windowed.heads * windowed.head_dim * 3 * (windowed.context - 8)
    assert flop_per_token(whole) - flop_per_token(windowed) == spared


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("name", get_args(OptimizerName))
def test_state_is_what_training_holds(shape: ModelShape, name: OptimizerName) -> None:
    config = OptimizerConfig(name=name)
    model, optimizers = trained_one_step(shape, config)
    held = sum(p.nbytes + (0 if p.grad is None else p.grad.nbytes) for p in model.parameters())
    moments = (value for each in optimizers for state in each.state.values() for value in state.values())
    held += sum(value.nbytes for value in moments if value.ndim)
    assert state_bytes(shape, config.name) == held


def test_activations_are_about_what_the_backward_pass_keeps() -> None:
    """On a CPU, with activations in bfloat16; its attention also keeps probabilities, which are taken off."""
    shape = ModelShape(
        vocab_size=64, layers=6, hidden_size=256, heads=4, kv_heads=2, intermediate_size=768, context=128
    )
    model, tokens = Transformer(shape, torch.bfloat16), torch.randint(64, (1, shape.context))
    initialise(model, 0)
    kept: dict[int, int] = {}
    parameters = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        is_activation = tensor.ndim > 1 and shape.context in tensor.shape[:2]
        if is_activation and tensor.untyped_storage().data_ptr() not in parameters:
            kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        model(tokens, tokens)
    probabilities = shape.layers * shape.heads * shape.context**2 * 2
    assert sum(kept.values()) - probabilities == pytest.approx(activation_bytes(shape, checkpointing=False), rel=0.35)


def test_a_driver_names_each_gpu_of_the_table() -> None:
    """By the words that a driver uses, e.g. `NVIDIA A100-SXM4-80GB`."""
    for name, gpu in known_gpus().items():
        words = name.removesuffix("-40gb").upper().replace("-", " ")
        assert named_peak(f"NVIDIA {words}") == gpu.flop_per_second, name


@given(st.sampled_from(list(SHAPES.values())), st.floats(0.05, 8))
def test_a_scaled_shape_is_a_shape(shape: ModelShape, fraction: float) -> None:
    scaled = scaled_shape(shape, fraction)
    assert scaled.heads % scaled.kv_heads == 0
    assert (scaled.head_dim, scaled.vocab_size, scaled.context) == (
        shape.head_dim,
        shape.vocab_size,
        shape.context,
    )


def test_parameters_of_the_blocks_go_with_the_cube_of_the_fraction() -> None:
    shape = ModelShape(
        vocab_size=1000, layers=12, hidden_size=768, heads=12, kv_heads=4, intermediate_size=2048, context=1024
    )
    assert scaled_shape(shape, 1.0) == shape
    for fraction in (0.5, 2.0, 3.0):
        grown = count_parameters(scaled_shape(shape, fraction)).matrices / count_parameters(shape).matrices
        assert grown == pytest.approx(fraction**3, rel=0.02)
