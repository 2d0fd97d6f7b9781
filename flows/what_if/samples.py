"""Some documents that change sides: where they are, and why they are removed on either side."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from flows.what_if.parts import Place, StageDecisions, read_row
from tasks.base.config import Config
from tasks.dataset.rules import Rule, stored_reasons
from tasks.dataset.store import Store
from tasks.extract.language import UNKNOWN


class Sample(Config):
    """A document that changes sides."""

    id: str
    url: str
    language: str
    before: list[str]
    """Why the stage removed it, with the numbers, e.g. `gopher_min_words: words 31 < 50`; empty where it kept it."""
    after: list[str]
    """Why the stage would remove it."""


def changed_document(store: Store, extract: str, stage: StageDecisions, place: Place) -> Sample:
    """Return the document at this place of a stage's decisions; `extract` is the folder of the first stage's."""
    columns = {name for rule in (*stage.before, *stage.after) for name in rule.columns}
    row = read_row(store, f"{stage.folder}/{place.part}", {"reasons", *columns}, place.row)
    stored = stored_reasons(row["reasons"])
    failing = stage.reevaluation.failing(row, stored)
    values = row.to_pylist()[0]
    names = ("id", "url", "language", "guessed_language")
    address = read_row(store, f"{extract}/{place.part}", names, place.record).to_pylist()[0]
    return Sample(
        id=str(address["id"]),
        url=str(address["url"] or ""),
        language=str(address["language"] or address.get("guessed_language") or UNKNOWN),
        before=_in_words(stored, stage.before, values),
        after=_in_words([name for name, fails in failing.items() if fails[0]], stage.after, values),
    )


def _in_words(reasons: Iterable[str], rules: Sequence[Rule], values: Mapping[str, Any]) -> list[str]:
    """Return each reason, with what was measured where a rule gave it."""
    by_name = {rule.name: rule for rule in rules if values.keys() >= set(rule.columns)}
    return [by_name[name].explain(values) if name in by_name else name for name in reasons]
