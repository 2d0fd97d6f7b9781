"""What would change, in a screenful of terminal: both funnels, the rules, the documents that change sides."""

from collections.abc import Iterable, Iterator

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from flows.display.numbers import duration, grouped, share
from flows.store.deciding_stages import outcome_words
from flows.store.why import Change
from flows.what_if.outcome import Estimate, RuleChange, StageChange, WhatIf
from flows.what_if.parts import NEWLY_DROPPED, NEWLY_KEPT
from flows.what_if.samples import Sample
from model.base.safe_text import harmless

_SIDES = ((NEWLY_KEPT, "newly kept", "green"), (NEWLY_DROPPED, "newly dropped", "red"))
_LANGUAGES = 8
_URL_CHARACTERS = 110


def print_what_if(console: Console, found: WhatIf) -> None:
    """Print all of `found`; addresses in it come from strangers and are made harmless."""
    console.print()
    for block in _blocks(found):
        console.print(Padding(block, (0, 0, 1, 0)))


def _blocks(found: WhatIf) -> Iterator[RenderableType]:
    yield _title(found)
    if found.changes or found.needs_run:
        yield _changes(found)
    yield _funnel(found)
    for stage in found.stages:
        if stage.changes or any(map(_has_changed, stage.rules)):
            yield _rules(stage)
        if stage.changes:
            yield _sides(stage)
            yield from _samples(stage)
    if found.notes:
        yield _lines(Text(f"· {note}", style="dim") for note in found.notes)


def _title(found: WhatIf) -> Text:
    title = Text.assemble((found.run, "bold"), f" · {found.crawl}")
    title.append(f" · {grouped(found.decisions)} decisions made again in {duration(found.seconds)}", style="dim")
    if found.parts != found.parts_expected:
        title.append(f" · {found.parts} of {found.parts_expected or '?'} parts so far", style="yellow")
    return title


def _changes(found: WhatIf) -> RenderableType:
    """Return the fields in which the recipe differs from the run."""
    lines = [_change(change) for change in found.changes] or [Text("no field that rules read differs", style="dim")]
    if found.needs_run:
        lines.append(Text("Needs a new run, so as in the run:", style="yellow"))
        lines += [_change(change) for change in found.needs_run]
    return _lines(lines)


def _change(change: Change) -> Text:
    return Text.assemble(f"  {change.stage}.{change.field}: {_value(change.before)} → ", (_value(change.after), "bold"))


def _value(value: object) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list):
        return ", ".join(map(_value, value)) or "none"
    return "none" if value is None else harmless(str(value))


def _funnel(found: WhatIf) -> Table:
    records = found.stages[0].read_before
    table = _table("", "run", "", "recipe", "", "")
    table.add_row("records read", grouped(records), "", grouped(records))
    for stage in found.stages:
        before, after = stage.kept_before, stage.kept_after
        table.add_row(
            Text(outcome_words(stage.stage), style="bold"),
            grouped(before),
            Text(_of(before, records), style="dim"),
            Text(_number(after), style="bold"),
            Text(_of(after.likely, records), style="dim"),
            _sum_of_sides(stage),
        )
    return table


def _of(part: int, whole: int) -> str:
    return share(part / whole) if whole else ""


def _number(count: Estimate) -> str:
    """`812`, or `~812 (790 to 840)` where it is not known exactly."""
    if count.least == count.most:
        return grouped(count.least)
    return f"~{grouped(count.likely)} ({grouped(count.least)} to {grouped(count.most)})"


def _sum_of_sides(stage: StageChange) -> Text:
    counts = zip(_SIDES, "+−", (stage.newly_kept, stage.newly_dropped), strict=True)
    return Text.assemble(*((f"{sign}{grouped(n)} {words}  ", style) for (_, words, style), sign, n in counts if n))


def _rules(stage: StageChange) -> Table:
    table = _table(f"{stage.stage}: rule", "fail, run", "fail, recipe", "", "threshold")
    changed = [rule for rule in stage.rules if _has_changed(rule)]
    for rule in changed:
        differs = rule.failed_before != rule.failed_after
        difference = f"{rule.failed_after - rule.failed_before:+,}".replace("-", "−") if differs else ""
        table.add_row(
            Text(harmless(rule.rule), style="bold"),
            grouped(rule.failed_before),
            grouped(rule.failed_after),
            Text(difference, style="green" if rule.failed_after < rule.failed_before else "red"),
            _limits(rule),
        )
    if len(changed) < len(stage.rules):
        table.add_row(Text(f"and {len(stage.rules) - len(changed)} as before", style="dim"))
    return table


def _has_changed(rule: RuleChange) -> bool:
    return rule.failed_before != rule.failed_after or rule.limit_before != rule.limit_after


def _limits(rule: RuleChange) -> str:
    limits = ["none" if limit is None else f"{round(limit, 5):g}" for limit in (rule.limit_before, rule.limit_after)]
    return "" if limits == ["none", "none"] else " → ".join(dict.fromkeys(limits))


def _sides(stage: StageChange) -> Table:
    """Return which documents change sides, by language and by domain."""
    table = _table(f"{stage.stage}: changing sides", "newly kept", "newly dropped", "kept, run", "kept, recipe")
    changed = [one for one in stage.languages if one.newly_kept or one.newly_dropped]
    for language in changed[:_LANGUAGES]:
        numbers = (language.newly_kept, language.newly_dropped, language.kept_before, language.kept_after)
        table.add_row(f"language {harmless(language.language)}", *map(grouped, numbers))
    if len(changed) > _LANGUAGES:
        table.add_row(Text(f"and {len(changed) - _LANGUAGES} more languages", style="dim"))
    for domain in stage.domains:
        name = Text(harmless(domain.domain) or "(no address)", overflow="ellipsis", no_wrap=True)
        table.add_row(name, grouped(domain.newly_kept), grouped(domain.newly_dropped))
    return table


def _samples(stage: StageChange) -> Iterator[RenderableType]:
    for side, words, colour in _SIDES:
        chosen = stage.samples.get(side, [])
        if chosen:
            heading = Text(f"{stage.stage}: some of those {words}", style=f"bold {colour}")
            yield _lines([heading, *(_sample(sample, side) for sample in chosen)])


def _sample(sample: Sample, side: str) -> Text:
    reasons = sample.before if side == NEWLY_KEPT else sample.after
    url, was = Text(harmless(sample.url)), "was" if side == NEWLY_KEPT else "now"
    url.truncate(_URL_CHARACTERS, overflow="ellipsis")
    found = f"{harmless(sample.id)} {harmless(sample.language)}\n    {was} {harmless('; '.join(reasons))}"
    return Text.assemble("  ", url, " ", (found, "dim"))


def _table(*columns: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    for place, column in enumerate(columns):
        table.add_column(column, justify="right" if place in (1, 2, 3, 4) and column != "threshold" else "left")
    return table


def _lines(lines: Iterable[Text]) -> Text:
    return Text("\n").join(lines)
