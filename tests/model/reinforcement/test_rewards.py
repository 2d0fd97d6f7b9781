"""What each reward says of a reply, and what becomes of one that fails, hangs or dies."""

import math
import os
import resource
import signal
import subprocess
import sys
import time

import pytest

from model.base.errors import BadInput
from model.reinforcement.reward_process import RewardProcess
from model.reinforcement.rewards import REWARDS, Reply
from tests.conftest import ROOT
from tests.tasks.workers.test_worker_process import is_alive, wait_until

SOURCE = """
import os, time

def polite(reply, prompt):
    print("a reward may print")
    return 0.5 * ("please" in reply.text) + len(prompt["answer"])

def broken(reply, prompt):
    raise KeyError("no such field")

def odd(reply, prompt):
    return {"nan": float("nan"), "huge": 10**400, "none": None, "true": True}[reply.text]

def moody(reply, prompt):
    if reply.text == "hang":
        time.sleep(60)
    if reply.text == "die":
        os._exit(3)
    return 1.0
"""


def own(name: str) -> str:
    """A function of `SOURCE` as a config names it."""
    return f"mine.py:{name}\n{SOURCE}"


def said(text: str, tokens: int = 4, finished: bool = True) -> Reply:
    """A reply of a limit of 16 tokens."""
    return Reply(text, tokens, finished, 16)


@pytest.mark.parametrize(
    ("name", "text", "answer", "value"),
    [
        ("answer", "It is Karam, on the Bosk.", "karam", 1),
        ("answer", "It is Karamvo.", "Karam", 0),
        ("answer", "", "Karam", 0),
        ("exact", " 42\n", "42", 1),
        ("exact", "42.", "42", 0),
        ("last_number", "6 times 7 is 42.", "42", 1),
        ("last_number", "So 1,042.50 it is", 1042.5, 1),
        ("last_number", "42, or rather 43", "42", 0),
        ("last_number", "no number", "42", 0),
        ("thinking_format", "<think>six sevens</think>\n42", "", 1),
        ("thinking_format", "<think>six sevens</think>", "", 0),
        ("thinking_format", "<think> </think>42", "", 0),
        ("thinking_format", "well <think>six</think>42", "", 0),
        ("thinking_format", "<think>six</think><think>seven</think>42", "", 0),
        ("brevity", "", "", 0.75),
    ],
)
def test_built_in_rewards(name: str, text: str, answer: object, value: float) -> None:
    assert REWARDS[name](said(text), {"answer": answer}) == value


def test_a_reply_that_the_limit_cut_is_not_finished() -> None:
    assert REWARDS["finished"](said("and so", 16, finished=False), {}) == 0
    assert REWARDS["finished"](said("yes"), {}) == 1


def test_a_reward_of_ones_own_sees_reply_and_prompt() -> None:
    rewards = RewardProcess(["polite", "exact"], [own("polite")], 5)
    assert rewards.score(said("please"), {"answer": "please"}) == {"polite": 6.5, "exact": 1.0}
    rewards.close()


@pytest.mark.parametrize(
    ("name", "text", "fault"),
    [
        ("broken", "x", "broken: KeyError: 'no such field'"),
        ("odd", "nan", "odd: the reward is nan"),
        ("odd", "huge", "odd: OverflowError"),
        ("odd", "none", "odd: TypeError"),
    ],
)
def test_a_reward_that_raises_or_is_no_number_is_a_fault_of_that_reply(name: str, text: str, fault: str) -> None:
    rewards = RewardProcess([name], [own(name)], 5)
    found = rewards.score(said(text), {})
    assert isinstance(found, str) and found.startswith(fault)
    if name == "odd":
        assert rewards.score(said("true"), {}) == {"odd": 1.0}
    rewards.close()


def test_a_reward_that_hangs_or_dies_costs_its_reply_alone() -> None:
    rewards = RewardProcess(["moody"], [own("moody")], 0.5)
    began = time.monotonic()
    assert rewards.score(said("hang"), {}) == "no reward came within 0.5 s"
    assert time.monotonic() - began < 5
    assert rewards.score(said("fine"), {}) == {"moody": 1.0}
    assert rewards.score(said("die"), {}) == "the rewards' process died"
    assert rewards.score(said("fine"), {}) == {"moody": 1.0}
    rewards.close()


def test_rewards_come_however_many_files_are_open() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
    held = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]
    try:
        rewards = RewardProcess(["polite"], [own("polite")], 5)
        assert rewards.score(said("please"), {"answer": ""}) == {"polite": 0.5}
        rewards.close()
    finally:
        for file in held:
            os.close(file)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_signal_that_stops_the_training_leaves_the_step_its_rewards() -> None:
    rewards = RewardProcess(["polite"], [own("polite")], 5)
    assert rewards.pid is not None
    for number in (signal.SIGTERM, signal.SIGINT):
        os.kill(rewards.pid, number)
    assert rewards.score(said("please"), {"answer": ""}) == {"polite": 0.5}
    rewards.close()


@pytest.mark.skipif(sys.platform != "linux", reason="needs a signal at the parent's death")
def test_a_reward_that_hangs_ends_with_the_training() -> None:
    lines = (
        "import sys, threading, time",
        "from model.reinforcement.reward_process import RewardProcess",
        "from model.reinforcement.rewards import Reply",
        "rewards = RewardProcess(['moody'], [sys.argv[1]], 60)",
        "print(rewards.pid, flush=True)",
        "rewards.score(Reply('hang', 1, True, 2), {})",
    )
    command = [sys.executable, "-c", "\n".join(lines), own("moody")]
    training = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert training.stdout is not None
    hanging = int(training.stdout.readline())
    time.sleep(0.2)
    training.kill()
    training.communicate()
    assert wait_until(lambda: not is_alive(hanging))


def test_a_prompt_without_the_field_that_a_reward_reads_is_told() -> None:
    rewards = RewardProcess(["exact"], [], 5)
    assert rewards.score(said("42"), {"id": 1}) == "exact: KeyError: 'answer'"
    rewards.close()


@pytest.mark.parametrize(
    ("names", "code", "message"),
    [
        (["exat"], [], "there is no reward 'exat'; did you mean 'exact'"),
        (["mine"], ["mine.py:mine\nmine = ("], r"mine\.py:mine cannot be run: SyntaxError"),
        (["mine"], ["mine.py:mine\nx = 1"], r"mine\.py:mine cannot be run: AttributeError"),
        (["exact"], ["mine.py:exact\ndef exact(reply, prompt): return 1"], "a name of its own"),
    ],
)
def test_rewards_that_are_not_there_are_refused_at_the_start(names: list[str], code: list[str], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        RewardProcess(names, code, 5)


def test_no_reward_is_infinite() -> None:
    assert all(math.isfinite(reward(said("1/0 e999 <think>"), {"answer": "7"})) for reward in REWARDS.values())
