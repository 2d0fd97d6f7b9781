"""The number of threads follows what passes take."""

import time

from model.inference.decoders.thread_choice import ThreadChoice


def share_of_several(choice: ThreadChoice, passes: int, seconds_alone: float, seconds_together: float) -> float:
    """How often 2 threads were chosen, where a pass takes so long with 1 and with 2."""
    several = 0
    for _ in range(passes):
        with choice.threads(rows=3, most=2) as threads:
            time.sleep(seconds_together if threads == 2 else seconds_alone)
            several += threads == 2
    return several / passes


def test_the_slower_number_of_threads_is_left_but_tried_again() -> None:
    choice = ThreadChoice()
    share_of_several(choice, 10, 1e-4, 4e-3)
    assert 0 < share_of_several(choice, 128, 1e-4, 4e-3) <= 2 / 128
    share_of_several(choice, 64 * 4, 4e-3, 1e-4)
    assert share_of_several(choice, 60, 4e-3, 1e-4) > 0.9


def test_where_one_thread_is_all_there_is_it_gets_the_pass() -> None:
    choice = ThreadChoice()
    for rows in range(1, 40):
        with choice.threads(rows, most=1) as threads:
            assert threads == 1
