"""Standard suites with lm-evaluation-harness: `python -m model.harness --model DIR --tasks arc_easy,NAME,FILE.yaml`.

Notable:
- Nothing is fetched. A suite's data is a folder below `--data` by its name on the Hub, such as `allenai/ai2_arc`, as
  `hf download` leaves it: that is where `datasets` looks first when it runs in `--data`.
- A text begins with the tokenizer's bos, as our own tasks' do, so that a shared task has one number.
- Tasks of our format run there too, but for the metrics that the harness does not have.
"""

import argparse
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from model.base.device import best_device
from model.base.errors import BadInput
from model.base.full_disk import writing
from model.base.program import run_command
from model.evaluation.tasks.prompts import FEWSHOT_SEED
from model.evaluation.tasks.task import load_task, shipped_tasks, task_path

_OURS_ONLY = ("numeric_match", "contains", "bits_per_byte")
_OFFLINE = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}


def harness(arguments: list[str]) -> int:
    """Run the harness's tasks on a folder's model, write and print the results as JSON, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m model.harness", description="Run lm-evaluation-harness offline.")
    parser.add_argument("--model", type=Path, required=True, metavar="DIR", help="a folder that transformers loads")
    parser.add_argument("--tasks", required=True, help="names of the harness's tasks or ours, or .yaml files")
    parser.add_argument("--data", type=Path, default=Path(), metavar="DIR", help="datasets by their names on the Hub")
    parser.add_argument("--shots", type=int, help="examples before each item; default: what a task says")
    parser.add_argument("--limit", type=int, help="the first items of each task")
    parser.add_argument("--batch", type=int, default=16, help="texts of a pass")
    parser.add_argument("--output", type=Path, help="JSON file to write")
    options = parser.parse_args(arguments)

    def run() -> None:
        results = json.dumps(harness_results(options), indent=2, default=str) + "\n"
        if options.output:
            with writing(options.output):
                options.output.write_text(results, encoding="utf-8")
        print(results, end="")

    options.output = options.output and options.output.absolute()
    return run_command(run)


def harness_results(options: argparse.Namespace) -> dict[str, Any]:
    """Return the harness's results by task; raises BadInput for what it cannot do."""
    os.environ.update(_OFFLINE)
    try:
        from lm_eval import simple_evaluate
        from lm_eval.models.huggingface import HFLM
    except ModuleNotFoundError as error:
        raise BadInput(f"this needs lm-evaluation-harness: pip install 'sluice[harness]' ({error.name})") from error
    names = [name for name in options.tasks.split(",") if name]
    tasks = [shared_config(task_path(name)) if _is_ours(name) else name for name in names]
    if not options.model.is_dir() or not options.data.is_dir():
        raise BadInput(f"there is no folder {options.data if options.model.is_dir() else options.model}")
    folder = str(options.model.absolute())
    os.chdir(options.data)
    try:
        given = {"device": str(best_device()), "dtype": "float32", "batch_size": options.batch, "add_bos_token": True}
        model = HFLM(pretrained=folder, **given)
        found = simple_evaluate(
            model=model,
            tasks=tasks,
            num_fewshot=options.shots,
            limit=options.limit,
            fewshot_random_seed=FEWSHOT_SEED,
            log_samples=False,
            bootstrap_iters=1000,
        )
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise BadInput(f"the harness cannot run {options.tasks}: {error}") from error
    return dict(found["results"]) if found else {}


def _is_ours(name: str) -> bool:
    return name in shipped_tasks() or name.endswith((".yaml", ".yml"))


def shared_config(path: Path) -> Mapping[str, Any]:
    """Return a task of our format as the harness takes it: files by absolute paths, splits said, its metrics only."""
    task = load_task(path)
    values = dict(yaml.safe_load(path.read_bytes()))
    files = {split: str(file.absolute()) for split, file in task.files.items()}
    values |= {"task": task.name, "dataset_path": "json", "dataset_kwargs": {"data_files": files}}
    values |= {"test_split": task.spec.asked_split, "fewshot_split": task.examples_split}
    known = [one for one in values.get("metric_list", ()) if one["metric"] not in _OURS_ONLY]
    return values | ({"metric_list": known} if known else {})


if __name__ == "__main__":
    sys.exit(harness(sys.argv[1:]))
