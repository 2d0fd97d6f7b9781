"""Which type activations have on which device."""

import pytest
import torch

from model.base import device
from model.base.device import activation_dtype

CPU, GPU = torch.device("cpu"), torch.device("cuda")


@pytest.mark.parametrize("precision", ["bfloat16", "float32"])
def test_a_cpu_without_bfloat16_instructions_takes_float32(precision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "_multiplies_bfloat16", lambda: False)
    assert activation_dtype(precision, CPU) == torch.float32


def test_the_asked_type_is_taken_where_it_is_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "_multiplies_bfloat16", lambda: True)
    assert activation_dtype("bfloat16", CPU) == torch.bfloat16
    assert activation_dtype("float32", CPU) == torch.float32


def test_a_gpu_takes_what_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "_multiplies_bfloat16", lambda: False)
    assert activation_dtype("bfloat16", GPU) == torch.bfloat16
