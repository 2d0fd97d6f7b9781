"""Checkpoints: torch.distributed.checkpoint folders that appear whole or not at all, and are verified before use.

Notable:
- A checkpoint is written aside, synced and renamed, so a kill or a full disk leaves the earlier ones intact.
- `digests.json` holds the xxh3-128 digest of every file, checked before anything is read; a checkpoint that fails is
  skipped for the one before it.
- `training.json` holds the `Progress` (model/checkpoints/progress.py). Resuming under other settings is refused by
  name, since the curve would belong to neither run.
- Sharded state can be read back on any number of processes.
"""

import hashlib
import json
import os
import pickle
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch.distributed as dist
import xxhash
from torch import nn
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.state_dict import (
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save
from torch.optim import Optimizer

from model.base.config import ModelShape
from model.base.config_loading import config_as_json, load_config
from model.base.errors import BadInput
from model.checkpoints.progress import Progress
from model.checkpoints.reader import CheckpointPlanner, CheckpointReader

_T = TypeVar("_T")

_DIGESTS = "digests.json"
_PROGRESS = "training.json"


@dataclass(frozen=True)
class Checkpoint:
    """A finished checkpoint on disk whose digests were right."""

    folder: Path
    progress: Progress


def training_state(model: nn.Module, optimizers: list[Optimizer]) -> dict[str, Any]:
    """Return what a checkpoint holds of a model and its optimizers; the tensors share memory with the model's."""
    return {"model": get_model_state_dict(model), "optimizer": get_optimizer_state_dict(model, optimizers)}


def write_checkpoint(
    folder: Path, progress: Progress, state: dict[str, Any], keep: int, group: dist.ProcessGroup | None = None
) -> Path:
    """Write `folder`/step-NNNNNNNN, return it, and remove all but the newest `keep`; every process calls this.

    `state` is from `training_state`, or a copy; `group` is for the exchanges. Raises BadInput on every process if the
    disk of any is full or cannot be written.
    """
    final = folder / f"step-{progress.step:08d}"
    temporary = folder / f"{final.name}.tmp"
    try:
        _on_main_process(lambda: _remove_unfinished(folder), group)
        with _torch_quiet():  # fails on all processes or on none
            save(state, checkpoint_id=temporary, process_group=group, no_dist=not dist.is_initialized())
        digests = _shared(lambda: _digests_of_own(temporary), group)
        _on_main_process(lambda: _finish(temporary, final, progress, digests, keep), group)
    except (CheckpointException, OSError) as error:
        if _rank() == 0:
            shutil.rmtree(temporary, ignore_errors=True)
        raise BadInput(
            f"cannot write the checkpoint {final}: {_cause(error)}; make room and start again; earlier checkpoints "
            "are intact"
        ) from error
    return final


def newest_valid_checkpoint(
    folder: Path, suits: Callable[[Progress], bool] = lambda progress: True
) -> Checkpoint | None:
    """Return the newest checkpoint in `folder` whose digests are right and whose progress suits, or None.

    One whose digests are wrong is reported on stderr and passed over.
    """
    for candidate in _checkpoint_folders(folder):
        if (fault := _fault(candidate)) is not None:
            print(f"warning: checkpoint {candidate} is damaged and passed over: {fault}", file=sys.stderr)
            continue
        progress = load_config(candidate / _PROGRESS, Progress)
        if suits(progress):
            return Checkpoint(candidate, progress)
    return None


def remove_checkpoints_after(folder: Path, step: int) -> None:
    """Remove checkpoints after `step`; one process calls this when training goes back there."""
    for found in _checkpoint_folders(folder):
        if int(found.name.removeprefix("step-")) > step:
            shutil.rmtree(found)


def load_model(checkpoint: Checkpoint, model: nn.Module) -> None:
    """Read the checkpoint's weights into `model`, which may be sharded."""
    state = {"model": get_model_state_dict(model)}
    _read(checkpoint, state)
    set_model_state_dict(model, state["model"])


def load_training_state(checkpoint: Checkpoint, model: nn.Module, optimizers: list[Optimizer]) -> None:
    """Read the checkpoint's weights and optimizer state, on any number of processes."""
    state = training_state(model, optimizers)
    _read(checkpoint, state)
    set_model_state_dict(model, state["model"])
    set_optimizer_state_dict(model, optimizers, state["optimizer"])


def refuse_other_run(checkpoint: Checkpoint, shape: ModelShape, settings: dict[str, Any]) -> None:
    """Raise BadInput, naming the first field that differs, if the checkpoint is of another shape or run."""
    progress = checkpoint.progress
    wanted = {f"shape.{name}": value for name, value in config_as_json(shape).items()} | settings
    found = {f"shape.{name}": value for name, value in config_as_json(progress.shape).items()} | progress.settings
    for name in [*wanted, *found]:
        if wanted.get(name) != found.get(name):
            raise BadInput(
                f"{checkpoint.folder} was made with {name} = {found.get(name)}, and the config says "
                f"{wanted.get(name)}; put the field back, or train in a new folder"
            )


def _remove_unfinished(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for stale in folder.glob("step-*.tmp"):
        shutil.rmtree(stale)


@contextmanager
def _torch_quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=UserWarning, module="torch.distributed")
        yield


def _digests_of_own(folder: Path) -> dict[str, str]:
    """Digest what this process has just written, while the system still caches it."""
    written = [*folder.glob(f"__{_rank()}_*"), *(folder.glob(".metadata") if _rank() == 0 else ())]
    return {file.name: _digest(file) for file in sorted(written)}


def _finish(temporary: Path, final: Path, progress: Progress, digests: list[dict[str, str]], keep: int) -> None:
    _write_json(temporary / _PROGRESS, config_as_json(progress))
    digests.append({_PROGRESS: _digest(temporary / _PROGRESS)})
    _write_json(temporary / _DIGESTS, {name: part[name] for part in digests for name in part})
    _sync(temporary)
    shutil.rmtree(final, ignore_errors=True)
    temporary.rename(final)
    _sync(final.parent)
    for old in _checkpoint_folders(final.parent)[keep:]:
        shutil.rmtree(old)


def _on_main_process(action: Callable[[], None], group: dist.ProcessGroup | None) -> None:
    """Run `action` on the main process; an OSError is raised on all."""
    _shared(action if _rank() == 0 else lambda: None, group)


def _shared(action: Callable[[], _T], group: dist.ProcessGroup | None) -> list[_T]:
    """Run `action` on every process; return all results on each, or raise one's OSError on all."""
    result: _T | OSError
    try:
        result = action()
    except OSError as error:
        result = error
    results: list[Any] = [result]
    if dist.is_initialized():
        results = [None] * dist.get_world_size()
        dist.all_gather_object(results, result, group=group)
    for found in results:
        if isinstance(found, OSError):
            raise found
    return results


def _cause(error: CheckpointException | OSError) -> str:
    """Return the operating system's own message, which torch wraps, one failure per process."""
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return "; ".join(str(failure[0]) for failure in error.failures.values())


def _read(checkpoint: Checkpoint, state: dict[str, Any]) -> None:
    try:
        reader = CheckpointReader(checkpoint.folder)
        with _torch_quiet():
            load(state, storage_reader=reader, planner=CheckpointPlanner(), no_dist=not dist.is_initialized())
    except (CheckpointException, pickle.UnpicklingError) as error:
        causes = [found[0] for found in error.failures.values()] if isinstance(error, CheckpointException) else [error]
        if refusals := [cause for cause in causes if isinstance(cause, pickle.UnpicklingError)]:
            raise BadInput(f"the checkpoint {checkpoint.folder} is refused: {refusals[0]}") from error
        raise


def _checkpoint_folders(folder: Path) -> list[Path]:
    """Return finished checkpoints, newest first."""
    return sorted((path for path in folder.glob("step-*") if path.suffix != ".tmp"), reverse=True)


def _fault(folder: Path) -> str | None:
    try:
        digests = json.loads((folder / _DIGESTS).read_text(encoding="utf-8"))
        present = {file.name for file in folder.iterdir()} - {_DIGESTS}
        if present != set(digests):
            return f"its files are not those of {_DIGESTS}: {', '.join(sorted(present ^ set(digests)))}"
        for name, digest in digests.items():
            if _digest(folder / name) != digest:
                return f"the digest of {name} is wrong"
    except (OSError, ValueError) as error:
        return str(error)
    return None


def _digest(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, xxhash.xxh3_128).hexdigest()  # type: ignore[arg-type]


def _write_json(file: Path, values: Any) -> None:
    file.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
    _sync(file)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _rank() -> int:
    return dist.get_rank() if dist.is_initialized() else 0
