"""What a process believes of who it is."""

import os

import pytest

from model.base.launch_variables import drop_leftover_ranks, launch_variables


def test_a_launchers_variables_are_known_by_name() -> None:
    torchrun = ["RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "ROLE_NAME"]
    others = ["ACCELERATE_USE_FSDP", "ACCELERATE_MIXED_PRECISION", "TORCHELASTIC_RUN_ID", "OMPI_COMM_WORLD_SIZE"]
    peoples = ["ACCELERATE_USE_CPU", "CUDA_VISIBLE_DEVICES", "NCCL_DEBUG", "OMP_NUM_THREADS", "SLURM_PROCID", "PATH"]
    assert launch_variables(dict.fromkeys([*torchrun, *peoples, *others], "1")) == [*torchrun, *others]


@pytest.mark.parametrize("address", [True, False])
def test_ranks_without_a_place_to_meet_are_left_over(monkeypatch: pytest.MonkeyPatch, address: bool) -> None:
    ranks = ("RANK", "LOCAL_RANK", "WORLD_SIZE")
    for name in ranks:
        monkeypatch.setenv(name, "1")
    if address:
        monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    else:
        monkeypatch.delenv("MASTER_ADDR", raising=False)
    drop_leftover_ranks()
    assert [name in os.environ for name in ranks] == [address] * 3
