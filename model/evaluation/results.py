"""What evaluation leaves, as the report reads it back. Needs no torch."""

from dataclasses import dataclass


@dataclass(frozen=True)
class GroupScore:
    """The held-out documents of one domain or language."""

    kind: str
    """`domain` or `language`."""
    name: str
    documents: int
    text_bytes: int
    bits_per_byte: float


@dataclass(frozen=True)
class Validation:
    """A model that generates text, on held-out documents."""

    documents: int
    tokens: int
    text_bytes: int
    loss: float
    """Nats per token."""
    bits_per_byte: float
    unigram_bits_per_byte: float
    """The same documents under token frequencies alone."""
    groups: tuple[GroupScore, ...] = ()
    """By domain and by language, where they are known."""


@dataclass(frozen=True)
class Gaps:
    """A model that fills gaps, on held-out documents; it has no bits per byte."""

    objective: str
    documents: int
    tokens: int
    loss: float
    """Nats per hidden token."""
    unigram_loss: float
    """The same documents under token frequencies alone, in nats per token."""


@dataclass(frozen=True)
class TextSample:
    """The beginning of a held-out document, and how the model goes on."""

    prompt: str
    text: str


@dataclass(frozen=True)
class Reply:
    """One question with the model's reply: a line of replies.jsonl."""

    id: str
    group: str
    question: str
    answer: str
    """The right one."""
    reply: str
    """What the model said."""
    right: bool


@dataclass(frozen=True)
class Measured:
    """One metric over a task, with its 95% interval."""

    metric: str
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class TaskSample:
    """An item with what the model said."""

    prompt: str
    said: str
    right: str


@dataclass(frozen=True)
class TaskResult:
    """What a model came to on one task after a number of examples."""

    task: str
    shots: int
    """Examples shown before each item."""
    items: int
    metrics: tuple[Measured, ...]
    contaminated: int = 0
    """Items that the corpus holds, in part or whole."""
    clean_metrics: tuple[Measured, ...] = ()
    """The same over the other items, where some are contaminated."""
    samples: tuple[TaskSample, ...] = ()
    """The first items with what the model said."""
