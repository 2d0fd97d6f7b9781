"""The models that one was made from are asked what it is asked, each as if it were evaluated alone."""

import json
from pathlib import Path

from model.evaluate import evaluate
from model.pretrain import pretrain
from tests.model.tiny_corpus import TinyCorpus, write_json

QUESTIONS = [{"id": "a", "question": "Where?", "answer": "Kinno", "group": "held_out"}]


def test_each_stage_has_what_its_model_has_alone(corpus: TinyCorpus, tmp_path: Path) -> None:
    models = {name: tmp_path / name for name in ("pretrain", "sft", "rl")}
    for steps, folder in enumerate(models.values(), start=1):
        assert pretrain(corpus.pretrain_config(folder, steps)) == 0
    questions = tmp_path / "questions.jsonl"
    questions.write_text(json.dumps(QUESTIONS[0]) + "\n")
    asked = {"questions": str(questions), "tasks": ["arithmetic"], "task_items": 2, "max_new_tokens": 4}
    asked |= {"tokens": str(corpus.tokens), "cache": str(tmp_path / "cache"), "tokenizer": str(corpus.tokenizer)}

    def result(name: str, **more: object) -> dict[str, object]:
        own = {
            "model": str(models[name]),
            "result": str(tmp_path / "result.json"),
            "replies": str(tmp_path / f"{name}.jsonl"),
        }
        assert evaluate(write_json(tmp_path / "evaluate.json", asked | own | more)) == 0
        read: dict[str, object] = json.loads((tmp_path / "result.json").read_text())
        return read

    alone = {name: result(name) for name in models}
    earlier = [{"stage": name, "model": str(models[name])} for name in ("pretrain", "sft")]
    together = result("rl", earlier=earlier, compare_stages=True)
    same = ("validation", "questions", "tasks")
    assert together["earlier"] == [
        {"stage": one} | {name: alone[one][name] for name in same} for one in ("pretrain", "sft")
    ]
    assert {name: together[name] for name in same} == {name: alone["rl"][name] for name in same}
    assert (tmp_path / "rl-sft.jsonl").read_bytes() == (tmp_path / "sft.jsonl").read_bytes()
    assert result("rl", earlier=earlier)["earlier"] is None, "only where stages are compared"
