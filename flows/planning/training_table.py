"""The training section of a plan as tables: numbers with their sources, laws side by side, memory."""

from collections.abc import Iterator

from rich.table import Table

from flows.display.numbers import duration, short, size
from flows.planning.memory import RESERVED_BYTES
from flows.planning.training_plan import TrainingPlan

_GIB = 2**30


def training_tables(plan: TrainingPlan) -> Iterator[Table]:
    """Yield the tables of the plan, of what other laws say, and of what fits into memory."""
    yield _numbers(plan)
    yield _laws(plan)
    yield _memory(plan)


def _numbers(plan: TrainingPlan) -> Table:
    table = Table(title=f"training: {plan.asked}")
    table.add_column("to train")
    table.add_column("", justify="right")
    table.add_column("how it is known", overflow="fold")
    for name, value, source in _rows(plan):
        table.add_row(name, value, source)
    return table


def _rows(plan: TrainingPlan) -> Iterator[tuple[str, str, str]]:
    shape, learning, basis = plan.shape, plan.learning, plan.basis
    sizes = f"{shape.layers} layers of width {shape.hidden_size}, {shape.heads} heads ({shape.kv_heads} for keys)"
    yield "parameters", short(plan.parameters), f"{basis['parameters']}: {sizes}"
    ratio = f"{plan.tokens / plan.parameters:,.3g} for each parameter"
    yield "tokens", short(plan.tokens), f"{basis['tokens']}; {ratio}"
    if plan.tokens_available:
        times = f"the {short(plan.tokens_available)} tokens for training in the store"
        yield "times over", f"{plan.tokens / plan.tokens_available:,.2f}", times
    batch = f"{learning.global_batch_size:,} sequences of {shape.context:,}"
    yield "tokens a step", short(learning.batch_tokens), batch
    yield "steps", f"{plan.steps:,}", ""
    rates = f"of matrices; embedding {learning.embedding_lr:.3g}, head {learning.head_lr:.3g}; {learning.source}"
    yield "learning rate", f"{learning.matrix_lr:.3g}", rates
    share = f"{basis['flop']}; attention is {plan.attention_share:.0%}"
    yield "FLOP", f"{plan.flop:.3g}", share
    yield "loss", _loss(plan.outcomes[0].loss), f"nats per token; {basis['loss']}"
    yield "time", duration(plan.seconds), basis["seconds"]
    if basis["usd"]:
        yield "cost", "–" if plan.usd is None else f"{plan.usd:,.2f} $", basis["usd"]
    if plan.needed:
        fetched = f"{size(plan.needed.fetched_bytes)} to fetch"
        yield "WARC files", f"{plan.needed.warcs:,}", f"{fetched}; {plan.needed.source}"


def _laws(plan: TrainingPlan) -> Table:
    table = Table(title="by law, the one that decides first")
    for name in ("law", "parameters", "tokens", "loss"):
        table.add_column(name, justify="left" if name == "law" else "right", no_wrap=True)
    table.add_column("source", overflow="fold")
    for one in plan.outcomes:
        table.add_row(one.law.name, short(one.parameters), short(one.tokens), _loss(one.loss), one.law.source)
    return table


def _memory(plan: TrainingPlan) -> Table:
    reserved = f", {RESERVED_BYTES / _GIB:.1f} GiB of them left free" if plan.memory_bytes else ""
    of = f" of {plan.memory_bytes / _GIB:.1f}" if plan.memory_bytes else ""
    table = Table(title=f"memory of each GPU in GiB{of}{reserved}; {plan.basis['memory']}")
    table.add_column("parallel", overflow="fold")
    table.add_column("activations", overflow="fold")
    for name in ("state", "a pass", "each sequence", "an update", "micro batch", "all"):
        table.add_column(name, justify="right", overflow="fold")
    for fit in plan.memory:
        held = (fit.state_bytes, fit.working_bytes, fit.bytes_per_sequence, fit.update_bytes)
        table.add_row(
            fit.parallelism,
            "recomputed" if fit.activation_checkpointing else "kept",
            *(_gib(each) for each in held),
            f"{fit.micro_batch:,}" if fit.micro_batch else "does not fit",
            _gib(fit.bytes),
        )
    return table


def _loss(loss: float | None) -> str:
    return "no forecast" if loss is None else f"{loss:.3f}"


def _gib(count: int) -> str:
    return f"{count / _GIB:,.2f}"
