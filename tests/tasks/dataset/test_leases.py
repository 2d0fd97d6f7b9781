"""Leases: one run at a time builds a dataset, and a run that is gone holds nobody up."""

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tasks.base.errors import PermanentError
from tasks.dataset.leases import BEAT_SECONDS, EXPIRY_SECONDS, Holder, Leases
from tasks.dataset.store import Store
from tasks.workers.process_name import ProcessName, this_process

DATASET = "extract/0a1b"
ELSEWHERE = ProcessName(host="node-7", machine="another boot", pid=1)


def leases(
    store: Store,
    run: str,
    process: ProcessName | None = None,
    beat_seconds: float = BEAT_SECONDS,
    expiry_seconds: float = EXPIRY_SECONDS,
) -> Leases:
    holder = Holder(run=run, process=process or this_process())
    return Leases(store, holder, beat_seconds=beat_seconds, expiry_seconds=expiry_seconds)


def test_of_many_at_once_one_at_a_time_holds_a_lease(store: Store) -> None:
    inside, most, done = 0, 0, []
    lock = threading.Lock()

    def work(name: str) -> None:
        nonlocal inside, most
        with leases(store, name) as own, own.holding(DATASET, lambda other: None):
            with lock:
                inside += 1
                most = max(most, inside)
            time.sleep(0.05)
            with lock:
                inside -= 1
                done.append(name)

    threads = [threading.Thread(target=work, args=(f"run-{i}",)) for i in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1
    assert sorted(done) == [f"run-{i}" for i in range(5)]
    assert len(store.names(f"leases/{DATASET}")) == 1


def test_leases_of_different_datasets_do_not_meet(store: Store) -> None:
    with leases(store, "a") as one, leases(store, "b") as other, one.holding("extract/1"), other.holding("extract/2"):
        pass


def test_who_does_not_wait_is_told_who_holds_it(store: Store) -> None:
    refused = pytest.raises(PermanentError, match=rf"run first \(process \d+ on .*\) is building {DATASET}")
    one, other = leases(store, "first"), leases(store, "second")
    with one, other, one.holding(DATASET), refused, other.holding(DATASET):
        pytest.fail("two runs hold the lease")


def test_who_waits_is_told_once_and_goes_on(store: Store) -> None:
    said: list[str] = []
    with leases(store, "first", beat_seconds=0.1) as one, leases(store, "second") as other:
        holding = one.holding(DATASET)
        holding.__enter__()
        threading.Timer(2.5, holding.__exit__, (None, None, None)).start()
        started = time.monotonic()
        with other.holding(DATASET, said.append):
            assert time.monotonic() - started > 2
    assert len(said) == 1 and said[0].startswith("run first ")


def test_a_holder_elsewhere_that_is_silent_is_taken_over_and_its_work_ends(store: Store) -> None:
    taken: list[Holder] = []
    silent = leases(store, "silent", ELSEWHERE, beat_seconds=3)
    own = Holder(run="second", process=this_process())
    second = Leases(store, own, on_takeover=taken.append, expiry_seconds=1)
    ended = pytest.raises(PermanentError, match=r"run second .* has taken over .* not heard of")
    with ended, silent, silent.holding(DATASET), second, second.holding(DATASET, lambda other: None):
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            silent.check()
            time.sleep(0.1)
    second.check()
    assert [holder.run for holder in taken] == ["silent"]


def test_a_holder_that_beats_is_not_taken_over(store: Store) -> None:
    with leases(store, "slow", ELSEWHERE, beat_seconds=0.3) as slow, leases(store, "next", expiry_seconds=1.5) as other:
        holding = slow.holding(DATASET)
        holding.__enter__()
        threading.Timer(4, holding.__exit__, (None, None, None)).start()
        started = time.monotonic()
        with other.holding(DATASET, lambda held: None):
            assert time.monotonic() - started > 3.5
            slow.check()


def test_a_holder_whose_process_was_killed_is_not_waited_for(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    script = (
        "import sys, time; from tasks.workers.process_name import this_process; from tasks.dataset.leases import *\n"
        "leases = Leases(Store(sys.argv[1]), Holder(run='killed', process=this_process()))\n"
        f"with leases, leases.holding({DATASET!r}): print('held', flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout and holder.stdout.readline() == "held\n"
        with leases(store, "early") as early, pytest.raises(PermanentError), early.holding(DATASET):
            pass
        holder.kill()
        holder.wait()
    with leases(store, "next") as own, own.holding(DATASET):
        pass


def test_a_lease_that_its_writer_left_half_written_expires(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    store.write_bytes(f"leases/{DATASET}/3.json", b'{"holder": {"ru')
    with leases(store, "own", expiry_seconds=1) as own, own.holding(DATASET, lambda other: None):
        assert store.names(f"leases/{DATASET}") == ["4.json"]
