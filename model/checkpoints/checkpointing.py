"""Checkpoints: torch.distributed.checkpoint folders that appear whole or not at all, and are verified before use.

Notable:
- A checkpoint is written aside, synced and renamed, so a kill or a full disk leaves the earlier ones intact.
- `digests.json` lists every file with its digest (model/checkpoints/folders.py), checked before anything is read; a
  checkpoint that fails is skipped for the one before it. Where all fail, training does not start over by itself.
- `training.json` holds the `Progress` (model/checkpoints/progress.py). Resuming under other settings is refused by
  name, since the curve would belong to neither run.
- Sharded state can be read back on any number of processes.
"""

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

from model.base.config_loading import config_as_json, load_config
from model.base.errors import BadInput
from model.base.sizes import ModelShape
from model.checkpoints.folders import (
    DIGESTS,
    METADATA,
    PROGRESS,
    checkpoint_folders,
    checkpoint_name,
    digest_of,
    fault_of,
    remove_checkpoint,
    step_of,
    unfinished,
    unfinished_folders,
)
from model.checkpoints.progress import Progress
from model.checkpoints.reader import CheckpointPlanner, CheckpointReader

_T = TypeVar("_T")


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
    final = folder / checkpoint_name(progress.step)
    temporary = unfinished(final)
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

    One whose digests are wrong is reported on stderr and passed over. Raises BadInput if there are checkpoints and the
    digests of all are wrong.
    """
    candidates, faults = checkpoint_folders(folder), []
    for candidate in candidates:
        if (fault := fault_of(candidate)) is not None:
            print(f"warning: checkpoint {candidate} is damaged and passed over: {fault}", file=sys.stderr)
            faults.append(f"{candidate.name}: {fault}")
            continue
        progress = load_config(candidate / PROGRESS, Progress)
        if suits(progress):
            return Checkpoint(candidate, progress)
    if candidates and len(faults) == len(candidates):
        raise BadInput(
            f"all checkpoints in {folder} are damaged ({'; '.join(faults)}); put an intact copy of one back, or move "
            "the folder away to train from the start"
        )
    return None


def remove_checkpoints_after(folder: Path, step: int) -> None:
    """Remove checkpoints after `step`; one process calls this when training goes back there."""
    for found in checkpoint_folders(folder):
        if step_of(found) > step:
            remove_checkpoint(found)


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
    for stale in unfinished_folders(folder):
        shutil.rmtree(stale)


@contextmanager
def _torch_quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=UserWarning, module="torch.distributed")
        yield


def _digests_of_own(folder: Path) -> dict[str, str]:
    """Digest what this process has just written, while the system still caches it."""
    written = [*folder.glob(f"__{_rank()}_*"), *(folder.glob(METADATA) if _rank() == 0 else ())]
    return {file.name: digest_of(file) for file in sorted(written)}


def _finish(temporary: Path, final: Path, progress: Progress, digests: list[dict[str, str]], keep: int) -> None:
    _write_json(temporary / PROGRESS, config_as_json(progress))
    digests.append({PROGRESS: digest_of(temporary / PROGRESS)})
    _write_json(temporary / DIGESTS, {name: part[name] for part in digests for name in part})
    _sync(temporary)
    shutil.rmtree(final, ignore_errors=True)
    temporary.rename(final)
    _sync(final.parent)
    # A later one that was damaged and passed over does not count, and stays until this run comes to its step.
    finished = [found for found in checkpoint_folders(final.parent) if step_of(found) <= progress.step]
    for old in finished[keep:]:
        remove_checkpoint(old)


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
        if any(isinstance(cause, OSError) for cause in causes):
            raise
        # Its digests were right, so it was written like this.
        raise BadInput(
            f"the checkpoint {checkpoint.folder} is refused: {causes[0]}; delete it to go on from the one before it"
        ) from error


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
