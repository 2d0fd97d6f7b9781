"""The export as its users run it: with transformers' generation, pipelines and templates, and lm-evaluation-harness."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch

from model.data.chat_format import Message
from model.evaluate import evaluate
from model.export import export
from model.inference.engine import EngineLimits
from model.inference.requests import SamplingOptions
from model.inference.text_model import load_text_model
from model.pretrain import pretrain
from model.sft import finetune
from tests.environments import environment_with
from tests.model.test_export import evaluate_config, export_config
from tests.model.tiny_corpus import CONTEXT, TinyCorpus, write_json, write_tokens
from tests.model.tool_tokenizer import tool_tokenizer

transformers = pytest.importorskip("transformers")

QUESTIONS = ["What sells Karam?", "Karam?", "Who sells Linel wool?", "Hi"]
NEW = 12


@pytest.fixture(scope="module")
def exported(corpus: TinyCorpus, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The export of a chat model that knows the tiny corpus's towns by heart."""
    root = tmp_path_factory.mktemp("users")
    assert pretrain(corpus.pretrain_config(root / "base", 60)) == 0
    assert finetune(corpus.sft_config(root / "chat", root / "base", 150)) == 0
    assert export(export_config(corpus, root / "chat", root / "export")) == 0
    return root / "export"


@pytest.fixture(scope="module")
def tokenizer(exported: Path) -> Any:
    """Its tokenizer, as transformers loads it."""
    return transformers.AutoTokenizer.from_pretrained(exported)


@pytest.fixture(scope="module")
def model(exported: Path) -> Any:
    """The model, as transformers loads it."""
    return transformers.AutoModelForCausalLM.from_pretrained(exported, dtype=torch.float32).eval()


def asked(question: str) -> list[dict[str, str]]:
    """A conversation of one question."""
    return [{"role": "user", "content": question}]


def own_reply(exported: Path, question: str) -> str:
    """What our own program answers."""
    model = load_text_model(exported, EngineLimits(slots=1))
    said = model.reply([Message("user", question)], SamplingOptions(max_new_tokens=NEW))
    return "".join(said)


def test_a_batch_of_prompts_gets_the_replies_that_each_gets_alone(exported: Path, tokenizer: Any, model: Any) -> None:
    prompts = [
        tokenizer.apply_chat_template(asked(question), add_generation_prompt=True, tokenize=False)
        for question in QUESTIONS
    ]

    def replies(batch: list[str]) -> list[str]:
        inputs = tokenizer(batch, padding=True, return_tensors="pt")
        made = model.generate(
            input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"], max_new_tokens=NEW
        )
        return list(tokenizer.batch_decode(made[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True))

    together = replies(prompts)
    assert together == [replies([prompt])[0] for prompt in prompts]
    assert together == [own_reply(exported, question) for question in QUESTIONS]
    assert together[0].startswith("Karam sells ")


def test_a_pipeline_answers_a_batch_of_conversations(exported: Path, tokenizer: Any, model: Any) -> None:
    pipeline = transformers.pipeline("text-generation", model=model, tokenizer=tokenizer)
    conversations = [asked(question) for question in QUESTIONS]
    done = pipeline(conversations, max_new_tokens=NEW, batch_size=len(QUESTIONS))
    assert [entry[0]["generated_text"][-1]["content"] for entry in done] == [
        own_reply(exported, question) for question in QUESTIONS
    ]
    assert done[0][0]["generated_text"][0] == asked(QUESTIONS[0])[0]


def test_a_document_begins_with_the_boundary_and_a_prompt_does_not(tokenizer: Any, model: Any) -> None:
    assert (tokenizer.bos_token, tokenizer.pad_token, tokenizer.eos_token) == (
        *("<|endoftext|>", "<|endoftext|>", "<|im_end|>"),
    )
    assert tokenizer.bos_token_id == model.config.bos_token_id == model.generation_config.bos_token_id == 0
    assert tokenizer.padding_side == "left"
    assert tokenizer("Karam")["input_ids"][0] != 0, "a chat's prompt is text, and begins with a turn"
    assert tokenizer.apply_chat_template(asked("Hi"), return_dict=True)["input_ids"][0] == 1


def test_pipelines_show_the_calls_that_a_model_makes(exported: Path, corpus: TinyCorpus, tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text(tool_tokenizer(corpus).to_str())
    config = {"model": str(exported), "tokenizer": str(tmp_path / "tokenizer.json"), "output": str(tmp_path / "tools")}
    assert export(write_json(tmp_path / "export.json", {**config, "compare": False})) == 0
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "tools")
    tool = {"type": "function", "function": {"name": "price", "parameters": {"type": "object"}}}
    call = {"type": "function", "function": {"name": "price", "arguments": {"good": "salt"}}}
    turns = [*asked("Costs?"), {"role": "assistant", "content": None, "tool_calls": [call]}]
    ids = tokenizer.apply_chat_template(turns, tools=[tool], return_dict=True)["input_ids"]
    marker = tokenizer.convert_tokens_to_ids("<tool_call>")
    assert ids.count(marker) == 1 and marker not in tokenizer.all_special_ids
    said = tokenizer.decode(ids[ids.index(marker) :], skip_special_tokens=True)
    assert said == '<tool_call>\n{"name": "price", "arguments": {"good": "salt"}}\n</tool_call>\n'


TASK = """
task: held_out
dataset_path: json
dataset_kwargs: {data_files: {test: FILE}}
test_split: test
output_type: loglikelihood_rolling
doc_to_text: ""
doc_to_target: "{{text}}"
metric_list: [{metric: bits_per_byte, aggregation: bits_per_byte, higher_is_better: false}]
"""
HARNESS = """
import json, sys
from lm_eval import simple_evaluate
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager
model = HFLM(pretrained=sys.argv[1], dtype="float32", device="cpu", batch_size=4)
tasks = TaskManager(include_path=sys.argv[2], include_defaults=False)
found = simple_evaluate(model=model, tasks=["held_out"], task_manager=tasks, bootstrap_iters=0)
print(json.dumps(found["results"]["held_out"]["bits_per_byte,none"]))
"""


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_the_harness_measures_our_own_bits_per_byte(
    corpus: TinyCorpus, exported: Path, tokenizer: Any, tmp_path: Path
) -> None:
    python = environment_with("harness", ["lm_eval==0.4.13"], with_ours=True)
    # Longer documents are read in windows, which the harness lays elsewhere.
    rows = [row for row in pq.read_table(corpus.tokens).to_pylist() if len(row["tokens"]) <= CONTEXT]
    write_tokens(tmp_path / "tokens", [rows])
    cut = {"tokens": str(tmp_path / "tokens"), "cache": str(tmp_path / "cache"), "questions": None}
    assert evaluate(evaluate_config(corpus, exported, tmp_path, **cut)) == 0
    ours = json.loads((tmp_path / "result.json").read_text())["validation"]
    held_out = [tokenizer.decode(row["tokens"][1:-1]) for row in rows if row["split"] == "validation"]
    assert ours["documents"] == len(held_out) > 5
    lines = [json.dumps({"text": text}) for text in held_out]
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "held_out.jsonl").write_text("\n".join(lines))
    (tmp_path / "tasks" / "held_out.yaml").write_text(TASK.replace("FILE", str(tmp_path / "tasks" / "held_out.jsonl")))
    command = [str(python), "-c", HARNESS, str(exported), str(tmp_path / "tasks")]
    offline = {
        "HF_HUB_OFFLINE": "1",
        "HF_DATASETS_OFFLINE": "1",
        "HF_HOME": str(tmp_path / "hf"),
        "CUDA_VISIBLE_DEVICES": "",
    }
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, env=os.environ | offline)
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads(done.stdout.splitlines()[-1]) == pytest.approx(ours["bits_per_byte"], rel=1e-4)
