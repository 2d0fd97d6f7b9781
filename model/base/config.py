"""The configs of the model's programs, as frozen dataclasses that the flow writes as JSON.

Notable:
- Needs no torch. The `...Section` classes are also the sections of a recipe, so a field is declared once, here; a
  `...Config` adds what only the program needs: folders, files, and how many threads to use.
- Where a run keeps its files and the pace of its loop may change between a run and its resume, and `steps` may grow;
  most other fields may not (model/base/deciding_fields.py).
- Batch sizes are counted over all processes, so the same config gives the same run on one process or many.
"""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from model.base.field_checks import require, require_finite
from model.base.learning_config import ConversationSet, ConversationShare, LoraConfig, OptimizerConfig, ScheduleConfig
from model.base.sizes import ModelShape

ObjectiveName = Literal["causal", "masked", "span_corruption"]
"""What a model is trained to do (model/objectives/objectives.py)."""
GgufPrecision = Literal["float32", "float16", "bfloat16", "q8_0", "q4_0"]
"""What the weights of a GGUF file can be (model/gguf_export.py)."""
_COMPILED_FROM_CPU_FLOP, _COMPILED_FROM_GPU_FLOP = 2e13, 5e16
"""FLOP of a whole run from which compiling makes up for its start: on a CPU two minutes (measured, docs/log.md: half a
minute at the start, then a quarter less); on a GPU two minutes of a fast one (assumed)."""
MAX_SEED = 2**64 - 1
"""Largest seed of torch's generators."""


@dataclass(frozen=True)
class LoopConfig:
    """The training loop shared by pretraining and finetuning (model/training/training_loop.py)."""

    steps: int
    """Optimizer steps of the whole run."""
    global_batch_size: int
    """Sequences of one optimizer step, over all processes."""
    micro_batch: int = 0
    """Sequences of one forward pass on one process; 0 takes all of a process's share at once; -1 takes as many as fit
    into a GPU's memory: before the first steps all are tried at once, then half, until no process runs out of
    memory."""
    seed: int = 0
    """Seeds the initial weights and the order of the sequences."""
    precision: Literal["bfloat16", "float32"] = "bfloat16"
    """Type of the activations; weights and optimizer state are always float32. A CPU without bfloat16 instructions uses
    float32 instead, which is several times faster there; the metrics log says which was used."""
    document_mask: bool = True
    """Whether attention stops at document boundaries inside a packed sequence."""
    compile: Literal[False, True, "auto"] = False
    """Whether torch.compile makes the steps faster: whole blocks on a GPU; on a CPU the operations between the matrix
    products, which needs a C++ compiler and half a minute at the start, and saves a fifth of every step. `auto`: where
    the whole run is so long that it makes up for the start."""
    parallelism: Literal["ddp", "fsdp"] = "ddp"
    """What each of several processes holds: `ddp` the whole model, `fsdp` a shard of its weights, gradients and
    optimizer state (FSDP2), for models that do not fit into one GPU's memory."""
    float8: bool = False
    """Whether the blocks' linear layers multiply in float8 while training (model/network/float8.py): faster for large
    models on GPUs that have it, together with `compile`; needs bfloat16 precision and sizes that are multiples of
    16."""
    activation_checkpointing: bool = False
    """Whether each block's activations are computed again in the backward pass instead of being kept: they then take
    the memory of one block instead of all, for about a third more arithmetic."""
    threads: int = 0
    """CPU threads of each process; 0 shares the machine's cores among its processes."""
    log_every: int = 1
    """Steps between two lines of the metrics log."""
    evaluate_every: int = 0
    """Steps between two evaluations on held-out documents; 0 evaluates at the end only."""
    evaluation_documents: int = 256
    """Held-out documents of an evaluation during training, the first ones in the dataset; 0 takes all."""
    checkpoint_every: int = 500
    """Steps between two checkpoints; the last step is always one."""
    checkpoint_minutes: float = 0.0
    """Minutes after a checkpoint at which there is another, whatever the step, so that a kill costs no more where steps
    are slow; 0 goes by steps alone."""
    keep_checkpoints: int = 2
    """Newest checkpoints that are kept."""
    background_checkpoint_mib: int = 64
    """A checkpoint of at least this many MiB, over all processes, is copied and then written while training goes on;
    smaller ones, which take no time, and that of the last step are written at once."""
    spike_sigma: float = 0.0
    """A step whose loss or gradient norm lies more than this many standard deviations above the last 128 accepted steps
    is skipped (model/training/loss_spikes.py); 6 is usual for long runs with large batches; 0 skips only what is not
    finite."""
    max_hours: float = 0.0
    """Hours of training, over all resumes, after which the run ends with a checkpoint; 0 sets no limit. The learning
    rate follows `steps` alone, so a run that ends here misses its decay. Two runs under a limit may differ, since
    machines differ in how far they come."""
    patience: int = 0
    """Evaluations on held-out documents without a new best loss after which the run ends, with its newest weights, not
    its best ones; 0 never does. Needs `evaluate_every`."""
    trackers: tuple[Literal["tensorboard", "wandb"], ...] = ()
    """Where metrics go besides metrics.jsonl: `tensorboard` and `wandb`, each in a folder of that name in the model
    folder. W&B reads its own environment variables, such as WANDB_MODE=offline."""

    def __post_init__(self) -> None:
        for name in ("steps", "global_batch_size", "log_every", "checkpoint_every", "keep_checkpoints"):
            require(getattr(self, name) >= 1, f"{name} must be at least 1")
        counts = ("threads", "evaluate_every", "evaluation_documents", "background_checkpoint_mib")
        for name in (*counts, "seed", "checkpoint_minutes", "spike_sigma", "max_hours", "patience"):
            require(getattr(self, name) >= 0, f"{name} must not be negative")
        require_finite(self)
        require(self.seed <= MAX_SEED, f"seed must be at most {MAX_SEED}")
        require(self.micro_batch >= -1, "micro_batch must be at least -1")
        require(not self.float8 or self.precision == "bfloat16", "float8 needs precision bfloat16")
        require(not self.patience or self.evaluate_every > 0, "patience needs evaluate_every above 0")

    def compiles(self, sequence_flop: float, device: str) -> bool:
        """Return whether to compile on a device of this type, where a sequence takes so many FLOP.

        It depends on the whole run alone, so that a resumed one decides likewise; and on a compiler, on a CPU.
        """
        if self.compile != "auto":
            return self.compile
        flop = self.steps * self.global_batch_size * sequence_flop
        if device == "cpu":
            return flop >= _COMPILED_FROM_CPU_FLOP and shutil.which(os.environ.get("CXX", "g++")) is not None
        return flop >= _COMPILED_FROM_GPU_FLOP


@dataclass(frozen=True, kw_only=True)
class PretrainSection:
    """Pretraining: the model's sizes and how it learns."""

    shape: ModelShape
    """Sizes of the model. In a recipe, vocabulary and context follow the tokenizer and the packing unless given, and
    `depth` sets all other sizes that are not given (model/base/sizes.py)."""
    loop: LoopConfig
    """Steps, batch, precision, logging, checkpoints."""
    optimizer: OptimizerConfig = OptimizerConfig()
    """Optimizer and its constants."""
    schedule: ScheduleConfig = ScheduleConfig()
    """Learning rate over the run."""
    objective: ObjectiveName = "causal"
    """`causal`: a decoder that predicts the next token. `masked`: an encoder that predicts masked tokens (BERT,
    arXiv:1810.04805). `span_corruption`: an encoder, and a decoder that writes the spans missing from a text (T5,
    arXiv:1910.10683). Only a causal model can be finetuned, exported and chatted with."""
    init: str | None = None
    """Folder of a causal model whose weights training begins with: an export, a Qwen3 as transformers saves it, or a
    model folder, such as `models/NAME` of the store, with its newest checkpoint. Its sizes are those of `shape`, but
    for the context, and for the vocabulary, which may grow: a new token begins as the mean of all others. A recipe need
    not say the sizes of a folder with safetensors. null: the weights are drawn at random."""
    init_digest: str | None = None
    """xxh3-128 of what `init` holds; a run fills it in, and refuses another than is given."""

    def __post_init__(self) -> None:
        self.schedule.check_steps(self.loop.steps)
        require(
            self.objective == "causal" or self.loop.document_mask,
            "loop.document_mask must be true where the objective is not causal: gaps are filled from their own "
            "document",
        )
        require(self.init is None or self.objective == "causal", "init needs the objective causal")
        require(
            self.shape.head_norms or not self.shape.sliding_window,
            "shape.sliding_window needs shape.head_norms: without them the export is a Llama, which has no windows",
        )


@dataclass(frozen=True, kw_only=True)
class PretrainConfig(PretrainSection):
    """`python -m model.pretrain CONFIG`: from packed tokens to a base model."""

    folder: Path
    """The model folder: config.json, metrics.jsonl and checkpoints/ are written here."""
    tokens: str
    """The tokens dataset: a folder of part-NNNNN.parquet, or the URL of one that fsspec can open, such as s3://..."""
    packing: str
    """The packing plan, likewise."""
    cache: Path
    """Folder for the memory-mapped copy of the tokens, on a local disk; runs may share it."""


@dataclass(frozen=True, kw_only=True)
class SftSection:
    """Finetuning on conversations."""

    base: str | None = None
    """Folder of the model to finetune, in place of pretraining one: an export, a model as transformers saves it, or
    `models/NAME` of the store. Such a recipe has no `pretrain` section, and crawls nothing unless something else in it
    needs a corpus, such as `replay`. null: the pretrained model."""
    base_digest: str | None = None
    """xxh3-128 of what `base` holds; a run fills it in, and refuses another than is given."""
    context: int = 0
    """Longest conversation, in tokens; 0 takes the model's whole context, and of another's `base` no more than
    `packing.context`."""
    conversations: str = "starter"
    """Path of a JSONL or Parquet file of conversations: {"messages": [{"role": ..., "content": ...}]}, as the chat APIs
    have it, where content may be parts of text, and an assistant's message may have `tool_calls`, a `weight` of 0 if it
    is not to be learnt, and `reasoning_content`, which, as in Qwen3, is learnt after the last question only; or
    ShareGPT's {"conversations": [...]}; or Alpaca's {"instruction": ..., "input": ..., "output": ...}. In a recipe also
    `starter`, the small general set that Sluice makes itself, or `synthetic_web`, the conversations that go with the
    synthetic web."""
    share: ConversationShare = ConversationShare()
    """How much of them is trained on."""
    mixture: tuple[ConversationSet, ...] = ()
    """Further sets that are mixed in."""
    held_out_fraction: float = 0.02
    """Share of the conversations that are not trained on but scored with every evaluation."""
    replay: float = 0.0
    """Tokens of pretraining text that are trained on beside the conversations, for each token that is learnt of these:
    what keeps a model from forgetting. As many documents are drawn as have so many, each at most once."""
    loop: LoopConfig
    """Steps, batch, precision, logging, checkpoints."""
    lora: LoraConfig | None = None
    """Trains low-rank adapters instead of the weights: their optimizer takes less memory; null trains all weights."""
    optimizer: OptimizerConfig = OptimizerConfig(lr_scale=0.0625)
    """Optimizer and its constants; by default a sixteenth of pretraining's learning rates."""
    schedule: ScheduleConfig = ScheduleConfig()
    """Learning rate over the run."""

    def __post_init__(self) -> None:
        self.schedule.check_steps(self.loop.steps)
        require_finite(self)
        require(0 <= self.held_out_fraction < 1, "held_out_fraction must be at least 0 and below 1")
        require(self.context >= 0, "context must not be negative")
        require(self.replay >= 0, "replay must not be negative")
        weighted = {share.weight is not None for share in (self.share, *(one.share for one in self.mixture))}
        require(len(weighted) == 1, "either every set of conversations has a weight, or none")


@dataclass(frozen=True, kw_only=True)
class ScoredTokens:
    """Where a program finds the documents that it scores a model on."""

    tokens: str | None = None
    """The tokens dataset, a folder or a URL: its held-out documents are scored, and its others replayed where that is
    asked for; without it none are."""
    cache: Path | None = None
    """Folder for the memory-mapped copy of the tokens; needed with `tokens`."""

    def require_cache(self) -> None:
        """Raise BadInput where there is no place for the tokens that are named."""
        require(self.tokens is None or self.cache is not None, "cache is needed with tokens")


@dataclass(frozen=True, kw_only=True)
class SftConfig(SftSection, ScoredTokens):
    """`python -m model.sft CONFIG`: from a base model and conversations to a chat model."""

    folder: Path
    """The new model's folder: config.json, metrics.jsonl and checkpoints/ are written here."""
    base: str
    """The model to start from: a model folder (its newest valid checkpoint) or an export folder. With `base_digest` its
    vocabulary may grow: a new token begins as the mean of all others."""
    tokenizer: Path
    """The base model's tokenizer.json."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require_cache()
        require(not self.replay or self.tokens is not None, "tokens are needed with replay")


@dataclass(frozen=True, kw_only=True)
class EvaluateSection:
    """Evaluation of the finished model."""

    questions: str | None = None
    """Path of a JSONL file of questions with their answers (id, question, answer, group; `system`, a system prompt, and
    `tools`, true where the model may call them, are optional); in a recipe also `synthetic_web`, the questions that go
    with the synthetic web. Without it no questions are asked."""
    tools: tuple[str, ...] = ()
    """Tools that the model may call where a question says so: `calculator`, `search=FOLDER` with the folder of an
    index, or MODULE:NAME for one of your own; in a recipe also `search`, over the run's own corpus."""
    validation_documents: int = 0
    """Held-out documents to score, the first ones in the dataset; 0 takes all."""
    max_new_tokens: int = 48
    """Longest reply, in tokens."""
    tasks: tuple[str, ...] = ()
    """Evaluation tasks: names of shipped ones, such as `arithmetic`, or paths of YAML files in lm-evaluation-harness's
    format (docs/evaluation.md); in a recipe also `cloze`, which is made from held-out pages."""
    shots: tuple[int, ...] = ()
    """Examples that are shown before each item of a task, such as [0, 1, 5]: the task is asked with each number; empty:
    with the number that it says itself."""
    task_items: int = 0
    """Items of each task, the first ones; 0 takes all."""
    task_seed: int = 1234
    """Seeds the draws of examples; 1234 is lm-evaluation-harness's."""
    compare_stages: bool = False
    """Whether the model of every training stage is asked the same and scored on the same documents, so that the report
    shows what each stage changed."""

    def __post_init__(self) -> None:
        require(self.max_new_tokens >= 1, "max_new_tokens must be at least 1")
        require(self.task_items >= 0, "task_items must not be negative")
        require(all(number >= 0 for number in self.shots), "shots must not be negative")
        require(self.validation_documents >= 0, "validation_documents must not be negative")


@dataclass(frozen=True, kw_only=True)
class EarlierModel:
    """A model that another one was made from."""

    stage: str
    """The training stage that made it."""
    model: Path
    """Its folder."""


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig(EvaluateSection, ScoredTokens):
    """`python -m model.evaluate CONFIG`: bits per byte on held-out documents, and answers to questions."""

    model: Path
    """The model to evaluate: a model folder (its newest valid checkpoint) or an export folder."""
    result: Path
    """The JSON file to write."""
    groups: Path | None = None
    """Parquet file with `domain` and `language` of the held-out documents, in their order: each is then scored too."""
    tokenizer: Path | None = None
    """The model's tokenizer.json; needed with `questions`, and for the samples that are written without them."""
    earlier: tuple[EarlierModel, ...] = ()
    """Models that this one was made from, oldest first. The first one's text is sampled where no questions are asked;
    all are asked with `compare_stages`."""
    replies: Path | None = None
    """JSONL file to write, with the reply to every question; needed with `questions`."""
    items: Path | None = None
    """Parquet file to write, with a row for each item of the tasks."""
    average_checkpoints: int = 1
    """Checkpoints of a model folder whose weights are averaged, the newest ones."""
    contaminated: Path | None = None
    """JSON file with the addresses of the pages that hold each item, by `task/number`, counted from 0: such items are
    marked, and a task's values are also given without them."""
    batch: int = 64
    """Sequences or questions of one forward pass."""
    precision: Literal["bfloat16", "float32"] = "float32"
    """Type of the activations."""
    threads: int = 0
    """CPU threads; 0 takes all of the machine's cores."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.batch >= 1, "batch must be at least 1")
        require(self.average_checkpoints >= 1, "average_checkpoints must be at least 1")
        self.require_cache()
        for name in ("tokenizer", "replies"):
            require(self.questions is None or getattr(self, name) is not None, f"{name} is needed with questions")


@dataclass(frozen=True, kw_only=True)
class ExportSection:
    """The exported model."""

    precision: Literal["bfloat16", "float32"] = "float32"
    """Type of the exported weights."""


@dataclass(frozen=True, kw_only=True)
class ExportConfig(ExportSection):
    """`python -m model.export CONFIG`: a folder that transformers loads as Qwen3."""

    model: Path
    """The model folder whose newest valid checkpoint is exported."""
    tokenizer: Path
    """The model's tokenizer.json."""
    output: Path
    """The export folder to write, replaced as a whole."""
    compare: bool = True
    """Whether to load the result in transformers, where it is installed, and compare logits in float32."""
    identity: str = ""
    """What the caller calls this export; written to export_report.json."""
