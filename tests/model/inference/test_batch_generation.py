"""Many texts from one file into another: resumed where it was killed, and not stopped by a bad line."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from model.generate import generate_text
from tests.model.parrot import parrot_export
from tests.model.tiny_corpus import TinyCorpus

Generate = Callable[[Path, Path], tuple[int, str]]


@pytest.fixture(scope="module")
def folder(corpus: TinyCorpus, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that answers a conversation with "Yes."."""
    return parrot_export(tmp_path_factory.mktemp("batch") / "export", corpus.tokenizer, "Yes.")


@pytest.fixture
def generate(folder: Path, capfd: pytest.CaptureFixture[str]) -> Generate:
    """Generates a batch of four tokens a line; gives the exit code and what was told."""

    def run(source: Path, output: Path) -> tuple[int, str]:
        options = ["--batch", str(source), "--output", str(output), "--max-new-tokens=4", "--slots=2"]
        return generate_text(["--model", str(folder), *options]), capfd.readouterr().err

    return run


def answers(output: Path) -> dict[int, dict[str, Any]]:
    """The answers by their input line."""
    found = [json.loads(line) for line in output.read_text().splitlines()]
    assert len({answer["line"] for answer in found}) == len(found)
    return {answer["line"]: answer for answer in found}


def test_bad_lines_are_told_and_the_others_done_and_nothing_is_done_twice(generate: Generate, tmp_path: Path) -> None:
    talk = {"messages": [{"role": "user", "content": "hi"}], "id": "mine", "max_new_tokens": 9}
    lines = [
        json.dumps(talk),
        "",
        "not JSON",
        json.dumps({"prompt": "Karam", "temperature": 0.5, "seed": 4}),
        json.dumps({"prompt": 5}),
        json.dumps({"prompt": "x", "temprature": 1}),
        json.dumps({"prompt": "x", "top_p": 7}),
        json.dumps({"prompt": "x", "num_beams": 3}),
        json.dumps({"prompt": "wordy " * 50}),
        json.dumps({"messages": [{"role": "king", "content": "x"}]}),
        json.dumps({"prompt": "Bovosk", "id": 7, "num_beams": 2}),
    ]
    source, output = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text("\n".join(lines))
    code, told = generate(source, output)
    assert code == 2 and "3 texts generated, 7 bad lines" in told
    reasons = {3: "not JSON", 5: "a string", 6: "'temperature'", 7: "top_p", 8: "3 beams", 9: "context is 64"}
    for number, words in reasons.items():
        assert any(f"line {number}: " in line and words in line for line in told.splitlines()), told
    first = answers(output)
    assert first.keys() == {1, 4, 11} and first[1]["text"] == "Yes." and first[1]["finish_reason"] == "stop"
    assert first[1]["id"] == "mine" and first[11]["id"] == 7 and "id" not in first[4] and first[4]["tokens"] == 4

    whole = output.read_bytes()
    output.write_bytes(whole[: whole.index(b"\n") + 20])  # killed while it wrote the second answer
    source.write_text(source.read_text().replace("Bovosk", "Bovosk sells"))
    assert "2 texts generated, 1 were there before, 7 bad lines" in generate(source, output)[1]
    assert answers(output).keys() == {1, 4, 11} and answers(output)[4] == first[4]


def test_what_is_no_batch_is_left_alone(generate: Generate, tmp_path: Path) -> None:
    source, output = tmp_path / "in.jsonl", tmp_path / "notes.txt"
    source.write_text('{"prompt": "x"}\n')
    output.write_text("my notes\n")
    code, told = generate(source, output)
    assert code == 2 and "holds something else than answers" in told
    assert output.read_text() == "my notes\n"
    code, told = generate(tmp_path / "none.jsonl", tmp_path / "out.jsonl")
    assert code == 2 and "No such file" in told


def test_a_prompt_from_a_file_and_from_standard_input(
    folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "prompt").write_text("Karam sells")
    texts = []
    for given in ("--prompt=Karam sells", f"--file={tmp_path / 'prompt'}", "--file=-"):
        with (tmp_path / "prompt").open() as typed:
            monkeypatch.setattr(sys, "stdin", typed)
            assert generate_text(["--model", str(folder), "--max-new-tokens=3", "--num-beams=2", given]) == 0
        texts.append(capfd.readouterr().out)
    assert texts[0].startswith("Karam sells") and len(set(texts)) == 1
