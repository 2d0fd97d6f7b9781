"""From a finetuned checkpoint to an export that transformers loads, an evaluation, and a chat."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from model.base.errors import BadInput
from model.base.program import outcome_path
from model.evaluate import evaluate
from model.export import REPORT, export
from model.inference.engine import engine_of
from model.inference.loading import exported_weights, load_export, load_trained
from model.pretrain import pretrain
from model.sft import finetune
from tests.conftest import ROOT
from tests.model.continuations import continued
from tests.model.tiny_corpus import TinyCorpus, write_json, write_tokens

QUESTION = "What sells Karam?"


@pytest.fixture(scope="module")
def trained(corpus: TinyCorpus, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a base model, and a chat model that knows the tiny corpus's towns by heart."""
    root = tmp_path_factory.mktemp("models")
    assert pretrain(corpus.pretrain_config(root / "base", 60)) == 0
    assert finetune(corpus.sft_config(root / "chat", root / "base", 150)) == 0
    assert export(export_config(corpus, root / "chat", root / "export")) == 0
    return root


def export_config(corpus: TinyCorpus, model: Path, output: Path, **changes: Any) -> Path:
    """Writes an export config beside `output`."""
    values = {"model": str(model), "tokenizer": str(corpus.tokenizer), "output": str(output), **changes}
    return write_json(output.with_suffix(".json"), values)


def evaluate_config(corpus: TinyCorpus, model: Path, folder: Path, **changes: Any) -> Path:
    """Writes an evaluation config in `folder`."""
    values = {
        "model": str(model),
        "result": str(folder / "result.json"),
        "tokens": str(corpus.tokens),
        "cache": str(corpus.root / "cache"),
        "questions": str(corpus.root / "questions.jsonl"),
        "tokenizer": str(corpus.tokenizer),
        "replies": str(folder / "replies.jsonl"),
        "max_new_tokens": 12,
        "batch": 5,
        **changes,
    }
    return write_json(folder / "evaluate.json", values)


def run_module(*arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
    """Runs `python -m` with the arguments and `text` as input."""
    command = [sys.executable, "-m", *arguments]
    return subprocess.run(command, cwd=ROOT, input=text, capture_output=True, text=True, timeout=120)


def test_transformers_loads_the_export_and_gives_the_same_answers(trained: Path) -> None:
    transformers = pytest.importorskip("transformers")
    tokenizer = transformers.AutoTokenizer.from_pretrained(trained / "export")
    model = transformers.AutoModelForCausalLM.from_pretrained(trained / "export", dtype=torch.float32)
    assert type(model).__name__ == "Qwen3ForCausalLM"
    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": QUESTION}], add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    theirs = model.generate(**prompt, max_new_tokens=12)[0, prompt["input_ids"].shape[1] :].tolist()
    ours = load_export(trained / "export", torch.float32)
    with torch.no_grad():
        ids = prompt["input_ids"]
        torch.testing.assert_close(ours(ids), model(ids).logits, atol=1e-4, rtol=0)
    stop = tokenizer.convert_tokens_to_ids("<|im_end|>")
    reply = continued(engine_of(ours), prompt["input_ids"].tolist(), 12, {stop})[0]
    assert theirs == [*reply, stop]
    assert tokenizer.decode(reply).startswith("Karam sells ")


def test_the_export_reports_its_proof(trained: Path) -> None:
    report = json.loads((trained / "export" / REPORT).read_text())
    assert report["own_max_difference"] == 0.0
    assert report["transformers_max_difference"] is None or report["transformers_max_difference"] < 1e-4
    assert report["parameters"] == sum(p.numel() for p in load_trained(trained / "chat", torch.float32).parameters())
    names = {path.name for path in (trained / "export").iterdir()}
    assert {"model.safetensors", "config.json", "generation_config.json", "tokenizer.json"} <= names
    assert not any(name.endswith((".bin", ".pt", ".pkl")) for name in names)


def test_a_bfloat16_export_is_read_back_as_rounded(corpus: TinyCorpus, trained: Path, tmp_path: Path) -> None:
    config = export_config(corpus, trained / "chat", tmp_path / "small", precision="bfloat16", compare=False)
    assert export(config) == 0
    sizes = [(folder / "model.safetensors").stat().st_size for folder in (tmp_path / "small", trained / "export")]
    assert sizes[0] < 0.6 * sizes[1]
    exact, rounded = (load_export(folder, torch.float32) for folder in (trained / "export", tmp_path / "small"))
    for one, other in zip(exact.parameters(), rounded.parameters(), strict=True):
        assert torch.equal(one.bfloat16().float(), other)


@pytest.mark.parametrize(
    "changes",
    [
        {"layers": 4, "sliding_window": 6},
        {"rope_scaling": "yarn", "rope_factor": 2.0, "kv_heads": 1, "tied_embeddings": False},
        {"rope_scaling": "linear", "rope_factor": 2.0, "kv_heads": 4},
        {"head_norms": False, "tied_embeddings": True},
        {"head_norms": False, "attention_bias": "qkv"},
    ],
    ids=["windows", "yarn, one key head, untied", "linear, every head its own keys", "a Llama", "a Qwen2"],
)
def test_every_shape_is_exported_with_equal_logits(corpus: TinyCorpus, tmp_path: Path, changes: dict[str, Any]) -> None:
    pytest.importorskip("transformers")
    config = corpus.pretrain_config(tmp_path / "base", 8)
    values = json.loads(config.read_text())
    assert pretrain(write_json(config, {**values, "shape": values["shape"] | changes})) == 0
    assert export(export_config(corpus, tmp_path / "base", tmp_path / "export")) == 0
    report = json.loads((tmp_path / "export" / REPORT).read_text())
    assert report["own_max_difference"] == 0.0 and report["transformers_max_difference"] < 1e-4
    ours = load_export(tmp_path / "export", torch.float32)
    theirs = load_trained(tmp_path / "base", torch.float32)
    assert ours.shape.windows == theirs.shape.windows
    prompt = [5, 9, 14, 3, 8, 30, 11, 4, 17, 6]
    full = list(prompt)
    with torch.no_grad():
        for _ in range(8):
            full.append(int(ours(torch.tensor([full]))[0, -1].argmax()))
    assert continued(engine_of(ours), [prompt], 8)[0] == full[len(prompt) :]


def test_evaluation_is_the_same_twice_and_beats_the_unigram_model(
    corpus: TinyCorpus, trained: Path, tmp_path: Path
) -> None:
    assert evaluate(evaluate_config(corpus, trained / "base", tmp_path, questions=None)) == 0
    base = json.loads((tmp_path / "result.json").read_text())
    assert base["validation"]["documents"] == 10 and base["questions"] is None
    assert 0 < base["validation"]["bits_per_byte"] < 0.5 * base["validation"]["unigram_bits_per_byte"]
    results = []
    for folder in ("chat", "export"):
        assert evaluate(evaluate_config(corpus, trained / folder, tmp_path)) == 0
        results.append(((tmp_path / "result.json").read_bytes(), (tmp_path / "replies.jsonl").read_bytes()))
    assert results[0] == results[1]
    groups = json.loads(results[0][0])["questions"]
    assert {name: group["n"] for name, group in groups.items()} == {"held_out": 6, "seen": 6}
    replies = [json.loads(line) for line in results[0][1].decode().splitlines()]
    assert [reply["id"] for reply in replies] == [f"q{number}" for number in range(12)]
    right = sum(reply["right"] for reply in replies)
    assert right == sum(group["right"] for group in groups.values()) and right >= 9, replies


def test_without_held_out_documents_only_questions_are_evaluated(
    corpus: TinyCorpus, trained: Path, tmp_path: Path
) -> None:
    write_tokens(tmp_path / "tokens", [[{"id": "a", "tokens": [0, 5, 0], "n_bytes": 2, "split": "train"}]])
    assert evaluate(evaluate_config(corpus, trained / "chat", tmp_path, tokens=str(tmp_path / "tokens"))) == 0
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["validation"] is None and result["questions"]["seen"]["n"] == 6


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="this system has no /dev/full")
def test_a_full_disk_is_named_with_the_file(corpus: TinyCorpus, trained: Path, tmp_path: Path) -> None:
    (tmp_path / "full.json.tmp").symlink_to("/dev/full")  # what the result is until it is whole
    config = evaluate_config(corpus, trained / "chat", tmp_path, result=str(tmp_path / "full.json"), questions=None)
    done = run_module("model.evaluate", str(config))
    assert done.returncode == 2, done
    message = f"cannot write {tmp_path / 'full.json'}: No space left on device; the last good checkpoint is intact"
    assert message in done.stderr
    assert message in json.loads(outcome_path(config).read_text())["message"]


def test_a_new_export_replaces_the_old_one_whole(corpus: TinyCorpus, trained: Path, tmp_path: Path) -> None:
    output = tmp_path / "export"
    for leftover in (output, tmp_path / "export.old", tmp_path / "export.tmp"):
        leftover.mkdir()
        (leftover / "stale.bin").write_bytes(b"old")
    config = export_config(corpus, trained / "chat", output, identity="run 7", compare=False)
    assert export(config) == 0
    assert json.loads((output / REPORT).read_text())["identity"] == "run 7"
    assert not (output / "stale.bin").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["export", "export.json"]
    before = (output / REPORT).read_bytes()
    with pytest.raises(BadInput, match="there is no tokenizer"):
        export(export_config(corpus, trained / "chat", output, tokenizer=str(tmp_path / "none.json")))
    assert (output / REPORT).read_bytes() == before, "a failed export leaves the old one"


def _disturbed(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: weight * 1.01 for name, weight in weights.items()}


def test_an_export_that_gives_other_logits_is_not_kept(
    corpus: TinyCorpus, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("model.export.exported_weights", lambda *arguments: _disturbed(exported_weights(*arguments)))
    with pytest.raises(BadInput, match=r"its logits in our own code differ by .* is allowed"):
        export(export_config(corpus, trained / "chat", tmp_path / "export", compare=False))
    assert not (tmp_path / "export").exists()


def test_evaluation_refuses_what_does_not_fit(corpus: TinyCorpus, trained: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="tokenizer is needed with questions"):
        evaluate(evaluate_config(corpus, trained / "chat", tmp_path, tokenizer=None))
    questions = tmp_path / "long.jsonl"
    questions.write_text(json.dumps({"id": "q", "question": "why " * 40, "answer": "a", "group": "g"}))
    with pytest.raises(BadInput, match=r"question q has .* tokens and fills the context"):
        evaluate(evaluate_config(corpus, trained / "chat", tmp_path, questions=str(questions)))


def test_chat_answers_and_converses(trained: Path) -> None:
    export_folder = str(trained / "export")
    single = run_module("model.chat", "--model", export_folder, "--message", QUESTION, "--max-new-tokens", "12")
    assert single.returncode == 0 and single.stdout.startswith("Karam sells "), single
    lines = f"{QUESTION}\n\n{QUESTION}\n"
    conversation = run_module("model.chat", "--model", export_folder, "--max-new-tokens", "12", text=lines)
    assert conversation.stdout == single.stdout * 2, "an empty line forgets the conversation"


def test_generate_continues_a_text(trained: Path) -> None:
    options = ("--temperature", "0.7", "--top-k", "5", "--top-p", "0.9", "--max-new-tokens", "5", "--seed", "4")
    once, again = (
        run_module("model.generate", "--model", str(trained / "export"), "--prompt", "Karam sells", *options)
        for _ in range(2)
    )
    assert once.returncode == 0 and once.stdout == again.stdout
    assert once.stdout.startswith("Karam sells") and len(once.stdout) > len("Karam sells\n")


def test_texts_that_begin_with_a_dash_are_accepted(trained: Path) -> None:
    options = ("--model", str(trained / "export"), "--max-new-tokens", "2")
    for module, option in (("model.chat", "--message=-x --y"), ("model.generate", "--prompt=--x -y")):
        done = run_module(module, *options, option)
        assert done.returncode == 0, done
    assert done.stdout.startswith("--x -y")


def test_text_in_another_encoding_is_read_as_well_as_it_can_be(trained: Path) -> None:
    """A terminal that sends Latin-1, or half of a surrogate pair on the command line, is no reason to crash."""
    model, latin = ["--model", str(trained / "export"), "--max-new-tokens", "2"], "caf\u00e9?".encode("latin-1")
    said: list[tuple[list[str | bytes], bytes]] = [
        (["model.chat", "--message", latin], b""),
        (["model.chat"], latin + b"\n"),
        (["model.generate", "--prompt", latin], b""),
    ]
    for arguments, text in said:
        command = [sys.executable, "-m", *arguments, *model]
        done = subprocess.run(command, cwd=ROOT, input=text, capture_output=True, timeout=120)
        assert done.returncode == 0, done.stderr.decode()
    assert done.stdout.decode().startswith("caf\N{REPLACEMENT CHARACTER}?")


def test_damaged_exports_and_wrong_options_exit_with_2(trained: Path, tmp_path: Path) -> None:
    missing = run_module("model.chat", "--model", str(tmp_path / "none"), "--message", "?")
    assert (missing.returncode, "there is no folder" in missing.stderr) == (2, True)
    for name in ("config.json", "tokenizer.json"):
        (tmp_path / name).write_bytes((trained / "export" / name).read_bytes())
    (tmp_path / "model.safetensors").write_bytes((trained / "export" / "model.safetensors").read_bytes()[:-9])
    with pytest.raises(BadInput, match="cannot be read"):
        load_export(tmp_path, torch.float32)
    config = json.loads((tmp_path / "config.json").read_text())
    write_json(tmp_path / "config.json", {**config, "model_type": "gpt2"})
    (tmp_path / "model.safetensors").write_bytes((trained / "export" / "model.safetensors").read_bytes())
    with pytest.raises(BadInput, match="only qwen3, qwen2, llama, mistral can be read"):
        load_export(tmp_path, torch.float32)
    write_json(tmp_path / "config.json", {**config, "num_hidden_layers": 3})
    with pytest.raises(BadInput, match="do not fit its config"):
        load_export(tmp_path, torch.float32)
