"""Reinforcement learning as it is really run: a model of random weights that comes to end its replies at once."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from model.base.errors import BadInput
from model.base.json_lines import json_lines
from model.inference.loading import load_trained
from model.network.transformer import Transformer, initialise
from model.pretrain import pretrain
from model.rl import reinforce
from tests.model.parrot import SHAPE, write_export
from tests.model.tiny_corpus import SHAPE as TINY
from tests.model.tiny_corpus import TinyCorpus, kill_group, read_metrics, run_program, start_program, write_json
from tests.model.training.test_training_loop import ONE_PROCESS, TWO_PROCESSES, wait_for_step

STEPS = 18


@pytest.fixture(scope="module")
def places(corpus: TinyCorpus, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A model without knowledge, its tokenizer, and 24 prompts."""
    root = tmp_path_factory.mktemp("rl")
    model = Transformer(SHAPE)
    initialise(model, 0)
    prompts = [{"prompt": first + second, "answer": "7"} for first in "abcdefgh" for second in "xyz"]
    (root / "prompts.jsonl").write_text(json_lines(prompts))
    base = write_export(root / "base", model, corpus.tokenizer)
    return {"base": str(base), "tokenizer": str(corpus.tokenizer), "prompts": str(root / "prompts.jsonl")}


def config_of(places: dict[str, str], folder: Path, steps: int, loop: dict[str, Any] | None = None, **rl: Any) -> Path:
    """Writes a config beside `folder` and returns its path."""
    values = places | {"folder": str(folder), "rewards": {"brevity": 1}, "group_size": 8, "max_new_tokens": 16}
    values |= {"held_out_prompts": 8, "optimizer": {"name": "adamw"}, "schedule": {"decay_fraction": 0}}
    pace = {"global_batch_size": 64, "threads": 1, "evaluate_every": 9, "checkpoint_every": 6}
    return write_json(folder.with_suffix(".rl.json"), values | rl | {"loop": {"steps": steps} | pace | (loop or {})})


def told(folder: Path, event: str, *names: str) -> list[Any]:
    """Values of all events of a kind in the metrics log, each as a tuple, or alone."""
    found = [line for line in read_metrics(folder / "metrics.jsonl") if line["event"] == event]
    return [tuple(line[name] for name in names) if len(names) > 1 else line[names[0]] for line in found]


CURVES = ("step", "loss", "grad_norm", "reward", "reply_tokens", "entropy")


@pytest.fixture(scope="module")
def straight(places: dict[str, str], corpus: TinyCorpus, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing disturbed."""
    folder = tmp_path_factory.mktemp("straight") / "rl"
    cache = str(folder.parent / "cache")
    assert reinforce(config_of(places, folder, STEPS, tokens=str(corpus.tokens), cache=cache)) == 0
    return folder


def test_the_reward_rises_on_held_out_prompts_too(straight: Path) -> None:
    assert told(straight, "data", "prompts", "held_out") == [(16, 8)]
    held_out = dict(told(straight, "eval", "step", "reward"))
    assert sorted(held_out) == [0, 9, STEPS] and held_out[0] < 0.1 and held_out[STEPS] > 0.5
    rewards = told(straight, "step", "reward")
    assert len(rewards) == STEPS and rewards[-1] > 0.5 > rewards[0]
    assert told(straight, "step", "reply_tokens")[-1] < told(straight, "step", "reply_tokens")[0]
    assert told(straight, "step", "entropy")[-1] < told(straight, "step", "entropy")[0]
    documents = [event for event in read_metrics(straight / "metrics.jsonl") if "bits_per_byte" in event]
    scored = [event["step"] for event in documents if event["event"] == "eval"]
    assert scored == [9, STEPS] and all("loss" not in event for event in documents if event["event"] == "eval")
    assert told(straight, "sample", "step") == [0] * 3 + [9] * 3 + [STEPS] * 3
    assert load_trained(straight, torch.float32).shape == SHAPE, "others can load it"


def test_a_resumed_run_is_an_unbroken_one(places: dict[str, str], straight: Path, tmp_path: Path) -> None:
    folder = tmp_path / "rl"
    for steps in (4, 9):
        assert reinforce(config_of(places, folder, steps)) == 0
    assert told(folder, "step", *CURVES) == told(straight, "step", *CURVES)[:9]
    with pytest.raises(BadInput, match=r"was made with kl = 0\.0, and the config says 0\.5"):
        reinforce(config_of(places, folder, 12, kl=0.5))
    with pytest.raises(BadInput, match="was made with the digest of the data"):
        reinforce(config_of(places, folder, 12, own_rewards=["mine.py:mine\ndef mine(reply, prompt): return 1"]))


@pytest.mark.slow
def test_a_killed_run_goes_on_as_if_nothing_had_happened(
    places: dict[str, str], straight: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "rl"
    config = config_of(places, folder, STEPS)
    process = start_program("model.rl", config, ONE_PROCESS)
    wait_for_step(process, folder, 8)
    kill_group(process)
    code, output = run_program("model.rl", config, ONE_PROCESS)
    assert code == 0, output
    assert told(folder, "resume", "step") in ([6], [12])
    assert told(folder, "step", *CURVES) == told(straight, "step", *CURVES)
    assert told(folder, "eval", "step", "reward") == told(straight, "eval", "step", "reward")


@pytest.mark.slow
def test_two_processes_draw_and_learn_what_one_does(places: dict[str, str], corpus: TinyCorpus, tmp_path: Path) -> None:
    together, alone = tmp_path / "together", tmp_path / "alone"
    # Three groups of five replies: a group lies across the processes, whose shares are of different sizes.
    loop = {"global_batch_size": 15, "micro_batch": 4, "checkpoint_every": 3, "precision": "float32"}
    text: dict[str, Any] = {"tokens": str(corpus.tokens), "cache": str(tmp_path / "cache"), "replay": 2}
    config = config_of(places, together, 3, loop, group_size=5, kl=0.1, **text)
    code, output = run_program("model.rl", config, TWO_PROCESSES)
    assert code == 0, output
    assert len(list((together / "checkpoints" / "step-00000003").glob("*.distcp"))) == 2
    assert reinforce(config_of(places, alone, 3, loop, group_size=5, kl=0.1, **text)) == 0
    for name in ("reward", "reply_tokens", "tokens"):
        assert told(together, "step", name) == told(alone, "step", name)
    for name in ("loss", "grad_norm", "entropy", "kl"):
        assert told(together, "step", name) == pytest.approx(told(alone, "step", name), abs=1e-4)
    assert told(together, "eval", "reward") == told(alone, "eval", "reward")


@pytest.mark.slow
def test_replayed_text_keeps_most_of_what_the_model_knew(
    places: dict[str, str], corpus: TinyCorpus, tmp_path: Path
) -> None:
    base = corpus.pretrain_config(tmp_path / "base", 60, evaluate_every=60)
    assert pretrain(write_json(base, json.loads(base.read_text()) | {"shape": TINY | {"context": 64}})) == 0
    (before,) = told(tmp_path / "base", "eval", "bits_per_byte")
    found = {}
    for replay in (0, 4):
        text: dict[str, Any] = {"tokens": str(corpus.tokens), "cache": str(tmp_path / "cache"), "replay": replay}
        learning: dict[str, Any] = {"optimizer": {"lr_scale": 0.3}, "base": str(tmp_path / "base")}
        folder = tmp_path / f"rl-{replay}"
        assert reinforce(config_of(places, folder, STEPS, **text, **learning)) == 0
        scored = [event for event in read_metrics(folder / "metrics.jsonl") if event["event"] == "eval"]
        found[replay] = scored[-1]["bits_per_byte"] - before
        assert scored[-1]["reward"] > scored[0]["reward"] + 0.2
    assert found[4] < 0.6 * found[0]


def test_groups_of_equal_rewards_move_nothing(places: dict[str, str], tmp_path: Path) -> None:
    folder = tmp_path / "rl"
    own = ["mine.py:same\ndef same(reply, prompt):\n    return 0.1\n"]
    loop = {"global_batch_size": 8}
    assert reinforce(config_of(places, folder, 3, loop, rewards={"same": 1}, own_rewards=own, group_size=4)) == 0
    assert told(folder, "step", "no_signal", "loss", "grad_norm") == [(1.0, 0.0, 0.0)] * 3
    before, after = (load_trained(Path(place), torch.float32).state_dict() for place in (places["base"], folder))
    assert all((before[name] == after[name]).all() for name in before)


def test_rewards_that_fail_are_told_and_the_rest_is_learnt_from(
    places: dict[str, str], corpus: TinyCorpus, tmp_path: Path
) -> None:
    folder = tmp_path / "rl"
    source = """
def moody(reply, prompt):
    if prompt["prompt"][0] in "abcd":
        raise ValueError("no opinion on " + prompt["prompt"])
    return float("nan") if prompt["prompt"][0] == "e" else reply.tokens + len(reply.text)
"""
    loop = {"global_batch_size": 64}  # all prompts in each step
    own = [f"mine.py:moody\n{source}"]
    config = config_of(places, folder, 2, loop, rewards={"moody": 1}, own_rewards=own, group_size=4)
    assert reinforce(config) == 0
    failed, faults = told(folder, "step", "failed"), told(folder, "step", "fault")
    assert all(0 < share < 1 for share in failed) and all(fault.startswith("moody: ") for fault in faults)
    text: dict[str, Any] = {"tokens": str(corpus.tokens), "cache": str(tmp_path / "cache"), "replay": 2}
    bare = str(_without_answers(places, tmp_path))
    everything = config_of(places, tmp_path / "none", 4, loop, rewards={"exact": 1}, prompts=bare, **text)
    with pytest.raises(
        BadInput, match="no reply of the last 3 steps, up to step 3, has a reward: exact: KeyError: 'answer'"
    ):
        reinforce(everything)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"group_size": 1}, "group_size must be at least 2"),
        ({"group_size": 7}, r"global_batch_size \(64\) must be a multiple of group_size \(7\)"),
        ({"rewards": {}}, "rewards must name at least one"),
        ({"rewards": {"exact": "much"}}, r"rewards\.exact must be a finite number"),
        ({"rewards": {"exakt": 1}}, "there is no reward 'exakt'; did you mean 'exact'"),
        ({"max_new_tokens": 0}, "max_new_tokens must be at least 1"),
        ({"max_new_tokens": 60}, "holds no prompt of at most 4 tokens|different prompts that fit"),
        ({"loop": {"parallelism": "fsdp"}}, "each process draws replies by itself"),
        ({"loop": {"patience": 2}}, "rl has none"),
    ],
)
def test_a_config_that_cannot_work_is_refused(
    places: dict[str, str], tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    config = config_of(places, tmp_path / "rl", 2, **changes)
    with pytest.raises(BadInput, match=message):
        reinforce(config)


def _without_answers(places: dict[str, str], tmp_path: Path) -> Path:
    lines = [json.loads(line) for line in Path(places["prompts"]).read_text().splitlines()]
    path = tmp_path / "bare.jsonl"
    path.write_text(json_lines([{"prompt": line["prompt"]} for line in lines]))
    return path
