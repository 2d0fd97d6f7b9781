"""The report in a screenful of terminal: the funnel, the losses, the scores, one question and the model's answer."""

import dataclasses
from collections.abc import Iterator, Sequence
from itertools import pairwise

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from flows.display.numbers import decimal, duration, grouped, share, short, size
from flows.report.readers.evaluation import Evaluation, GroupAccuracy
from flows.report.readers.funnel import Funnel, FunnelStage
from flows.report.sections import Report
from flows.report.truth.truth_score import TruthScore
from flows.store.missing import Missing
from flows.store.run_record import RunRecord
from flows.store.training_log import Training
from model.base.safe_text import harmless
from model.evaluation.results import Reply
from tasks.dataset.store import Store

_BAR = 24
_SPARKS = "▁▂▃▄▅▆▇█"
_SPARK_WIDTH = 24
_REASONS = 3
_DISCREPANCIES = 5


def print_outcome(console: Console, store: Store, record: RunRecord) -> None:
    """Show the outcome of a run, as far as it came; what is missing is named and never raises."""
    report = Report(store, record)
    console.print()
    console.print(_title(record))
    if report.has_corpus:
        console.print(Padding(_funnel(report.funnel), (1, 0, 0, 2)))
        for line in _check_of_counts(report.discrepancies, report.funnel):
            console.print(Padding(line, (0, 0, 0, 2)))
    rows = [*_training_rows(report), *_score_rows(report)]
    for named in (rows, [] if isinstance(report.evaluation, Missing) else _words_of_the_model(report.evaluation)):
        if named:
            console.print(Padding(_grid(named), (1, 0, 0, 2)))


def _title(run: RunRecord) -> RenderableType:
    style = {"completed": "green", "failed": "red"}.get(run.state, "yellow")
    title = Text.assemble((str(run.recipe["name"]), "bold"), f" · {run.crawl} · ", (run.state, style))
    if run.seconds is not None:
        title.append(f" · {duration(run.seconds)}")
    return Group(title, Text(harmless(run.error), style="red")) if run.error else title


def _funnel(funnel: Funnel | Missing) -> RenderableType:
    if isinstance(funnel, Missing):
        return _missing(funnel)
    if not funnel.stages:
        return Text("No part of the extraction is finished, so there is nothing to count yet.", style="dim")
    read_from = f"from {funnel.files}, {size(funnel.warc_bytes)}"
    if funnel.failed_warcs:
        read_from += f"; {grouped(funnel.failed_warcs)} more could not be fetched"
    rows = [("records", grouped(funnel.records), _bar(1.0), read_from)]
    for stage in funnel.stages:
        kept = _bar(stage.kept / funnel.records if funnel.records else 0.0)
        rows.append((stage.stage, grouped(stage.kept), kept, _removed(stage)))
    table = Table(box=None, show_header=False, padding=(0, 1, 0, 0), pad_edge=False, expand=True)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(width=_BAR)
    table.add_column(no_wrap=True, overflow="ellipsis", style="dim", ratio=1)
    for row in rows:
        table.add_row(*row)
    if not (tokens := funnel.tokens):
        return table
    packed = f" in {grouped(funnel.packing.sequences)} sequences" if funnel.packing else ""
    split = f"{short(tokens.train_tokens)} to train on{packed}; {short(tokens.validation_tokens)} held out"
    return Group(table, Text.assemble(("tokens", "bold"), f" {grouped(tokens.tokens)}: ", (split, "dim")))


def _removed(stage: FunnelStage) -> str:
    """Return how many documents a stage removed, and the most frequent reasons."""
    reasons = ", ".join(f"{reason.reason} {grouped(reason.count)}" for reason in stage.reasons[:_REASONS])
    partly = "" if stage.finished else f" ({stage.parts} of {stage.expected or '?'} parts so far)"
    return f"−{grouped(stage.removed)}{partly}{': ' + reasons if reasons else ''}"


def _check_of_counts(discrepancies: list[str] | Missing, funnel: Funnel | Missing) -> Iterator[RenderableType]:
    """Yield whether the counts add up."""
    if isinstance(discrepancies, Missing):
        yield _missing(discrepancies)
    elif discrepancies:
        yield Text("The counts do not add up:", style="bold red")
        for line in discrepancies[:_DISCREPANCIES]:
            yield Text(f"  {line}", style="red")
        if len(discrepancies) > _DISCREPANCIES:
            yield Text(f"  and {len(discrepancies) - _DISCREPANCIES} more, in the report", style="red")
    elif isinstance(funnel, Funnel) and funnel.stages:
        yield Text("All counts add up: nothing disappeared.", style="dim")


def _training_rows(report: Report) -> Iterator[tuple[str, RenderableType]]:
    """Yield a line for each training stage of the recipe."""
    for stage, training in report.trainings.items():
        if stage in report.record.stages:
            yield stage, _missing(training) if isinstance(training, Missing) else _losses(training)


def _losses(training: Training) -> Text:
    line = Text(f"loss {training.steps[0].loss:.2f} → {training.last.loss:.2f} ")
    line.append(_sparks([step.loss for step in training.steps]), style="cyan")
    planned = training.planned_steps
    of = f" of {grouped(planned)}" if planned and planned != training.last.step else ""
    speed = f" {grouped(training.last.step)}{of} steps, {short(training.tokens_per_second)} tokens/s"
    return line.append("; ".join([speed, *map(harmless, training.incidents)]), style="dim")


def _score_rows(report: Report) -> Iterator[tuple[str, RenderableType]]:
    """Yield bits per byte, accuracy, and the score against the truth, as far as there are any."""
    if "evaluate" in report.record.stages:
        evaluation = report.evaluation
        missing = isinstance(evaluation, Missing)
        yield from [("evaluation", _missing(evaluation))] if missing else _evaluation_rows(evaluation)
    if report.has_truth:
        truth = report.truth
        yield "truth", _missing(truth) if isinstance(truth, Missing) else _truth(truth)


def _evaluation_rows(evaluation: Evaluation) -> Iterator[tuple[str, RenderableType]]:
    validation = evaluation.validation
    if validation:
        line, before = Text(), evaluation.pretrained_bits_per_byte
        if before is not None:
            line = Text.assemble((decimal(before), "cyan"), (" pretrained, ", "dim"))
        line.append(decimal(validation.bits_per_byte), style="cyan")
        line.append(" finetuned" if before is not None else " on held-out documents", style="dim")
        line.append(f"; token frequencies alone {decimal(validation.unigram_bits_per_byte)}", style="dim")
        yield "bits/byte", line
    for group in evaluation.groups:
        words = f" {group.group.replace('_', ' ')}: {grouped(group.right)} of {grouped(group.n)} answers right"
        line = Text.assemble((share(group.accuracy), "cyan"), (words, "dim"))
        earlier = ", ".join(_otherwise(evaluation, group))
        yield "questions", line.append(f"; {earlier}" if earlier else "", style="dim")


def _otherwise(evaluation: Evaluation, group: GroupAccuracy) -> Iterator[str]:
    """Yield earlier stages whose model answered more or fewer questions of a group, each with how many."""
    for stage, scores in evaluation.stages.items():
        for one in scores.groups:
            if one.group == group.group and one.right != group.right:
                yield f"{stage} {grouped(one.right)}"


def _truth(truth: TruthScore) -> Text:
    words = f" of {grouped(truth.decisions.pages)} records treated as they should be"
    line = Text.assemble((share(truth.decisions.agreeing), "cyan"), (words, "dim"))
    if truth.extraction.overall:
        line.append(f", text F1 {decimal(truth.extraction.overall.f1)}", style="dim")
    return line


def _words_of_the_model(evaluation: Evaluation) -> list[tuple[str, RenderableType]]:
    """Return one question with the model's answer; without questions, how the model continues a document."""
    if reply := evaluation.showcase:
        return _conversation(reply)
    if not evaluation.samples:
        return []
    prompt, text = (harmless(" ".join(part.split())) for part in dataclasses.astuple(evaluation.samples[0]))
    return [("Prompt", Text(prompt)), ("Model", Text(text or "(nothing)", style="bold cyan"))]


def _conversation(reply: Reply) -> list[tuple[str, RenderableType]]:
    mark = ("right", "bold green") if reply.right else (f"wrong, it is {harmless(reply.answer)}", "bold red")
    answer = Text.assemble((harmless(reply.reply) or "(no answer)", "bold cyan"), "  (", mark, ")")
    return [("You", Text(harmless(reply.question))), ("Model", answer)]


def _grid(rows: list[tuple[str, RenderableType]]) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column(no_wrap=True, style="bold")
    table.add_column()
    for row in rows:
        table.add_row(*row)
    return table


def _bar(part: float) -> Text:
    full = round(part * _BAR)
    return Text.assemble(("█" * full, "cyan"), ("░" * (_BAR - full), "dim"))


def _sparks(values: Sequence[float]) -> str:
    """Draw `values` as one line of small bars, each the mean of its stretch."""
    width = min(_SPARK_WIDTH, len(values))
    bounds = [place * len(values) // width for place in range(width + 1)]
    means = [sum(values[a:b]) / (b - a) for a, b in pairwise(bounds)]
    low, high = min(means), max(means)
    steps = len(_SPARKS) - 1
    return "".join(_SPARKS[round((mean - low) / (high - low) * steps) if high > low else 0] for mean in means)


def _missing(value: Missing) -> Text:
    return Text(harmless(value.why), style="dim")
