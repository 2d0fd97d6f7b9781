"""Which process left something, and whether it is still there: names may be a foreign store's."""

import subprocess

import pytest

from tasks.workers.process_name import mark_is_abandoned, process_mark, this_process


@pytest.mark.parametrize("pid", [10**30, -(10**30), 2**31])
def test_a_number_that_no_process_has_is_of_none_that_ended(pid: int) -> None:
    assert not this_process().model_copy(update={"pid": pid}).is_gone


@pytest.mark.parametrize("mark", ["", "-", "x", "0123456789abcdef-1", "{ours}-", "{ours}-x", "{ours}-" + "9" * 40])
def test_a_mark_that_is_none_is_not_abandoned(mark: str) -> None:
    assert not mark_is_abandoned(mark.format(ours=process_mark().partition("-")[0]))


def test_a_process_that_ended_is_gone_and_this_one_is_not() -> None:
    with subprocess.Popen(["true"]) as ended:
        ended.wait()
    assert this_process().model_copy(update={"pid": ended.pid}).is_gone and not this_process().is_gone
    assert mark_is_abandoned(f"{process_mark().partition('-')[0]}-{ended.pid}") and not mark_is_abandoned(
        process_mark()
    )
