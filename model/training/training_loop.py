"""The training loop, shared by pretraining and finetuning.

Notable:
- Data order, learning rate and initial weights are pure functions of config and step, so a checkpoint is weights,
  optimizer state and a few numbers, and a resumed run has the losses of an uninterrupted one.
- The loss of a step is summed over all its predicted tokens and divided by their number, over micro-batches and
  processes alike, so neither changes the gradient.
- accelerate provides the device and the process group (model/training/parallelism.py wraps the model); data, schedule
  and checkpoints are our own, since its loader repeats samples and its saved state is not atomic.
- Besides the gradient, processes exchange a tensor a step: loss, gradient's norm, whether to stop; KTO's one more.
- A thread makes the next batch while this one trains.
"""

import math
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs, InitProcessGroupKwargs, broadcast_object_list
from torch import Tensor, nn

from model.base.config import LoopConfig
from model.base.config_loading import config_as_json
from model.base.deciding_fields import PACE_FIELDS, RESUME_FIELDS
from model.base.device import activation_dtype, keep_freed_memory, use_threads
from model.base.errors import BadInput, Diverged
from model.base.folder_lock import locked_folder
from model.base.learning_config import OptimizerConfig, ScheduleConfig
from model.base.program import EXIT_DONE, EXIT_STOPPED
from model.base.sizes import ModelShape
from model.checkpoints.checkpointing import (
    Checkpoint,
    load_training_state,
    newest_valid_checkpoint,
    refuse_other_run,
    remove_checkpoints_after,
)
from model.checkpoints.progress import Progress
from model.checkpoints.writer import CheckpointWriter
from model.data.packed_sequences import Batch, Batches
from model.data.token_cache import TokenCache
from model.metrics.run_log import RunLog, SilentLog
from model.metrics.step_speed import StepSpeed
from model.objectives.held_out import HeldOut, held_out_documents, score_shared
from model.objectives.loss import LIKELIHOOD, Loss
from model.objectives.objectives import CAUSAL, OBJECTIVE_SETTING, Objective
from model.training.early_stopping import EarlyStopping
from model.training.held_out_examples import HeldOutExamples, score_examples
from model.training.loss_spikes import IN_A_ROW, REWINDS, LossSpikes
from model.training.micro_batch import MicroBatch
from model.training.optimizer import build_optimizers, set_learning_rates
from model.training.parallelism import accumulating, clip_gradient, wrap_for_training
from model.training.schedule import learning_rate_factor
from model.training.stop_signal import StopSignal

_LONGEST_WAIT = timedelta(hours=2)
"""How long processes wait for each other: one may copy a dataset. If one has died, the launcher ends the others."""


@dataclass(frozen=True)
class Run:
    """What is trained, on what data, and in which folder."""

    folder: Path
    """The model folder."""
    shape: ModelShape
    loop: LoopConfig
    optimizer: OptimizerConfig
    schedule: ScheduleConfig
    data: Batches
    data_digest: str
    """Equal digests mean equal batches."""
    initialise: Callable[[nn.Module], object]
    """Sets the weights of a run that starts at step 0."""
    bytes_per_token: float | None = None
    """UTF-8 bytes of text per predicted token on average; None if not known."""
    held_out: TokenCache | None = None
    """Dataset whose validation documents are scored during training."""
    objective: Objective = CAUSAL
    """Which model is built, and how held-out documents are scored; `data` has its batches."""
    data_facts: dict[str, int] = field(default_factory=dict)
    """Counts to log once, such as how many conversations were cut or left out."""
    loss: Loss = LIKELIHOOD
    """What a step makes smaller."""
    settings: dict[str, Any] = field(default_factory=dict)
    """Further settings that decide the result, by their names in the config."""
    examples: HeldOutExamples | None = None
    """Examples like those of `data`, scored during training: the held-out loss, which else the documents have."""
    on_policy: bool = False
    """Whether `data` makes a batch of the model as the last step left it; then none is made ahead."""
    measure: Callable[[Any, int, int], Iterator[tuple[str, dict[str, Any]]]] | None = None
    """Yields events for the log at every evaluation, and before the first step; called by every process with the model,
    its number and that of all. What it says of an event "eval" stands in the log with the other scores."""


def start_accelerator(loop: LoopConfig) -> Accelerator:
    """Join the process group and set the number of CPU threads, once in each process."""
    on_cpu = not torch.cuda.is_available() or os.environ.get("ACCELERATE_USE_CPU", "").lower() in ("1", "true")
    # The rotary tables are the only buffers, and they are constants.
    wrapping = DistributedDataParallelKwargs(broadcast_buffers=False, gradient_as_bucket_view=True)
    joining = InitProcessGroupKwargs(timeout=_LONGEST_WAIT)
    accelerator = Accelerator(cpu=on_cpu, mixed_precision="no", kwargs_handlers=[wrapping, joining])
    use_threads(loop.threads)
    keep_freed_memory()
    return accelerator


def train(accelerator: Accelerator, run: Run) -> int:
    """Train from the newest valid checkpoint, or from the start; return `EXIT_DONE`, or `EXIT_STOPPED` after SIGTERM.

    Raises:
        BadInput: another run is training in the folder, the checkpoint belongs to another run, the config cannot be
            satisfied, the loss stays non-finite or far too high, or the disk is full.
    """
    has_held_out = run.examples is not None or (
        run.held_out and run.loss is LIKELIHOOD and len(held_out_documents(run.held_out, 1))
    )
    if run.loop.patience and not has_held_out:
        raise BadInput(
            "loop.patience ends a run by its loss on held-out documents, and this run has none; set it to 0, or raise "
            "tokens.validation_fraction, or the stage's held_out_fraction"
        )
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
    """Return the settings that a resumed run must share: those that decide the result, and the data's digest."""
    settings = {
        f"{section}.{name}": value
        for section, config in (("loop", run.loop), ("optimizer", run.optimizer), ("schedule", run.schedule))
        for name, value in config_as_json(config).items()
        if section != "loop" or name not in PACE_FIELDS | RESUME_FIELDS
    }
    return settings | run.settings | {OBJECTIVE_SETTING: run.objective.name, "the digest of the data": run.data_digest}


@dataclass(frozen=True)
class _StepOutcome:
    """The outcome of one step, the same on every process."""

    loss: float
    """Nats per predicted token."""
    metrics: dict[str, Any]
    """What the loss measures beside itself, in the mean, and the facts of the batch."""
    norm: float
    """Norm of the gradient before clipping."""
    fault: str | None
    """Why the step was skipped."""
    stopping: bool
    """Whether a process was asked to stop."""
    out_of_time: bool
    checkpoint_due: bool
    """Whether the last checkpoint is `loop.checkpoint_minutes` old."""


class _Trainer:
    def __init__(self, accelerator: Accelerator, run: Run, checkpoint: Checkpoint | None) -> None:
        self._accelerator, self._run = accelerator, run
        self._started = time.perf_counter()
        dtype = activation_dtype(run.loop.precision, accelerator.device)
        model = run.objective.build(run.shape, dtype)
        if checkpoint is None:
            run.initialise(model)
        self._model, self._optimizers = wrap_for_training(
            accelerator, model, run.loop, lambda wrapped: build_optimizers(wrapped, run.optimizer, dtype)
        )
        if checkpoint is not None:
            load_training_state(checkpoint, self._model, self._optimizers)
        if run.loop.compiles(run.objective.flop_per_token(run.shape) * run.shape.context, accelerator.device.type):
            accelerator.unwrap_model(self._model).compile_for(accelerator.device)
        progress = checkpoint.progress if checkpoint else Progress(0, 0, run.shape, {})
        self._step, self._tokens = progress.step, progress.tokens
        self._loss_spikes = LossSpikes(run.loop.spike_sigma, progress.loss_spikes)
        self._seconds_before = progress.early_stopping.seconds
        self._end = EarlyStopping(run.loop, progress.early_stopping)
        self._out_of_time = self._end.out_of_time(self._seconds_before)
        self._micro_batch = MicroBatch(run.loop, accelerator.num_processes, run.loss.texts_of_row)
        self._has_optimizer_state = checkpoint is not None
        self._checkpoint_due, self._saved_at = False, time.perf_counter()
        self._reader = ThreadPoolExecutor(max_workers=1)
        self._checkpoints = CheckpointWriter(run.folder / "checkpoints", run.loop)
        self._log: RunLog | SilentLog = SilentLog()
        if accelerator.is_main_process:
            processes, cost = accelerator.num_processes, run.objective.flop_per_token
            speed = StepSpeed(run.shape, accelerator.device, dtype, processes, run.bytes_per_token, cost)
            self._log = RunLog(run.folder, run.loop.trackers, decisive_settings(run), speed, self._step)
        self._log.write("start", self._step, activations=str(dtype).removeprefix("torch."))
        self._log.write("resume" if checkpoint else "data", self._step, **({} if checkpoint else run.data_facts))

    def close(self) -> None:
        self._reader.shutdown(cancel_futures=True)
        self._checkpoints.close()
        self._log.close()

    def train(self, stop: StopSignal) -> int:
        accelerator, loop = self._accelerator, self._run.loop
        self._read_ahead(self._step)
        if self._step == 0 and (found := self._measured()):
            self._log.write("eval", self._step, **found)
        while self._reason_to_end() is None:
            if self._micro_batch.searching:
                rows = self._micro_batch.search(accelerator, self._model, self._run.shape, self._has_optimizer_state)
                self._log.write("micro_batch", self._step, rows=rows)
            began = time.perf_counter()
            batch = self._next_batch()
            waited = time.perf_counter() - began
            factor = learning_rate_factor(self._run.schedule, self._step, loop.steps)
            outcome = self._optimizer_step(batch, factor, stop)
            self._step += 1
            self._tokens += batch.tokens_in_step
            self._log.count_step(batch.tokens_in_step, time.perf_counter() - began, waited)
            self._log_step(outcome, factor)
            if self._loss_spikes.skipping_does_not_help:
                self._rewind(outcome)
                continue
            self._out_of_time = outcome.out_of_time
            if self._reason_to_end() is not None or (loop.evaluate_every and self._step % loop.evaluate_every == 0):
                self._evaluate()
            ending = self._reason_to_end() is not None
            self._checkpoint_due |= outcome.checkpoint_due or self._step % loop.checkpoint_every == 0
            # Between bad steps the weights themselves may be bad, so their checkpoint is put off.
            if ending or outcome.stopping or (self._checkpoint_due and outcome.fault is None):
                self._save(at_once=ending or outcome.stopping)
            if outcome.stopping and not ending:
                return EXIT_STOPPED
        self._log.end(self._step, self._tokens, self._reason_to_end() or "")
        return EXIT_DONE

    def _reason_to_end(self) -> str | None:
        """Return why training ends: "" after the last step, None while there are more."""
        if self._step >= self._run.loop.steps:
            return ""
        if self._out_of_time:
            return f"it reached loop.max_hours, {self._run.loop.max_hours:g} hours of training"
        if self._end.out_of_patience:
            return f"the held-out loss has not fallen for {self._run.loop.patience} evaluations (loop.patience)"
        return None

    def _next_batch(self) -> Batch:
        if self._run.on_policy:
            return self._batch(self._step)
        batch = self._upcoming.result()
        self._read_ahead(self._step + 1)
        return batch

    def _read_ahead(self, step: int) -> None:
        if step < self._run.loop.steps and not self._run.on_policy:
            self._upcoming = self._reader.submit(self._batch, step)

    def _batch(self, step: int) -> Batch:
        number = step + self._loss_spikes.state.batches_passed
        return self._run.data.batch(number, self._accelerator.process_index, self._accelerator.num_processes)

    def _optimizer_step(self, batch: Batch, factor: float, stop: StopSignal) -> _StepOutcome:
        accelerator = self._accelerator
        sums = self._gradient(batch)
        norm = clip_gradient(accelerator, self._model, self._run.optimizer.gradient_clip or math.inf)
        # Clocks differ between processes: the main one's counts.
        late = accelerator.is_main_process and self._end.out_of_time(self._trained_seconds())
        due = accelerator.is_main_process and self._checkpoint_is_old()
        flags = torch.tensor([float(stop.raised), float(late), float(due)], device=sums.device)
        shared = torch.cat([norm.reshape(1) / accelerator.num_processes, flags, sums])
        norm_value, stopping, out_of_time, due_by_time, *summed = accelerator.reduce(shared).tolist()
        loss, *means = (value / max(1, batch.targets_in_step) for value in summed)
        metrics = batch.facts | dict(zip(self._run.loss.metrics, means, strict=True))
        fault = self._loss_spikes.check(loss, norm_value)
        # Without any gradient there is nothing to learn, and momentum would go on moving the weights.
        if fault is None and norm_value > 0:
            set_learning_rates(self._optimizers, factor)
            for optimizer in self._optimizers:
                optimizer.step()
            self._has_optimizer_state = True
        for optimizer in self._optimizers:
            optimizer.zero_grad(set_to_none=True)
        return _StepOutcome(loss, metrics, norm_value, fault, stopping > 0, out_of_time > 0, due_by_time > 0)

    def _gradient(self, batch: Batch) -> Tensor:
        """Leave the step's gradient in the parameters; return this process's sums of the loss and its metrics."""
        accelerator, passes = self._accelerator, self._micro_batch.passes
        total = torch.zeros(1 + len(self._run.loss.metrics), device=accelerator.device)
        # DDP averages over processes; the loss is divided by the tokens of all of them.
        scale = accelerator.num_processes / max(1, batch.targets_in_step)
        mean = self._micro_batch.step_mean(accelerator, self._model, self._run.loss, batch)
        for number, tensors in enumerate(self._micro_batch.passes_of(batch, accelerator.device)):
            with nullcontext() if number == passes - 1 else accumulating(accelerator, self._model):
                sums = self._run.loss.sums(self._model, *tensors, *mean)
                (sums[0] * scale).backward()
            total += sums.detach()
        return total

    def _log_step(self, outcome: _StepOutcome, factor: float) -> None:
        if outcome.fault is not None:
            loss, norm = str(outcome.loss), str(outcome.norm)
            self._log.write("skipped", self._step, loss=loss, grad_norm=norm, reason=outcome.fault)
        elif self._step % self._run.loop.log_every == 0 or self._step == self._run.loop.steps:
            lr = self._run.optimizer.matrix_lr * factor
            self._log.write_step(self._step, self._tokens, outcome.loss, lr, outcome.norm, outcome.metrics)

    def _rewind(self, outcome: _StepOutcome) -> None:
        """Go back to the newest checkpoint saved between good steps, and skip all batches seen since."""
        accelerator, folder = self._accelerator, self._run.folder / "checkpoints"
        self._checkpoints.wait()
        checkpoint = _shared_checkpoint(accelerator, folder, lambda found: found.loss_spikes.in_a_row == 0)
        if checkpoint is None or not self._loss_spikes.may_rewind_to(checkpoint.progress.step):
            raise Diverged(self._divergence(outcome, checkpoint))
        progress, from_step = checkpoint.progress, self._step
        if accelerator.is_main_process:
            remove_checkpoints_after(folder, progress.step)
        load_training_state(checkpoint, self._model, self._optimizers)
        self._loss_spikes.rewind(progress.loss_spikes, progress.step, from_step)
        self._end = EarlyStopping(self._run.loop, progress.early_stopping)
        self._step, self._tokens = progress.step, progress.tokens
        passed = self._loss_spikes.state.batches_passed
        self._log.rewind(self._step, from_step=from_step, batches_passed=passed, reason=outcome.fault)
        self._read_ahead(self._step)

    def _divergence(self, outcome: _StepOutcome, checkpoint: Checkpoint | None) -> str:
        finite = math.isfinite(outcome.loss) and math.isfinite(outcome.norm)
        what = "far above the steps before" if finite else "not finite"
        again = f" (and again after each of {REWINDS} returns to {checkpoint.folder})" if checkpoint else ""
        or_else = ", or set loop.spike_sigma to 0 if such losses are expected" if finite else ""
        return (
            f"the loss or its gradient was {what} in {IN_A_ROW} steps in a row, up to step {self._step}{again}; lower "
            f"optimizer.lr_scale or raise schedule.warmup_steps{or_else}"
        )

    def _measured(self) -> dict[str, Any]:
        """Log what the run measures by itself, and return its scores."""
        found: dict[str, Any] = {}
        if self._run.measure is not None:
            accelerator, model = self._accelerator, self._accelerator.unwrap_model(self._model)
            for event, values in self._run.measure(model, accelerator.process_index, accelerator.num_processes):
                if event == "eval":
                    found |= values
                else:
                    self._log.write(event, self._step, **values)
        return found

    def _evaluate(self) -> None:
        run, accelerator = self._run, self._accelerator
        model, rows = accelerator.unwrap_model(self._model), self._micro_batch.evaluated_rows
        found = self._measured() | self._score_documents(model, rows)
        if run.examples is not None:
            found |= score_examples(accelerator, model, run.loss, run.loop, run.examples, rows)
        if "loss" in found:
            self._end.saw_held_out_loss(found["loss"])
        if found:
            self._log.write("eval", self._step, **found)

    def _score_documents(self, model: nn.Module, rows: int) -> dict[str, Any]:
        """Return what is logged of held-out documents; nothing where there are none."""
        run = self._run
        if run.held_out is None:
            return {}
        documents = held_out_documents(run.held_out, run.loop.evaluation_documents)
        if not len(documents):
            return {}
        held_out = HeldOut(run.held_out, documents, run.shape.context, rows, self._accelerator.device)
        score = score_shared(model, held_out, run.objective.score)
        loss = {"loss": score.loss} if run.loss is LIKELIHOOD else {}
        known = {"bits_per_byte": score.bits_per_byte} if score.text_bytes else {}
        return loss | known | {"documents": score.documents}

    def _save(self, at_once: bool) -> None:
        run, stopping = self._run, self._end.state(self._trained_seconds())
        settings, spikes = decisive_settings(run), self._loss_spikes.state
        progress = Progress(self._step, self._tokens, run.shape, settings, spikes, stopping)
        self._checkpoints.save(progress, self._model, self._optimizers, at_once)
        self._checkpoint_due, self._saved_at = False, time.perf_counter()

    def _checkpoint_is_old(self) -> bool:
        return 0 < 60 * self._run.loop.checkpoint_minutes <= time.perf_counter() - self._saved_at

    def _trained_seconds(self) -> float:
        return self._seconds_before + time.perf_counter() - self._started


def _shared_checkpoint(
    accelerator: Accelerator, folder: Path, suits: Callable[[Progress], bool] = lambda progress: True
) -> Checkpoint | None:
    """Find the checkpoint on the main process, and give every process the answer."""
    found = [newest_valid_checkpoint(folder, suits) if accelerator.is_main_process else None]
    return broadcast_object_list(found)[0]
