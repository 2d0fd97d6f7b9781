"""The deadline interrupts what spins, whatever it swallows, and leaves no trace of itself."""

import contextlib
import signal
import threading
import time
from collections.abc import Iterator

import pytest

from tasks.base.deadline import DeadlineExceeded, cpu_deadline


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    before = signal.getsignal(signal.SIGPROF)
    yield
    assert signal.getsignal(signal.SIGPROF) is before
    assert signal.getitimer(signal.ITIMER_PROF) == (0.0, 0.0)


def spin(seconds: float) -> int:
    end, turns = time.process_time() + seconds, 0
    while time.process_time() < end:
        turns += 1
    return turns


def test_code_in_time_is_left_alone() -> None:
    with cpu_deadline(5):
        assert spin(0.01) > 0


def test_spinning_code_is_interrupted() -> None:
    began = time.process_time()
    with pytest.raises(DeadlineExceeded, match=r"0\.05 s"), cpu_deadline(0.05):
        spin(20)
    assert time.process_time() - began < 5


def test_code_that_swallows_every_exception_is_interrupted() -> None:
    def stubborn() -> None:
        for _ in range(3):
            with contextlib.suppress(BaseException):
                spin(20)

    began = time.process_time()
    with pytest.raises(DeadlineExceeded), cpu_deadline(0.05):
        stubborn()
    assert time.process_time() - began < 10


def test_waiting_costs_no_processor_time() -> None:
    with cpu_deadline(0.1):
        time.sleep(0.3)


def test_errors_of_the_block_pass_through() -> None:
    with pytest.raises(KeyError), cpu_deadline(5):
        raise KeyError("x")


def test_inner_deadline_ends_and_outer_goes_on() -> None:
    with cpu_deadline(5):
        with pytest.raises(DeadlineExceeded, match=r"0\.05"), cpu_deadline(0.05):
            spin(20)
        assert 0 < signal.getitimer(signal.ITIMER_PROF)[0] < 5
        assert spin(0.01) > 0


def test_outer_deadline_ends_the_inner_block_too() -> None:
    reached = []
    with pytest.raises(DeadlineExceeded, match=r"0\.05"), cpu_deadline(0.05):
        with pytest.raises(DeadlineExceeded), cpu_deadline(50):
            spin(20)
        reached.append("after the inner block")
        spin(20)
        reached.append("never")
    assert "never" not in reached


def test_many_short_deadlines_never_leak_an_interrupt() -> None:
    late = 0
    for turn in range(400):
        try:
            with cpu_deadline(1e-6 + (turn % 7) * 1e-5):
                sum(range(turn * 10))
        except DeadlineExceeded:
            late += 1
    assert spin(0.05) > 0
    assert 0 <= late <= 400


def test_other_threads_are_refused() -> None:
    raised: list[BaseException] = []

    def elsewhere() -> None:
        try:
            with cpu_deadline(1):
                pass
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert isinstance(raised[0], ValueError)


@pytest.mark.parametrize("seconds", [0, -1])
def test_a_deadline_is_positive(seconds: float) -> None:
    with pytest.raises(ValueError, match="positive"):
        cpu_deadline(seconds)
