"""What a stage of the model half is: a stage whose one part says what a program left.

Notable: the two halves meet only in files. A program gets one JSON config with local paths; what it leaves (a metrics
log, checkpoints, a result) is read back here as plain JSON.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from flows.recipe.named_files import is_model_of_store
from flows.recipe.stage_plan import StagePlan
from flows.stages.synthetic_chat import write_synthetic_chat
from model.base.deciding_fields import deciding_fields
from model.base.json_lines import logged_objects
from tasks.dataset.manifest import manifest_path, read_manifest
from tasks.dataset.stage import Output, PartContext, Stage
from tasks.dataset.store import Store
from tasks.synthesis.config import CHAT_SETS
from tasks.tokenize.tokenizer_files import tokenizer_path

RESULT = pa.schema([("stage", pa.string()), ("summary", pa.string())])
"""The one row of a program's dataset: what it left, as JSON."""


@dataclass(frozen=True)
class ProgramContext:
    """What a program's stage sees of the world."""

    plan: StagePlan
    """The stage itself."""
    plans: Mapping[str, StagePlan]
    """All stages of the run."""
    recipe: str
    """The recipe's name."""
    store: Store
    folder: Path
    """A folder on this machine's disk with the store's layout: the store itself where that is local."""
    chat: Mapping[str, Path]
    """Local files of conversations, pairs, prompts, questions and evaluation tasks, where the recipe has them."""

    def model_path(self, stage: str) -> str:
        """Return the folder, below the store, of the model that a training stage makes."""
        return f"models/{self.recipe}-{stage}-{self._plan(stage).fingerprint[:8]}"

    def model_folder(self, stage: str) -> Path:
        """Return that folder on this machine's disk."""
        return self.folder / self.model_path(stage)

    @property
    def trained(self) -> str:
        """The stage whose model this one is about: itself where it trains, else the one that it builds on."""
        return self.plan.name if self.plan.is_training else self._trained_before

    @property
    def starting_model(self) -> Path:
        """The folder of the model that a training stage starts from: the newest that it builds on."""
        return self.model_folder(self._trained_before)

    def chat_file(self, kind: str, named: str) -> str:
        """Return the file of conversations or pairs: the recipe's, or one of the run's own synthetic data."""
        if kind in self.chat:
            return str(self.chat[kind])
        return str(write_synthetic_chat(self.store, named, self.plans[named].fingerprint, self.folder))

    def is_empty(self, named: str) -> bool:
        """Return whether this is one of the run's own synthetic sets, of which nothing was kept."""
        manifest = read_manifest(self.store, named, self.plans[named].fingerprint) if named in CHAT_SETS else None
        return manifest is not None and not manifest.rows

    @property
    def cache(self) -> Path:
        """Folder for memory-mapped copies of the tokens."""
        return self.folder / "cache"

    def pretraining(self) -> dict[str, Any]:
        """Return the config of `model.pretrain` for this stage."""
        places = {"folder": self.model_folder(self.plan.name), "cache": self.cache}
        if init := self.model_to_begin_with(self.plan.job_config["init"]):
            places["init"] = init
        datasets = {name: self.dataset(name) for name in ("tokens", "packing")}
        return self.plan.job_config | datasets | {name: str(place) for name, place in places.items()}

    def model_to_begin_with(self, named: str | None) -> Path | None:
        """Return the folder, on this machine's disk, of a model that the recipe names, if it does."""
        if named is None:
            return None
        return self._local(named) if is_model_of_store(named) else Path(named)

    @property
    def held_out_tokens(self) -> str | None:
        """The folder of the tokens, like `dataset`; None where the run has no corpus."""
        return self.dataset("tokens") if "tokens" in self.plan.upstream else None

    def dataset(self, stage: str) -> str:
        """Return a dataset's folder on this machine's disk; from a store elsewhere it and its manifest come first."""
        plan = self.plans[stage]
        if not self.store.is_local:
            beside = manifest_path(plan.name, plan.fingerprint)
            (self.folder / beside).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / beside).write_bytes(self.store.read_bytes(beside))
        return str(self._local(plan.folder))

    def tokenizer_file(self) -> str:
        """Return the path of tokenizer.json on this machine's disk."""
        path = tokenizer_path(self.plans["tokenizer"].fingerprint)
        return str(self._local(path.rsplit("/", 1)[0]) / "tokenizer.json")

    @property
    def _trained_before(self) -> str:
        return [name for name in self.plan.upstream if self._plan(name).is_training][-1]

    def _plan(self, stage: str) -> StagePlan:
        return self.plan if stage == self.plan.name else self.plans[stage]

    def _local(self, path: str) -> Path:
        if not self.store.is_local:
            self.store.download_folder(path, self.folder / path)
        return self.folder / path


def _not_by_parts(context: PartContext) -> Iterator[Output]:
    raise TypeError(f"The stage {context.job.stage} is a program: the flow starts it.")


@dataclass(frozen=True, kw_only=True)
class ProgramStage(Stage):
    """A stage that starts a program."""

    module: str
    """`python -m` name."""
    is_training: bool = False
    """Whether it trains a model: then accelerate launches it, on as many processes as the settings say."""
    leaves_model: bool = True
    """Whether the model is kept; if not, its checkpoints are removed once the summary is written."""
    shows_steps: bool = True
    """Whether the steps of its training are shown; not where several train at once."""
    program_config: Callable[[ProgramContext], dict[str, Any]]
    """The program's JSON config."""
    summary: Callable[[ProgramContext], dict[str, Any]]
    """What it left, as values that do not depend on time or machine."""
    is_there: Callable[[ProgramContext], bool] = lambda context: context.store.exists(
        context.model_path(context.trained)
    )
    """Whether what a finished program left is still in the store."""
    rows: Any = RESULT
    run: Callable[[PartContext], Iterator[Output]] = _not_by_parts

    def meaning(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Return the fields that decide what comes out, without the pace of a training loop."""
        return deciding_fields(super().meaning(config))


def training_summary(context: ProgramContext) -> dict[str, Any]:
    """Return what a training came to, from its metrics log."""
    log = context.model_folder(context.plan.name) / "metrics.jsonl"
    events = list(logged_objects(log.read_text(encoding="utf-8")))
    of = {
        kind: [event for event in events if event.get("event") == kind] for kind in ("step", "eval", "skipped", "done")
    }
    end = of["done"][-1]
    found = {"model": context.model_path(context.plan.name), "steps": end["step"], "tokens": end["tokens"]}
    if of["step"]:
        found["last_loss"] = of["step"][-1]["loss"]
    if of["eval"]:
        last = of["eval"][-1]
        measured = ("loss", "margin", "accuracy", "reward")
        found |= {f"held_out_{name}": last[name] for name in measured if name in last}
        found |= {"bits_per_byte": last.get("bits_per_byte")}
    if of["skipped"]:
        found["skipped_steps"] = len(of["skipped"])
    if "reason" in end:
        found["ended_early"] = end["reason"]
    return found
