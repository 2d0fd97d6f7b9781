"""The program that measures training on a GPU, at its tiny size on the CPU: that it runs, not how fast."""

from __future__ import annotations

import pytest

from tests.bench.gpu_training import in_a_process_of_its_own


@pytest.mark.slow
@pytest.mark.parametrize("way", ["bfloat16", "muon", "transformers"])
def test_the_program_measures_a_way_of_training(way: str) -> None:
    if way == "transformers":
        pytest.importorskip("transformers")
    found = in_a_process_of_its_own("tiny", way, steps=3)
    assert found["tokens_per_second"] > 0 and 0 < found["mfu"] < 1


@pytest.mark.slow
def test_what_the_machine_cannot_do_is_said() -> None:
    found = in_a_process_of_its_own("tiny", "float8", steps=3)
    assert "tokens_per_second" in found or "float8" in found["failed"]
