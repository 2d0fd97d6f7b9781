"""Evaluation tasks: what is read, what is asked, and how it is scored, on our own model and on one of transformers."""

import json
import math
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from sacrebleu import corpus_bleu, corpus_chrf

from model.base.errors import BadInput
from model.evaluate import evaluate
from model.evaluation.tasks.prompts import questions
from model.evaluation.tasks.scoring import ItemScore, compared, measured, text_score
from model.evaluation.tasks.task import MetricSpec, TaskSpec, load_task, shipped_tasks, task_path
from model.export import export
from model.pretrain import pretrain
from tests.model.evaluation.asked_models import evaluation, shared_tasks, towns, transformers_model, write_task
from tests.model.test_export import export_config
from tests.model.tiny_corpus import TinyCorpus

transformers = pytest.importorskip("transformers")


@pytest.fixture(scope="module")
def exported(corpus: TinyCorpus, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The export of a model that knows what many of the corpus's towns sell."""
    root = tmp_path_factory.mktemp("asked")
    assert pretrain(corpus.pretrain_config(root / "base", 60)) == 0
    assert export(export_config(corpus, root / "base", root / "export")) == 0
    return root / "export"


@pytest.fixture(scope="module", params=["our export", "a GPT-2"])
def model(
    request: pytest.FixtureRequest, corpus: TinyCorpus, exported: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    return exported if request.param == "our export" else transformers_model(corpus, tmp_path_factory.mktemp("gpt2"))


def results(folder: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((folder / "result.json").read_text())["tasks"]
    return found


def test_zero_one_and_few_shot_on_any_model(corpus: TinyCorpus, model: Path, tmp_path: Path) -> None:
    tasks = shared_tasks(corpus, tmp_path / "tasks")
    assert evaluate(evaluation(tmp_path, model, tasks, shots=[0, 1, 2])) == 0
    found = results(tmp_path)
    assert [(one["task"], one["shots"]) for one in found] == [
        (task, shots) for task in ("town_choice", "town_reply", "town_likelihood") for shots in (0, 1, 2)
    ]
    for metric in (metric for one in found for metric in one["metrics"]):
        assert metric["low"] <= metric["value"] <= metric["high"]
    rows = pq.read_table(tmp_path / "items.parquet").to_pylist()
    assert len(rows) == 9 * 12
    one_shot = next(row for row in rows if (row["task"], row["shots"], row["item"]) == ("town_choice", 1, 4))
    example, asked = one_shot["prompt"].split(". ")
    fact = towns(corpus)[4]
    assert asked == f"{fact['town']} sells" and fact["town"] not in example and example.split(" sells ")[1]
    assert one_shot["targets"] == [fact["good"]] and len(one_shot["log_likelihoods"]) > 2
    assert set(dict(one_shot["scores"])) == {"acc", "acc_norm", "acc_bytes"}


def test_likelihoods_are_the_models_own(corpus: TinyCorpus, model: Path, tmp_path: Path) -> None:
    (*_, task) = shared_tasks(corpus, tmp_path / "tasks")
    assert evaluate(evaluation(tmp_path, model, [task], batch=4)) == 0
    tokenizer = transformers.AutoTokenizer.from_pretrained(model)
    theirs = transformers.AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    for row in pq.read_table(tmp_path / "items.parquet").to_pylist():
        head = [0, *tokenizer(row["prompt"], add_special_tokens=False)["input_ids"]]
        whole = torch.tensor(
            [[0, *tokenizer(row["prompt"] + row["targets"][0], add_special_tokens=False)["input_ids"]]]
        )
        with torch.no_grad():
            known = theirs(whole).logits[0].log_softmax(-1)
        expected = sum(float(known[at - 1, whole[0, at]]) for at in range(len(head), whole.shape[1]))
        assert row["log_likelihoods"][0] == pytest.approx(expected, abs=1e-3)


def test_a_trained_model_knows_more_than_chance(corpus: TinyCorpus, exported: Path, tmp_path: Path) -> None:
    tasks = shared_tasks(corpus, tmp_path / "tasks")
    assert evaluate(evaluation(tmp_path, exported, tasks)) == 0
    by_task = {
        one["task"]: {metric["metric"]: metric["value"] for metric in one["metrics"]} for one in results(tmp_path)
    }
    assert by_task["town_choice"]["acc"] > 0.4, "of six goods"
    assert by_task["town_reply"]["exact_match"] > 0.3
    assert by_task["town_choice"]["bits_per_byte"] < 3


def test_the_shipped_tasks_can_be_asked(corpus: TinyCorpus, exported: Path, tmp_path: Path) -> None:
    assert {"arithmetic", "completion", "translation_german", "question_answering"} <= set(shipped_tasks())
    for name in shipped_tasks():
        task = load_task(task_path(name))
        asked = list(questions(task, 2))
        assert len(asked) == len(task.items) and all(question.context for question in asked)
    assert evaluate(evaluation(tmp_path, exported, shipped_tasks(), shots=[0], task_items=3)) == 0
    assert [one["items"] for one in results(tmp_path)] == [3] * len(shipped_tasks())
    assert [sample["said"] for one in results(tmp_path) if one["task"] == "writing" for sample in one["samples"]]


def test_translations_have_sacrebleus_scores() -> None:
    said = ["Das Haus ist rot.", "Ich gehe heute in die Stadt", "Guten Tag"]
    right = [
        ["Das Haus ist rot."],
        ["Ich gehe morgen in die Stadt.", "Heute gehe ich in die Stadt."],
        ["Guten Morgen."],
    ]
    items = [ItemScore(text, {}) for text in said]
    padded = [["Das Haus ist rot.", "Ich gehe morgen in die Stadt.", "Guten Morgen."], [None, right[1][1], None]]
    expected = {"bleu": corpus_bleu(said, padded), "chrf": corpus_chrf(said, padded)}
    expected["chrf++"] = corpus_chrf(said, padded, word_order=2)
    for name, score in expected.items():
        found = measured(MetricSpec(metric=name), items, said, right)
        assert found.value == score.score and found.low <= found.value <= found.high


@pytest.mark.parametrize(
    ("metric", "said", "right", "score"),
    [
        ({"metric": "exact_match"}, "Paris", "Paris", 1),
        ({"metric": "exact_match"}, "paris.", "Paris", 0),
        ({"metric": "exact_match", "ignore_case": True, "ignore_punctuation": True}, "paris.", "Paris", 1),
        ({"metric": "exact_match", "regexes_to_ignore": (r"^\s+",)}, "  Paris", "Paris", 1),
        ({"metric": "numeric_match"}, "3 and 4 make 7.0", "7", 1),
        ({"metric": "numeric_match"}, "7 or rather 8", "7", 0),
        ({"metric": "numeric_match"}, "1,234", "1234", 1),
        ({"metric": "numeric_match"}, "1e999999999", "7", 0),
        ({"metric": "contains"}, "It lies on the Kinno, I think.", "the Kinno", 1),
    ],
)
def test_matches(metric: dict[str, Any], said: str, right: str, score: int) -> None:
    assert text_score(MetricSpec(**metric), said, [right]) == score


def test_a_filter_takes_the_answer_out_of_a_reply() -> None:
    steps = ({"filter": [{"function": "regex", "regex_pattern": r"#### (\d+)"}, {"function": "take_first"}]},)
    spec = TaskSpec(task="sums", filter_list=steps)
    assert compared(spec, "2 and 2 are 4 #### 4") == "4"
    assert compared(spec, "no idea") == "[invalid]"


def test_a_long_context_loses_its_beginning(corpus: TinyCorpus, exported: Path, tmp_path: Path) -> None:
    items = [{"text": "Karam sells salt. " * 30, "word": "salt"}]
    task = write_task(tmp_path, "long", items, output_type="loglikelihood", doc_to_text="{{text}}Karam sells",
                      doc_to_target=" {{word}}.")  # fmt: skip
    reply = write_task(tmp_path, "reply", items, doc_to_text="{{text}}Karam sells", doc_to_target="word",
                       generation_kwargs={"until": ["."], "max_gen_toks": 4})  # fmt: skip
    assert evaluate(evaluation(tmp_path, exported, [task, reply])) == 0
    first, second = results(tmp_path)
    assert math.isfinite(first["metrics"][1]["value"]) and second["samples"][0]["said"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"doc_to_text": "{{ town.__class__.__mro__ }}"}, "unsafe"),
        ({"doc_to_text": "{{ 'x' * 1000000000 }}"}, r"cannot use \*"),
        ({"doc_to_text": "{% for a in range(99999) %}{{ town }} and so on{% endfor %}"}, "characters"),
        ({"doc_to_text": "{{ village }}"}, "item 1: 'village' is undefined"),
        ({"doc_to_txt": "town"}, "did you mean 'doc_to_text'"),
        ({"metric_list": [{"metric": "exact_mach"}]}, "did you mean 'exact_match'"),
        ({"metric_list": [{"metric": "acc"}]}, "generate_until"),
        ({"output_type": "multiple_choice", "doc_to_choice": "['a', 'b']"}, "not among the choices"),
        ({"dataset_path": "allenai/ai2_arc"}, "must be json"),
        ({"num_fewshot": 40}, "40 are asked for"),
    ],
)
def test_a_wrong_task_is_refused_with_its_place(
    change: dict[str, Any], words: str, corpus: TinyCorpus, tmp_path: Path
) -> None:
    fields = {"doc_to_text": "{{town}} sells", "doc_to_target": "good"} | change
    path = Path(write_task(tmp_path, "wrong", towns(corpus), **fields))
    with pytest.raises(BadInput, match=words) as refused:
        task = load_task(path)
        list(questions(task, task.spec.num_fewshot))
    assert "wrong" in str(refused.value)


def test_a_task_with_code_is_refused(tmp_path: Path) -> None:
    (tmp_path / "code.yaml").write_text("task: code\ndoc_to_text: !function utils.text\n")
    with pytest.raises(BadInput, match="without code"):
        load_task(tmp_path / "code.yaml")
    with pytest.raises(BadInput, match="did you mean 'arithmetic'"):
        task_path("arithmetics")


def test_contaminated_items_are_marked_and_left_out(corpus: TinyCorpus, exported: Path, tmp_path: Path) -> None:
    task = shared_tasks(corpus, tmp_path / "tasks")[0]
    (tmp_path / "found.json").write_text(json.dumps({"town_choice/2": ["https://a.example"], "other/1": []}))
    assert evaluate(evaluation(tmp_path, exported, [task], contaminated=str(tmp_path / "found.json"))) == 0
    (result,) = results(tmp_path)
    rows = pq.read_table(tmp_path / "items.parquet").to_pylist()
    assert [row["item"] for row in rows if row["contaminated"]] == [2] and result["contaminated"] == 1
    right = [dict(row["scores"])["acc"] for row in rows if not row["contaminated"]]
    assert result["clean_metrics"][0]["value"] == pytest.approx(sum(right) / 11)


def test_held_out_documents_are_scored_by_domain_and_language(
    corpus: TinyCorpus, exported: Path, tmp_path: Path
) -> None:
    given = {"tokens": str(corpus.tokens), "cache": str(tmp_path / "cache"), "tokenizer": str(corpus.tokenizer)}
    assert evaluate(evaluation(tmp_path, exported, [], **given)) == 0
    plain = json.loads((tmp_path / "result.json").read_text())["validation"]
    languages = ["en", "de", *["en"] * (plain["documents"] - 2)]
    groups = pa.table({"domain": [None, *["a.example"] * (plain["documents"] - 1)], "language": languages})
    pq.write_table(groups, tmp_path / "groups.parquet")
    assert evaluate(evaluation(tmp_path, exported, [], groups=str(tmp_path / "groups.parquet"), **given)) == 0
    grouped = json.loads((tmp_path / "result.json").read_text())["validation"]
    assert grouped["bits_per_byte"] == pytest.approx(plain["bits_per_byte"], rel=1e-5)
    found = [(group["kind"], group["name"], group["documents"]) for group in grouped["groups"]]
    others = plain["documents"] - 1
    assert found == [("domain", "a.example", others), ("domain", "unknown", 1), ("language", "en", others),
                     ("language", "de", 1)]  # fmt: skip
    nats = sum(one["bits_per_byte"] * one["text_bytes"] for one in grouped["groups"] if one["kind"] == "language")
    assert nats / grouped["text_bytes"] == pytest.approx(grouped["bits_per_byte"], rel=1e-6)
