"""Models for evaluation tasks to ask, and small tasks for them."""

import json
import random
from pathlib import Path
from typing import Any

import yaml

from tests.model.tiny_corpus import SPECIAL_TOKENS, TinyCorpus, write_json


def transformers_model(corpus: TinyCorpus, folder: Path) -> Path:
    """A GPT-2 of random weights and its tokenizer, as transformers saves them."""
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

    torch.manual_seed(5)
    sizes = {"n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 96, "vocab_size": 384}
    GPT2LMHeadModel(GPT2Config(**sizes, bos_token_id=0, eos_token_id=0)).save_pretrained(folder)
    end = SPECIAL_TOKENS[0]
    PreTrainedTokenizerFast(tokenizer_file=str(corpus.tokenizer), bos_token=end, eos_token=end).save_pretrained(folder)
    return folder


def towns(corpus: TinyCorpus) -> list[dict[str, str]]:
    """The corpus's facts: which town sells what."""
    chat = [json.loads(line) for line in (corpus.root / "chat.jsonl").read_text().splitlines()]
    facts = [turns["messages"][1]["content"].rstrip(".").split(" sells ") for turns in chat]
    return [{"town": town, "good": good} for town, good in facts]


def write_task(folder: Path, name: str, items: list[dict[str, Any]], **fields: Any) -> str:
    """A task's YAML with its items beside it; gives the YAML's path."""
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.jsonl").write_text("".join(json.dumps(item) + "\n" for item in items))
    files = {"data_files": {"test": f"{name}.jsonl"}}
    values = {"task": name, "dataset_path": "json", "dataset_kwargs": files, "test_split": "test", **fields}
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(values))
    return str(folder / f"{name}.yaml")


def shared_tasks(corpus: TinyCorpus, folder: Path) -> list[str]:
    """A task of each kind about the corpus's towns; gives the YAMLs' paths."""
    goods = sorted({fact["good"] for fact in towns(corpus)})
    draws = random.Random(3)
    items = [{**fact, "choices": draws.sample(goods, len(goods))} for fact in towns(corpus)]
    asks = {"doc_to_text": "{{town}} sells", "fewshot_delimiter": ". "}
    choice = {"output_type": "multiple_choice", "doc_to_choice": "choices", "doc_to_target": "good"}
    reply: dict[str, Any] = {"output_type": "generate_until", "doc_to_target": "good"}
    reply |= {"generation_kwargs": {"until": ["."], "max_gen_toks": 6, "do_sample": False}}
    cut = [{"name": "word", "filter": [{"function": "regex", "regex_pattern": "(\\w+)"}, {"function": "take_first"}]}]
    said = {"output_type": "loglikelihood", "doc_to_target": " {{good}}."}
    return [
        write_task(folder, "town_choice", items, **asks, **choice),
        write_task(folder, "town_reply", items, **asks, **reply, filter_list=cut),
        write_task(folder, "town_likelihood", items, **asks, **said),
    ]


def evaluation(folder: Path, model: Path, tasks: list[str], **more: Any) -> Path:
    """An evaluation config of tasks in a folder."""
    values = {"model": str(model), "result": str(folder / "result.json"), "items": str(folder / "items.parquet")}
    return write_json(folder / "evaluate.json", values | {"tasks": tasks, "threads": 1, **more})
