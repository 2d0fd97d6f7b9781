"""The program that measures training on a GPU, at its tiny size on the CPU: that it runs, not how fast."""

import pytest

from tests.bench.gpu.kernels import Kernel, times_of
from tests.bench.gpu.training import RIVALS, in_a_process_of_its_own


@pytest.mark.slow
@pytest.mark.parametrize("way", ["bfloat16", "causal", "muon", "nanogpt", "transformers"])
def test_the_program_measures_a_way_of_training(way: str) -> None:
    if way == "transformers":
        pytest.importorskip("transformers")
    found = in_a_process_of_its_own("tiny", way, steps=3)
    assert found["tokens_per_second"] > 0 and found["mfu"] > 0


@pytest.mark.slow
def test_the_program_measures_decoding_and_optimizers() -> None:
    pytest.importorskip("transformers")
    for way in ("decode", "decode-transformers"):
        assert in_a_process_of_its_own("tiny", way, steps=3)["batch_256"] > 0
    assert in_a_process_of_its_own("tiny", "optimizers", steps=1)["muon_ms"] > 0


@pytest.mark.slow
def test_what_the_machine_cannot_do_is_said() -> None:
    found = in_a_process_of_its_own("tiny", "float8", steps=3)
    assert "tokens_per_second" in found or "float8" in found["failed"]


def test_what_would_take_too_long_is_ended() -> None:
    assert "failed" in in_a_process_of_its_own("tiny", RIVALS[0], steps=3, seconds=0.01)
    assert "failed" in in_a_process_of_its_own("tiny", RIVALS[0], steps=3, seconds=0.0)


def test_the_time_of_a_step_is_split_by_kind() -> None:
    kernels = []
    for step in range(5):
        at = 1000.0 * step
        kernels += [Kernel("nvjet_gemm", at, 400.0), Kernel("triton_tem_fused_flex_attention_0", at + 400, 100.0)]
        kernels += [Kernel("FusedAdam", at + 600, 50.0), Kernel("FusedAdam", at + 650, 50.0)]
    times = times_of(kernels)
    assert times.step_ms == 1.0
    assert times.kinds_ms == {"products": 0.4, "idle": 0.4, "attention": 0.1, "optimizer": 0.1}
    assert times.kernels.splitlines()[0].endswith("nvjet_gemm")
