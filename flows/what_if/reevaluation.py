"""Decides again on stored decisions, whole columns at a time and without the texts.

Notable: the result of a rule that both configurations have is in the stored reasons, so its columns are not even read.
So is every reason that no rule gives, e.g. that a document is a duplicate.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from tasks.dataset.rules import Bools, Rule


class Reevaluation:
    """Decides as the rules `after` would on what the rules `before` decided; None: rules that are not known."""

    def __init__(self, before: Sequence[Rule] | None, after: Sequence[Rule]) -> None:
        known = set(before or ())
        self.rules = tuple(rule for rule in after if rule not in known)
        """Those to apply; the results of the others are in the decisions."""
        self.columns = tuple(dict.fromkeys(["reasons", *(name for rule in self.rules for name in rule.columns)]))
        """What it reads of the decisions."""
        self._order = tuple(rule.name for rule in after)
        self._gone = {rule.name for rule in before or ()} - set(self._order)
        self._forgets_all = before is None

    @property
    def changes(self) -> bool:
        """Whether any decision can be another than the one stored."""
        return bool(self.rules or self._gone or self._forgets_all)

    def failing(self, decisions: pa.Table, stored: Mapping[str, Bools]) -> dict[str, Bools]:
        """Return which documents fail what: the rules in their order, then other reasons of those `stored`."""
        applied = {rule.name: rule.failing(decisions) for rule in self.rules}
        none = np.zeros(decisions.num_rows, np.bool_)
        found = {name: applied.get(name, stored.get(name, none)) for name in self._order}
        if not self._forgets_all:
            found |= {name: fails for name, fails in stored.items() if name not in found and name not in self._gone}
        return found
