"""Preference finetuning as it is really run: on one process and two, killed and resumed."""

import json
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch

from model.preference import prefer
from model.preferences.dpo_loss import dpo_loss
from model.preferences.kto_loss import kto_loss
from model.pretrain import pretrain
from model.sft import finetune
from tests.model.objectives.test_loss import tiny_model
from tests.model.tiny_corpus import TinyCorpus, kill_group, read_metrics, run_program, start_program, write_json
from tests.model.training.test_training_loop import ONE_PROCESS, TWO_PROCESSES, evaluations, wait_for_step


@dataclass(frozen=True)
class Chain:
    """A finetuned model, and pairs for it."""

    corpus: TinyCorpus
    model: Path
    pairs: Path

    def config(self, folder: Path, steps: int, **fields: object) -> Path:
        """Writes a config beside `folder`."""
        loop = {"steps": steps, "global_batch_size": 4, "threads": 1, "precision": "float32", "evaluate_every": 10}
        values = {
            "folder": str(folder),
            "base": str(self.model),
            "tokenizer": str(self.corpus.tokenizer),
            "pairs": str(self.pairs),
            "tokens": str(self.corpus.tokens),
            "cache": str(self.corpus.root / "cache"),
            "optimizer": {"lr_scale": 0.05},
            "schedule": {"decay_fraction": 0.0},
            "held_out_fraction": 0.2,
            "loop": loop | fields.pop("loop", {}),  # type: ignore[operator]
            **fields,
        }
        return write_json(folder.with_suffix(".preference.json"), values)


@pytest.fixture(scope="module")
def chain(corpus: TinyCorpus, tmp_path_factory: pytest.TempPathFactory) -> Chain:
    """A model that answers, and pairs that prefer the right answers."""
    root = tmp_path_factory.mktemp("chain")
    assert pretrain(corpus.pretrain_config(root / "base", 20)) == 0
    assert finetune(corpus.sft_config(root / "sft", root / "base", 10)) == 0
    lines = (corpus.root / "chat.jsonl").read_text().splitlines()
    chats = [[message["content"] for message in json.loads(line)["messages"]] for line in lines]
    with (root / "pairs.jsonl").open("w") as file:
        for question, answer in chats:
            pair = {"prompt": question, "chosen": answer.split()[-1], "rejected": "Who?"}
            file.write(json.dumps(pair) + "\n")
    return Chain(corpus, root / "sft", root / "pairs.jsonl")


@pytest.fixture(scope="module")
def straight(chain: Chain, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 30 steps that nothing disturbed."""
    folder = tmp_path_factory.mktemp("straight") / "preference"
    assert prefer(chain.config(folder, 30)) == 0
    return folder


DPO = ("loss", "margin", "accuracy", "chosen_reward", "rejected_reward")
KTO = ("loss", "margin", "accuracy", "kl")


def steps(folder: Path, names: tuple[str, ...] = DPO) -> dict[int, dict[str, float]]:
    """Loss and metrics of each step."""
    events = [event for event in read_metrics(folder / "metrics.jsonl") if event["event"] == "step"]
    return {event["step"]: {name: event[name] for name in names} for event in events}


def test_margins_and_accuracy_rise_from_those_of_the_reference(straight: Path) -> None:
    by_step = steps(straight)
    assert by_step[1]["loss"] == pytest.approx(0.6931, abs=1e-3), "at first both models are one"
    assert by_step[1]["margin"] == pytest.approx(0, abs=1e-3)
    assert by_step[30]["margin"] > 0.2 and by_step[30]["loss"] < 0.6
    assert by_step[30]["margin"] == pytest.approx(by_step[30]["chosen_reward"] - by_step[30]["rejected_reward"])
    events = read_metrics(straight / "metrics.jsonl")
    scored = [event for event in events if event["event"] == "eval"]
    assert [event["step"] for event in scored] == [10, 20, 30]
    assert scored[-1].keys() >= {"loss", "margin", "accuracy", "bits_per_byte"}
    facts = next(event for event in events if event["event"] == "data")
    assert facts["pairs"] == 12 and 0 < facts["held_out"] < 6


def test_the_reference_is_computed_once(chain: Chain, straight: Path) -> None:
    path = straight / "reference.parquet"
    table, written = pq.read_table(path), path.stat().st_mtime_ns
    assert table.num_rows == 12 and table.column_names == ["first", "second"]
    assert prefer(chain.config(straight, 32)) == 0
    assert path.stat().st_mtime_ns == written
    assert len(steps(straight)) == 32


@pytest.fixture(scope="module")
def rated(chain: Chain, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 30 steps of KTO on each pair's replies, of which every third good one is missing."""
    root = tmp_path_factory.mktemp("rated")
    pairs = [json.loads(line) for line in chain.pairs.read_text().splitlines()]
    lines = [
        {"prompt": pair["prompt"], "completion": pair[name], "label": name == "chosen"}
        for number, pair in enumerate(pairs)
        for name in ("chosen", "rejected")
        if number % 3 or name == "rejected"
    ]
    (root / "rated.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert prefer(chain.config(root / "kto", 30, method="kto", pairs=str(root / "rated.jsonl"))) == 0
    return root / "kto"


def test_single_ratings_move_good_and_bad_replies_apart(rated: Path) -> None:
    by_step = steps(rated, KTO)
    assert by_step[1]["loss"] == pytest.approx(0.5, abs=0.1) and by_step[1]["margin"] == pytest.approx(0, abs=1e-3)
    assert by_step[30]["margin"] > 0.1 and by_step[30]["loss"] < by_step[1]["loss"]
    scored = [event for event in read_metrics(rated / "metrics.jsonl") if event["event"] == "eval"]
    assert scored[-1].keys() >= {"loss", "margin", "accuracy", "kl", "bits_per_byte"}


@pytest.mark.slow
def test_a_killed_run_goes_on_as_if_nothing_had_happened(chain: Chain, tmp_path: Path) -> None:
    undisturbed, folder = tmp_path / "undisturbed", tmp_path / "killed"
    loop = {"checkpoint_every": 20, "evaluate_every": 40}
    assert prefer(chain.config(undisturbed, 120, loop=loop)) == 0
    config = chain.config(folder, 120, loop=loop)
    process = start_program("model.preference", config, ONE_PROCESS)
    wait_for_step(process, folder, 50)
    kill_group(process)
    assert max(steps(folder)) < 120
    reference = (folder / "reference.parquet").stat().st_mtime_ns
    assert prefer(config) == 0
    (resumed,) = (event["step"] for event in read_metrics(folder / "metrics.jsonl") if event["event"] == "resume")
    assert 20 <= resumed < 120
    assert steps(folder) == steps(undisturbed) and evaluations(folder) == evaluations(undisturbed)
    assert (folder / "reference.parquet").stat().st_mtime_ns == reference, "the reference is not computed again"


@pytest.mark.slow
def test_two_processes_and_small_passes_have_the_losses_of_one(chain: Chain, straight: Path, tmp_path: Path) -> None:
    config = chain.config(tmp_path / "two", 10, loop={"micro_batch": 1})
    code, output = run_program("model.preference", config, TWO_PROCESSES)
    assert code == 0, output
    assert pq.read_table(tmp_path / "two/reference.parquet")["first"].to_pylist() == pytest.approx(
        pq.read_table(straight / "reference.parquet")["first"].to_pylist(), rel=1e-4
    )
    for step, found in steps(tmp_path / "two").items():
        assert found == pytest.approx(steps(straight)[step], abs=2e-4), step


@pytest.mark.slow
def test_the_distance_of_a_step_does_not_depend_on_how_it_is_cut(chain: Chain, rated: Path, tmp_path: Path) -> None:
    fields = {"method": "kto", "pairs": str(rated.parent / "rated.jsonl"), "loop": {"micro_batch": 1}}
    code, output = run_program("model.preference", chain.config(tmp_path / "two", 10, **fields), TWO_PROCESSES)
    assert code == 0, output
    for step, found in steps(tmp_path / "two", KTO).items():
        assert found == pytest.approx(steps(rated, KTO)[step], abs=2e-4), step


def test_the_loss_of_rated_replies_is_that_of_the_paper() -> None:
    model = tiny_model()
    inputs = torch.randint(384, (3, 2, 16), generator=torch.Generator().manual_seed(0))
    targets = inputs.roll(-1, 2)
    targets[:, :, :6], targets[2] = -100, -100
    weights = torch.tensor([0.8, -1.2, 0.0])  # the third row is a process's padding
    logits = torch.log_softmax(model(inputs.flatten(0, 1)), -1).view(3, 2, 16, -1)
    picked = (logits.gather(-1, targets.clamp(min=0).unsqueeze(-1)).squeeze(-1) * (targets >= 0)).sum(-1)
    loss = kto_loss(0.3)
    assert loss.whole_step
    for further in (0.5, -0.5):  # from the reference, on the average unrelated reply
        ratios = torch.tensor([[0.7, further], [0.4, 2 * further], [0.0, 0.0]])
        references = (picked - ratios).detach()
        distance = loss.whole_step(model, inputs, targets, None, references, weights) / 2
        assert distance.item() == pytest.approx(1.5 * further, abs=1e-4)
        zero = max(0.0, 1.5 * further)
        ahead = torch.tensor([0.7 - zero, zero - 0.4])
        expected: list[torch.Tensor | float] = [
            (weights[:2].abs() * (1 - torch.sigmoid(0.3 * ahead))).sum(),
            0.6 * (0.8 * 0.7 - 1.2 * 0.4),
            (weights[:2].abs() * (ahead > 0)).sum(),
            2 * zero,
        ]
        found = loss.sums(model, inputs, targets, None, references, weights, distance)
        torch.testing.assert_close(found, torch.tensor([float(value) for value in expected]), atol=1e-4, rtol=1e-4)


def test_the_loss_is_that_of_the_paper() -> None:
    model = tiny_model()
    inputs = torch.randint(384, (3, 2, 16), generator=torch.Generator().manual_seed(0))
    targets = inputs.roll(-1, 2)
    targets[:, :, :6], targets[0, 1, 9:], targets[2] = -100, -100, -100
    reference = torch.randn(3, 2, generator=torch.Generator().manual_seed(1))
    logits = torch.log_softmax(model(inputs.flatten(0, 1)), -1).view(3, 2, 16, -1)
    picked = logits.gather(-1, targets.clamp(min=0).unsqueeze(-1)).squeeze(-1) * (targets >= 0)
    for normalised in (False, True):
        lengths = (targets >= 0).sum(-1).clamp(min=1) if normalised else torch.ones(3, 2)
        rewards = 0.3 * (picked.sum(-1) - reference) / lengths
        margins = (rewards[:, 0] - rewards[:, 1])[:2]  # the third pair is a process's padding
        expected = [-torch.sigmoid(margins).log().sum(), margins.sum(), (margins > 0).sum(), *rewards[:2].sum(0)]
        found = dpo_loss(0.3, normalised).sums(model, inputs, targets, None, reference)
        torch.testing.assert_close(found, torch.stack([value.float() for value in expected]))
