"""An encoder and an encoder-decoder, trained by the real program on documents that count upwards."""

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from model.base.errors import BadInput
from model.base.sizes import ModelShape
from model.checkpoints.checkpointing import newest_valid_checkpoint
from model.data.corruption import corruption_of
from model.data.packed_sequences import IGNORED
from model.data.token_cache import open_token_cache
from model.evaluate import evaluate
from model.export import export
from model.inference.loading import load_any
from model.metrics.flops import encoder_decoder_flop_per_token, flop_per_token
from model.objectives.encoder_decoder import Encoder, EncoderDecoder
from model.objectives.held_out import held_out_documents, unigram_score
from model.pretrain import pretrain
from model.sft import finetune
from tests.model.tiny_corpus import (
    SHAPE,
    TinyCorpus,
    read_metrics,
    run_program,
    write_json,
    write_plan,
    write_tokens,
)
from tests.model.training.test_training_loop import TWO_PROCESSES, losses

NUMBERS, FIRST = 40, 1
OBJECTIVES = ["masked", "span_corruption"]
STEPS = 140


def counting(start: int, length: int) -> list[int]:
    """Ids that count upwards from a number, and from the first again after the last."""
    return [FIRST + (start + place) % NUMBERS for place in range(length)]


@pytest.fixture(scope="module")
def numbers(tmp_path_factory: pytest.TempPathFactory) -> TinyCorpus:
    """200 documents that count, every tenth held out, two of them to a sequence."""
    root, draws = tmp_path_factory.mktemp("numbers"), random.Random(0)
    texts = [[0, *counting(draws.randrange(NUMBERS), draws.randint(8, 14)), 0] for _ in range(200)]
    held_out = range(9, 200, 10)
    rows: list[dict[str, Any]] = [
        {"id": f"doc:{row}", "tokens": text, "n_bytes": 40, "split": "validation" if row in held_out else "train"}
        for row, text in enumerate(texts)
    ]
    write_tokens(root / "tokens", [rows])
    whole = [{"part": 0, "row": row, "start": 0, "length": len(text)} for row, text in enumerate(texts)]
    kept = [segment for row, segment in enumerate(whole) if row not in held_out]
    write_plan(root / "packing", [list(pair) for pair in zip(kept[::2], kept[1::2], strict=True)])
    return TinyCorpus(root)


def objective_config(numbers: TinyCorpus, folder: Path, objective: str, steps: int, **loop: Any) -> Path:
    """Writes a config for one of the objectives beside `folder`."""
    pace = {"global_batch_size": 16, "evaluate_every": 70, "precision": "float32", **loop}
    path = numbers.pretrain_config(folder, steps, **pace)
    shape = {**SHAPE, "vocab_size": 48}
    learning = {"optimizer": {"lr": 0.01, "muon_lr": 0.03}}
    return write_json(path, {**json.loads(path.read_text()), "objective": objective, "shape": shape, **learning})


@pytest.fixture(scope="module")
def trained(numbers: TinyCorpus, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model of each objective."""
    root = tmp_path_factory.mktemp("models")
    for objective in OBJECTIVES:
        assert pretrain(objective_config(numbers, root / objective, objective, STEPS, checkpoint_every=100)) == 0
    return root


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_the_loss_falls_far_below_that_of_token_frequencies(numbers: TinyCorpus, trained: Path, objective: str) -> None:
    by_step = losses(trained / objective)
    assert sorted(by_step) == list(range(1, STEPS + 1))
    cache = open_token_cache(numbers.tokens, numbers.root / "cache")
    unigram = unigram_score(cache, held_out_documents(cache, 0), 48).loss
    events = [event for event in read_metrics(trained / objective / "metrics.jsonl") if event["event"] == "eval"]
    assert [event["step"] for event in events] == [70, 140]
    assert all("bits_per_byte" not in event for event in events), "gaps have no bits per byte"
    assert unigram > 3 and by_step[STEPS] < 0.3 * unigram and events[-1]["loss"] < 0.3 * unigram


@torch.no_grad()
def test_the_encoder_predicts_masked_tokens(trained: Path) -> None:
    model, objective = load_any(trained / "masked", torch.float32)
    assert isinstance(model, Encoder) and objective.name == "masked"
    corruption = corruption_of("masked", model.shape)
    assert corruption is not None
    right = asked = 0
    for start in range(NUMBERS):
        found = corruption.corrupt(np.array([0, *counting(start, 14), 0]), np.random.default_rng(start))
        said = model(torch.from_numpy(found.shown)[None])[0].argmax(-1).numpy()
        right += int((said == found.targets)[found.targets != IGNORED].sum())
        asked += int((found.targets != IGNORED).sum())
    assert right > 0.8 * asked, f"{right} of {asked}, where chance is one in {NUMBERS}"


@torch.no_grad()
def test_the_decoder_writes_the_missing_spans(trained: Path) -> None:
    model, _ = load_any(trained / "span_corruption", torch.float32)
    assert isinstance(model, EncoderDecoder)
    corruption = corruption_of("span_corruption", model.shape)
    assert corruption is not None
    right = 0
    for start in range(NUMBERS):
        found = corruption.corrupt(np.array([0, *counting(start, 12), 0]), np.random.default_rng(start))
        shown, said = torch.from_numpy(found.shown)[None], torch.from_numpy(found.answer)[None, :1]
        memory = model.encode(shown, torch.zeros_like(shown))
        for _ in found.targets:
            hidden = model.decode(said, torch.zeros_like(said), memory, torch.zeros_like(shown))
            said = torch.cat([said, model.lm_head(hidden[:, -1:], None).argmax(-1)], dim=1)
        right += said[0, 1:].tolist() == found.targets.tolist()
    assert right > 0.6 * NUMBERS, f"{right} of {NUMBERS} answers are right from the first token to the last"


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_resumed_run_has_the_same_losses(numbers: TinyCorpus, trained: Path, tmp_path: Path, objective: str) -> None:
    folder = tmp_path / objective
    straight = tmp_path / "straight"
    assert pretrain(objective_config(numbers, straight, objective, 12, checkpoint_every=100)) == 0
    constant = {"checkpoint_every": 4, "evaluate_every": 4}
    values = json.loads(objective_config(numbers, folder, objective, 12, **constant).read_text())
    config = write_json(tmp_path / "config.json", values)
    assert pretrain(config) == 0
    for old in sorted((folder / "checkpoints").iterdir())[-1:]:
        next(old.glob("*.distcp")).write_bytes(b"")
    assert pretrain(config) == 0, "from the checkpoint before the damaged one"
    resumed = [event["step"] for event in read_metrics(folder / "metrics.jsonl") if event["event"] == "resume"]
    assert resumed == [8] and losses(folder) == losses(straight)


@pytest.mark.slow
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_two_processes_have_the_losses_of_one_at_every_objective(
    numbers: TinyCorpus, tmp_path: Path, objective: str
) -> None:
    options = {"precision": "float32", "global_batch_size": 5, "checkpoint_every": 100, "evaluate_every": 6}
    together = objective_config(numbers, tmp_path / "together", objective, 6, **options)
    code, output = run_program("model.pretrain", together, TWO_PROCESSES)
    assert code == 0, output
    alone = objective_config(numbers, tmp_path / "alone", objective, 6, **options, micro_batch=2)
    assert pretrain(alone) == 0
    assert losses(tmp_path / "together") == pytest.approx(losses(tmp_path / "alone"), abs=1e-4)
    scores = [
        [event["loss"] for event in read_metrics(tmp_path / name / "metrics.jsonl") if event["event"] == "eval"]
        for name in ("together", "alone")
    ]
    assert scores[0] == pytest.approx(scores[1], abs=1e-4)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_evaluation_gives_the_loss_of_gaps(numbers: TinyCorpus, trained: Path, tmp_path: Path, objective: str) -> None:
    values = {"model": str(trained / objective), "result": str(tmp_path / "result.json")}
    data = {"tokens": str(numbers.tokens), "cache": str(numbers.root / "cache")}
    assert evaluate(write_json(tmp_path / "evaluate.json", values | data)) == 0
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["validation"] is None and result["questions"] is None
    gaps = result["gaps"]
    assert (gaps["objective"], gaps["documents"]) == (objective, 20)
    assert 0 < gaps["loss"] < 0.3 * gaps["unigram_loss"]


def test_such_a_model_is_not_finetuned_exported_or_asked(corpus: TinyCorpus, trained: Path, tmp_path: Path) -> None:
    why = "was pretrained with the objective masked: it fills gaps .* set pretrain.objective to causal"
    with pytest.raises(BadInput, match=why):
        finetune(corpus.sft_config(tmp_path / "chat", trained / "masked", 5))
    values = {"model": str(trained / "masked"), "tokenizer": str(corpus.tokenizer)}
    with pytest.raises(BadInput, match=why):
        export(write_json(tmp_path / "export.json", {**values, "output": str(tmp_path / "export")}))
    asked = {"questions": str(corpus.root / "questions.jsonl"), "replies": str(tmp_path / "replies.jsonl")}
    with pytest.raises(BadInput, match=why):
        evaluate(write_json(tmp_path / "evaluate.json", {**values, **asked, "result": str(tmp_path / "result.json")}))


@pytest.mark.parametrize(("objective", "needed"), [("masked", 42), ("span_corruption", 44)])
def test_a_vocabulary_without_room_is_refused(numbers: TinyCorpus, tmp_path: Path, objective: str, needed: int) -> None:
    config = objective_config(numbers, tmp_path / "base", objective, 5)
    values = json.loads(config.read_text())
    values["shape"]["vocab_size"] = needed - 1
    message = rf"needs the {needed - 41} topmost ids .* holds id 40; set it to at least {needed}"
    with pytest.raises(BadInput, match=message):
        pretrain(write_json(config, values))


def test_gaps_are_filled_from_their_own_document(numbers: TinyCorpus, tmp_path: Path) -> None:
    config = objective_config(numbers, tmp_path / "base", "masked", 5, document_mask=False)
    with pytest.raises(BadInput, match=r"loop\.document_mask must be true where the objective is not causal"):
        pretrain(config)


def test_a_checkpoint_is_not_resumed_under_another_objective(numbers: TinyCorpus, trained: Path) -> None:
    assert newest_valid_checkpoint(trained / "masked" / "checkpoints") is not None
    values = json.loads((trained / "masked").with_suffix(".pretrain.json").read_text())
    with pytest.raises(BadInput, match=r"was made with objective = masked, and the config says span_corruption"):
        pretrain(write_json(trained / "other.json", {**values, "objective": "span_corruption"}))


def random_parts(sizes: tuple[int, ...], draws: torch.Generator) -> list[torch.Tensor]:
    """A text of each size, (1, size)."""
    return [torch.randint(SHAPE["vocab_size"], (1, size), generator=draws) for size in sizes]


def numbered(parts: list[torch.Tensor]) -> torch.Tensor:
    """The numbers of the parts, at each of their positions."""
    return torch.cat([torch.full_like(part, at) for at, part in enumerate(parts)], dim=1)


@pytest.mark.parametrize("kind", [Encoder, EncoderDecoder])
def test_packed_documents_do_not_affect_each_other(kind: type[Encoder | EncoderDecoder]) -> None:
    model, draws = kind(ModelShape(**SHAPE)), torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=draws) * 0.2 + (parameter.ndim == 1))
    shown, answers = random_parts((7, 4), draws), random_parts((3, 2), draws)
    if kind is Encoder:
        alone = sum(model(text, text, torch.zeros_like(text)) for text in shown)
        packed = model(torch.cat(shown, 1), torch.cat(shown, 1), numbered(shown))
    else:
        rows = [torch.cat(pair, 1) for pair in zip(shown, answers, strict=True)]
        alone = sum(model(row, answer, torch.zeros_like(row)) for row, answer in zip(rows, answers, strict=True))
        numbers = torch.cat([numbered(shown), numbered(answers)], 1)
        packed = model(torch.cat([*shown, *answers], 1), torch.cat(answers, 1), numbers)
    torch.testing.assert_close(packed, alone, atol=1e-3, rtol=1e-4)


def test_the_cost_of_an_encoder_and_a_decoder_is_that_of_what_they_read() -> None:
    shape = ModelShape(**{**SHAPE, "vocab_size": 1000})
    counted = sum(
        parameter.numel()
        for name, parameter in EncoderDecoder(shape).named_parameters()
        if parameter.ndim == 2 and "embed" not in name
    )
    assert 0.2 * 6 * counted < encoder_decoder_flop_per_token(shape) < 1.2 * flop_per_token(shape)
