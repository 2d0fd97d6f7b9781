"""The training loop, shared by pretraining and finetuning.

Notable:
- Data order, learning rate and initial weights are pure functions of config and step, so a checkpoint is weights,
  optimizer state and one number, and a resumed run has the losses of an uninterrupted one.
- The loss of a step is summed over all its predicted tokens and divided by their number, over micro-batches and
  processes alike, so neither changes the gradient.
- accelerate gives the device, the process group and the wrapping (DDP); data, schedule and checkpoints are our own,
  since its loader repeats samples and its saved state is not atomic.
- One exchange between processes a step besides the gradient: the loss, and whether any of them was told to stop.
- The next batch is made by a thread while this one trains.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs, broadcast_object_list
from torch import Tensor, nn
from torch.optim import Optimizer

from model.checkpointing import (
    Checkpoint,
    Progress,
    load_training_state,
    newest_valid_checkpoint,
    refuse_other_run,
    save_checkpoint,
)
from model.config import PACE_FIELDS, LoopConfig, ModelShape, OptimizerConfig, ScheduleConfig
from model.config_loading import config_as_json
from model.device import keep_freed_memory, use_threads
from model.errors import Diverged
from model.folder_lock import locked_folder
from model.held_out import Score, held_out_documents, score_documents
from model.metrics_log import MetricsLog
from model.optimizer import build_optimizers, set_learning_rates
from model.packed_sequences import IGNORED, Batch, PackedSequences
from model.program import EXIT_DONE, EXIT_STOPPED
from model.schedule import learning_rate_factor
from model.stop_signal import StopSignal
from model.token_cache import TokenCache
from model.transformer import Transformer

_NON_FINITE_STEPS = 5
"""Steps in a row without a finite gradient after which a run is given up."""


@dataclass(frozen=True)
class Run:
    """What is trained, on what, and where it is kept."""

    folder: Path
    """The model folder."""
    shape: ModelShape
    loop: LoopConfig
    optimizer: OptimizerConfig
    schedule: ScheduleConfig
    data: PackedSequences
    data_digest: str
    """Equal digests mean equal batches."""
    initialise: Callable[[Transformer], None]
    """Fills in the weights of a run that starts at step 0."""
    held_out: TokenCache | None = None
    """Dataset whose validation documents are scored during training."""
    data_facts: dict[str, int] = field(default_factory=dict)
    """Counts to log once, such as what was cut or left out."""


def start_accelerator(loop: LoopConfig) -> Accelerator:
    """Joins the process group and sets the number of CPU threads; once for each process."""
    on_cpu = not torch.cuda.is_available() or os.environ.get("ACCELERATE_USE_CPU", "").lower() in ("1", "true")
    # The rotary tables are the only buffers, and they are constants.
    wrapping = DistributedDataParallelKwargs(broadcast_buffers=False, gradient_as_bucket_view=True)
    accelerator = Accelerator(cpu=on_cpu, mixed_precision="no", kwargs_handlers=[wrapping])
    use_threads(loop.threads)
    keep_freed_memory()
    return accelerator


def train(accelerator: Accelerator, run: Run) -> int:
    """Trains from the newest valid checkpoint, or from the start, to the last step.

    Returns:
        `EXIT_DONE`, or `EXIT_STOPPED` after SIGTERM, when a checkpoint has been written.

    Raises:
        BadInput: another run is training in the folder, the checkpoint belongs to another run, the loss stays
            non-finite, or the disk is full.
    """
    lock = locked_folder(run.folder) if accelerator.is_main_process else nullcontext()
    with StopSignal() as stop, lock:
        checkpoint = _shared_checkpoint(accelerator, run.folder / "checkpoints")
        if checkpoint is not None:
            refuse_other_run(checkpoint, run.shape, decisive_settings(run))
        trainer = _Trainer(accelerator, run, checkpoint)
        try:
            return trainer.train(stop)
        finally:
            trainer.close()


def decisive_settings(run: Run) -> dict[str, Any]:
    """The settings under which a checkpoint may be resumed: those that decide the result, and the data."""
    loop = config_as_json(run.loop)
    # A finished run may be carried on to more steps.
    settings = {f"loop.{name}": value for name, value in loop.items() if name not in PACE_FIELDS | {"steps"}}
    for section in ("optimizer", "schedule"):
        for name, value in config_as_json(getattr(run, section)).items():
            settings[f"{section}.{name}"] = value
    return settings | {"the digest of the data": run.data_digest}


class _Trainer:
    def __init__(self, accelerator: Accelerator, run: Run, checkpoint: Checkpoint | None) -> None:
        self._accelerator, self._run = accelerator, run
        self._started = time.perf_counter()
        dtype: torch.dtype = getattr(torch, run.loop.precision)
        model = Transformer(run.shape, dtype)
        if checkpoint is None:
            run.initialise(model)
        prepared = accelerator.prepare(model, *build_optimizers(model, run.optimizer, dtype))
        self._model: nn.Module = prepared[0]
        # accelerate's wrapper only adds gradient scaling and accumulation, which are not used here.
        self._optimizers: list[Optimizer] = [wrapper.optimizer for wrapper in prepared[1:]]
        if checkpoint is not None:
            load_training_state(checkpoint, self._model, self._optimizers)
        if run.loop.compile:
            accelerator.unwrap_model(self._model).compile_for(accelerator.device)
        self._step = checkpoint.progress.step if checkpoint else 0
        self._tokens = checkpoint.progress.tokens if checkpoint else 0
        self._log = MetricsLog(run.folder / "metrics.jsonl", self._step) if accelerator.is_main_process else None
        self._write("resume" if checkpoint else "data", **({} if checkpoint else run.data_facts))
        self._since_log = [0.0, 0.0]
        self._non_finite = 0
        self._reader = ThreadPoolExecutor(max_workers=1)

    def close(self) -> None:
        self._reader.shutdown(cancel_futures=True)
        if self._log is not None:
            self._log.close()

    def train(self, stop: StopSignal) -> int:
        run, loop = self._run, self._run.loop
        upcoming = self._reader.submit(self._batch, self._step)
        while self._step < loop.steps:
            began = time.perf_counter()
            batch = upcoming.result()
            if self._step + 1 < loop.steps:
                upcoming = self._reader.submit(self._batch, self._step + 1)
            factor = learning_rate_factor(run.schedule, self._step, loop.steps)
            loss, norm, stopping = self._optimizer_step(batch, factor, stop)
            self._step += 1
            self._tokens += batch.tokens_in_step
            self._since_log[0] += batch.tokens_in_step
            self._since_log[1] += time.perf_counter() - began
            self._report_step(loss, norm, factor)
            last = self._step == loop.steps
            if last or (loop.evaluate_every and self._step % loop.evaluate_every == 0):
                self._evaluate()
            if last or stopping or self._step % loop.checkpoint_every == 0:
                self._save()
            if stopping and not last:
                return EXIT_STOPPED
        self._write("done", tokens=self._tokens, seconds=self._seconds())
        return EXIT_DONE

    def _batch(self, step: int) -> Batch:
        return self._run.data.batch(step, self._accelerator.process_index, self._accelerator.num_processes)

    def _optimizer_step(self, batch: Batch, factor: float, stop: StopSignal) -> tuple[float, float, bool]:
        total = self._gradient(batch)
        clip = self._run.optimizer.gradient_clip or math.inf
        norm = self._accelerator.clip_grad_norm_(self._model.parameters(), clip)
        shared = torch.stack([total, torch.tensor(float(stop.raised), device=total.device)])
        if self._accelerator.num_processes > 1:
            dist.all_reduce(shared)
        loss, stopping, norm_value = torch.cat([shared, norm.reshape(1)]).tolist()
        if math.isfinite(loss) and math.isfinite(norm_value):
            self._non_finite = 0
            set_learning_rates(self._optimizers, self._run.optimizer, factor)
            for optimizer in self._optimizers:
                optimizer.step()
        else:
            self._non_finite += 1
        for optimizer in self._optimizers:
            optimizer.zero_grad(set_to_none=True)
        return loss / max(1, batch.targets_in_step), norm_value, stopping > 0

    def _gradient(self, batch: Batch) -> Tensor:
        """Leaves the step's gradient in the parameters; returns this process's summed loss, in nats."""
        loop, processes = self._run.loop, self._accelerator.num_processes
        device = self._accelerator.device
        largest_share = -(-loop.sequences_per_step // processes)
        rows = loop.micro_batch or largest_share
        passes = -(-largest_share // rows)
        total = torch.zeros((), device=device)
        for number in range(passes):
            inputs, targets, segments = _micro_batch(batch, number * rows, rows, loop.document_mask)
            # DDP averages over processes; the loss is divided by the tokens of all of them.
            scale = processes / max(1, batch.targets_in_step)
            moved = [
                None if array is None else array.to(device, non_blocking=True) for array in (inputs, targets, segments)
            ]
            if number < passes - 1:
                with self._accelerator.no_sync(self._model):
                    loss = self._model(*moved)
                    (loss * scale).backward()
            else:
                loss = self._model(*moved)
                (loss * scale).backward()
            total += loss.detach()
        return total

    def _report_step(self, loss: float, norm: float, factor: float) -> None:
        if self._non_finite:
            self._write("skipped", loss=str(loss), grad_norm=str(norm))
            if self._non_finite >= _NON_FINITE_STEPS:
                raise Diverged(
                    f"the loss or its gradient was not finite in {self._non_finite} steps in a row, up to step "
                    f"{self._step}; lower optimizer.lr and optimizer.matrix_lr or raise schedule.warmup_steps"
                )
        elif self._step % self._run.loop.log_every == 0 or self._step == self._run.loop.steps:
            tokens, seconds = self._since_log
            peak = self._run.optimizer.lr
            self._write(
                "step",
                tokens=self._tokens,
                loss=loss,
                lr=peak * factor,
                grad_norm=norm,
                tokens_per_second=round(tokens / seconds),
                seconds=self._seconds(),
            )
            self._since_log = [0.0, 0.0]

    def _evaluate(self) -> None:
        run, accelerator = self._run, self._accelerator
        if run.held_out is None:
            return
        documents = held_out_documents(run.held_out, run.loop.evaluation_documents)
        if not len(documents):
            return
        share = documents[accelerator.process_index :: accelerator.num_processes]
        batch = run.loop.micro_batch or run.loop.sequences_per_step
        score = score_documents(
            accelerator.unwrap_model(self._model), run.shape.context, run.held_out, share, batch, accelerator.device
        )
        sums = torch.tensor([score.nats, score.tokens, score.text_bytes, score.documents], dtype=torch.float64)
        if accelerator.num_processes > 1:
            sums = sums.to(accelerator.device)
            dist.all_reduce(sums)
        nats, *counts = sums.tolist()
        whole = Score(nats, *(int(count) for count in counts))
        self._write("eval", loss=whole.loss, bits_per_byte=whole.bits_per_byte, documents=whole.documents)

    def _save(self) -> None:
        run = self._run
        progress = Progress(self._step, self._tokens, run.shape, decisive_settings(run))
        save_checkpoint(run.folder / "checkpoints", progress, self._model, self._optimizers, run.loop.keep_checkpoints)

    def _write(self, event: str, **values: Any) -> None:
        if self._log is not None:
            self._log.write(event, self._step, **values)

    def _seconds(self) -> float:
        return round(time.perf_counter() - self._started, 3)


def _micro_batch(batch: Batch, first: int, rows: int, document_mask: bool) -> tuple[Tensor, Tensor, Tensor | None]:
    inputs, targets = batch.inputs[first : first + rows], batch.targets[first : first + rows]
    segments = None if batch.segments is None or not document_mask else batch.segments[first : first + rows]
    if not len(inputs):
        # This process's share ended a pass before the largest one's; it takes part with nothing to predict.
        inputs, targets = batch.inputs[:1], np.full_like(batch.targets[:1], IGNORED)
        segments = None if segments is None else batch.segments[:1]  # type: ignore[index]
    arrays = (inputs, targets, segments)
    tensors = [None if array is None else torch.from_numpy(np.ascontiguousarray(array)) for array in arrays]
    return tensors[0], tensors[1], tensors[2]  # type: ignore[return-value]


def _shared_checkpoint(accelerator: Accelerator, folder: Path) -> Checkpoint | None:
    """The main process verifies, and every process gets its answer."""
    found = [newest_valid_checkpoint(folder) if accelerator.is_main_process else None]
    if accelerator.num_processes > 1:
        broadcast_object_list(found)
    return found[0]
