"""An evaluation task: a YAML file that says how to ask and to score, and JSON Lines with the items. Needs no torch.

Notable:
- The YAML is lm-evaluation-harness's own format, the part of it that needs no Python: the same file runs there, with
  equal numbers (tests/model/evaluation/test_harness.py). Fields that only describe a task are passed over, all others
  that we do not know are refused.
- Without `dataset_path`, the items stand beside the YAML, in `<task>.jsonl`, and its examples in `<task>.train.jsonl`.
- A file may come from anyone: templates are rendered in a sandbox, and a `!function` is refused.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import xxhash
import yaml

from model.base.config_loading import parse_config, read_small
from model.base.errors import BadInput, did_you_mean
from model.base.field_checks import require
from model.base.json_lines import read_json_lines

SHIPPED = Path(__file__).with_name("shipped")
"""The folder of the tasks that come with us."""
_DESCRIPTIVE = ("tag", "metadata", "dataset_name", "should_decontaminate", "doc_to_decontamination_query")
_LARGEST_YAML = 1 << 20
LIKELIHOOD_METRICS = ("acc", "acc_norm", "acc_bytes", "perplexity", "bits_per_byte")
TEXT_METRICS = ("exact_match", "numeric_match", "contains", "bleu", "chrf", "chrf++", "bypass")
_SUITING = {
    "multiple_choice": ("acc", "acc_norm"),
    "loglikelihood": ("acc", "perplexity"),
    "loglikelihood_rolling": ("bits_per_byte",),
    "generate_until": ("exact_match",),
}
OutputType = Literal["multiple_choice", "loglikelihood", "loglikelihood_rolling", "generate_until"]
Item = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class MetricSpec:
    """A metric of a task, with the options that harness's `exact_match` has."""

    metric: str
    """One of `LIKELIHOOD_METRICS` or `TEXT_METRICS`; `bypass` measures nothing, where replies are there to be read."""
    aggregation: str | None = None
    """Follows from the metric; there so that harness's files are read."""
    higher_is_better: bool = True
    """Likewise."""
    ignore_case: bool = False
    """Compare in lower case."""
    ignore_punctuation: bool = False
    """Compare without ASCII punctuation."""
    regexes_to_ignore: tuple[str, ...] = ()
    """What is cut out of both texts before they are compared."""

    def __post_init__(self) -> None:
        known = LIKELIHOOD_METRICS + TEXT_METRICS
        hint = did_you_mean(self.metric, known) or f"; known: {', '.join(known)}"
        require(self.metric in known, f"there is no metric {self.metric!r}{hint}")


@dataclass(frozen=True, kw_only=True)
class GenerationSpec:
    """How a reply is generated."""

    until: tuple[str, ...] = ()
    """Texts at which a reply ends, besides the model's own end."""
    max_gen_toks: int = 64
    """Longest reply, in tokens."""
    do_sample: bool = False
    """Whether tokens are drawn; otherwise the likeliest are taken."""
    temperature: float = 0.0
    """Of the draws."""

    def __post_init__(self) -> None:
        require(self.max_gen_toks >= 1, "max_gen_toks must be at least 1")
        require(
            not self.do_sample and self.temperature == 0, "a reply is the likeliest one: do_sample is not supported"
        )


@dataclass(frozen=True, kw_only=True)
class TaskSpec:
    """The fields of a task's YAML. A `doc_to_...` is a column's name or a Jinja template over the item's columns."""

    task: str
    """Its name."""
    output_type: OutputType = "generate_until"
    """`multiple_choice`: the likeliest choice. `loglikelihood`: the likelihood of one continuation.
    `loglikelihood_rolling`: that of a whole text. `generate_until`: a reply that is compared with the right one."""
    doc_to_text: str = ""
    """What the model is shown."""
    doc_to_target: str = ""
    """The right answer; for multiple choice the number or the text of the right choice."""
    doc_to_choice: str | None = None
    """The choices: a column's name, or a template that gives a list."""
    choices: tuple[str, ...] = ()
    """The same where all items have the same ones: a list in `doc_to_choice`."""
    target_delimiter: str = " "
    """Between what is shown and an answer."""
    fewshot_delimiter: str = "\n\n"
    """Between examples."""
    description: str = ""
    """Stands before the examples."""
    num_fewshot: int = 0
    """Examples that are shown, unless the caller asks for another number."""
    dataset_path: str = "json"
    """Only `json`: JSON Lines files, in `dataset_kwargs`."""
    dataset_kwargs: dict[str, Any] = field(default_factory=dict)
    """`data_files`: the file of each split, relative to the YAML."""
    test_split: str | None = None
    """The split that is asked; null: `validation_split`, else `test`."""
    validation_split: str | None = None
    """The split that is asked where there is no `test_split`."""
    training_split: str | None = None
    """The split that examples are drawn from where there is no `fewshot_split`."""
    fewshot_split: str | None = None
    """The split that examples are drawn from; null: `training_split`, else `train` where there is one, else the items
    themselves, but for the one that is asked."""
    fewshot_config: dict[str, Any] = field(default_factory=dict)
    """`sampler: first_n` takes the first examples instead of drawing them."""
    generation_kwargs: GenerationSpec = GenerationSpec()
    """For `generate_until`."""
    filter_list: tuple[dict[str, Any], ...] = ()
    """At most one, whose filters are `regex` and `take_first`: what of a reply is compared."""
    metric_list: tuple[MetricSpec, ...] = ()
    """What is measured; empty: what suits the output type."""

    def __post_init__(self) -> None:
        require(self.task.replace("_", "").replace("-", "").isalnum(), "task must be letters, digits, - and _")
        require(self.dataset_path == "json", "dataset_path must be json, with dataset_kwargs.data_files")
        require(self.num_fewshot >= 0, "num_fewshot must not be negative")
        is_text = self.output_type == "generate_until"
        for metric in self.metric_list:
            fits = metric.metric in (TEXT_METRICS if is_text else LIKELIHOOD_METRICS)
            require(fits, f"metric_list: {metric.metric} is none for the output type {self.output_type}")
        if self.output_type == "multiple_choice":
            require(bool(self.doc_to_choice or self.choices), "multiple_choice needs doc_to_choice")

    @property
    def asked_split(self) -> str:
        """The split that is asked."""
        return self.test_split or self.validation_split or "test"

    @property
    def metrics(self) -> tuple[MetricSpec, ...]:
        """What is measured."""
        return self.metric_list or tuple(MetricSpec(metric=name) for name in _SUITING[self.output_type])


@dataclass(frozen=True)
class Task:
    """A task with its items."""

    spec: TaskSpec
    items: tuple[Item, ...]
    examples: tuple[Item, ...]
    """What few-shot examples are drawn from."""
    files: Mapping[str, Path]
    """The file of each split."""
    examples_split: str
    """The split of the examples."""

    @property
    def name(self) -> str:
        """The task's name."""
        return self.spec.task

    @property
    def digest(self) -> str:
        """xxh3-128 of all that it says, items and examples included."""
        return xxhash.xxh3_128_hexdigest(repr((self.spec, self.items, self.examples)).encode(errors="replace"))

    @property
    def examples_are_items(self) -> bool:
        """Whether the examples are the items themselves; then an item is never its own example."""
        return self.examples_split == self.spec.asked_split


def shipped_tasks() -> list[str]:
    """Return the names of the tasks that come with us."""
    return sorted(path.stem for path in SHIPPED.glob("*.yaml"))


def task_path(name: str) -> Path:
    """Return the YAML file of a shipped task's name, or of a path; raises BadInput if there is none."""
    if name.endswith((".yaml", ".yml")):
        if not Path(name).is_file():
            raise BadInput(f"there is no evaluation task {name}")
        return Path(name)
    if name not in shipped_tasks():
        known = shipped_tasks()
        hint = did_you_mean(name, known) or f"; there are: {', '.join(known)}, and any .yaml file of yours"
        raise BadInput(f"there is no evaluation task {name!r}{hint}")
    return SHIPPED / f"{name}.yaml"


def load_task(path: Path) -> Task:
    """Read a task and its items; raises BadInput, with file and field, for what is wrong in them."""
    spec = _read_spec(path)
    files = _data_files(spec, path)
    split = spec.fewshot_split or spec.training_split or ("train" if "train" in files else spec.asked_split)
    for name in (spec.asked_split, split):
        if name not in files:
            raise BadInput(f"{path}: dataset_kwargs.data_files has no file for the split {name!r}")
    items = _read_items(files[spec.asked_split])
    return Task(spec, items, items if split == spec.asked_split else _read_items(files[split]), files, split)


def _data_files(spec: TaskSpec, path: Path) -> dict[str, Path]:
    """Return the file of each split of the task at `path`."""
    named = spec.dataset_kwargs.get("data_files")
    if named is None:
        beside = {spec.asked_split: f"{path.stem}.jsonl", "train": f"{path.stem}.train.jsonl"}
        return {split: path.with_name(name) for split, name in beside.items() if path.with_name(name).is_file()}
    if not isinstance(named, dict) or not all(isinstance(name, str) for name in named.values()):
        raise BadInput(f"{path}: dataset_kwargs.data_files must name a file for each split")
    return {str(split): path.parent / name for split, name in named.items()}


def _read_spec(path: Path) -> TaskSpec:
    try:
        content = read_small(path)
        if len(content) > _LARGEST_YAML:
            raise BadInput(f"{path} has more than {_LARGEST_YAML >> 20} MiB, so it is no task")
        values = yaml.safe_load(content)
    except OSError as error:
        raise BadInput(f"cannot read the task {path}: {error.strerror or error}") from error
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise BadInput(f"{path} is no YAML without code: {error}") from error
    if not isinstance(values, dict):
        raise BadInput(f"{path} must hold the fields of a task")
    values = {str(name): value for name, value in values.items() if name not in _DESCRIPTIVE}
    if isinstance(values.get("doc_to_choice"), list):
        values["choices"] = [str(choice) for choice in values.pop("doc_to_choice")]
    if isinstance(values.get("doc_to_target"), int):
        values["doc_to_target"] = str(values["doc_to_target"])
    until = values.get("generation_kwargs", {}) or {}
    if isinstance(until, dict) and isinstance(until.get("until"), str):
        values["generation_kwargs"] = until | {"until": [until["until"]]}
    values.setdefault("task", path.stem)
    return parse_config(values, TaskSpec, str(path))


def _read_items(path: Path) -> tuple[Item, ...]:
    items = []
    for where, values in read_json_lines(path, "items", "needs an object a line"):
        if not isinstance(values, dict):
            raise BadInput(f"{where}: needs an object a line")
        items.append(values)
    if not items:
        raise BadInput(f"{path} holds no items")
    return tuple(items)
