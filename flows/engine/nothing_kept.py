"""The error of a run whose corpus, or a set of synthetic data, comes out empty: which stage kept nothing, and why."""

from collections.abc import Callable, Mapping

from flows.stages.registry import STAGES
from flows.store.datasets import removal_reasons
from tasks.base.errors import PermanentError
from tasks.dataset.manifest import Manifest
from tasks.dataset.stage import Stage
from tasks.synthesis.config import SYNTHETIC_SETS

_REASONS = 5
_ADVICE = {
    "fetch": "Look at the addresses in `sluice status`, or read other WARCs.",
    "extract": "Look at the pages in `sluice report`, change the recipe's extract section, or read more WARCs.",
    "filter": "Look at the texts in `sluice report`, loosen the recipe's filter, or read more WARCs.",
}
_OTHER_ADVICE = "Look at the texts in `sluice report`, loosen the recipe's checks, or read more WARCs."
_SYNTHESIS_ADVICE = "Look at the replies in `sluice report`, change the recipe's synthesis section, or leave it out."


def require_documents(
    stage: Stage, manifests: Mapping[str, Manifest], tell_of_synthesis: Callable[[str], object] | None = None
) -> None:
    """Raise `PermanentError` where a finished stage that makes decisions has kept nothing in any of its parts.

    The error says of this stage, and of those before it, how many they removed and the leading reasons.
    `tell_of_synthesis` is called in place of it where a set of synthetic data is empty and may be.
    """
    finished = manifests[stage.name]
    if stage.decisions is None or finished.rows or not finished.parts:
        return
    if stage.name not in STAGES and stage.in_place_of is None:
        return  # nothing is made from it
    if stage.name in SYNTHETIC_SETS:
        said = f"The synthetic data is empty: no reply was kept. {_removed(stage.name, finished)} {_SYNTHESIS_ADVICE}"
        if tell_of_synthesis is None:
            raise PermanentError(said)
        tell_of_synthesis(said)
        return
    decided = [name for name in manifests if name == stage.name or (name in STAGES and STAGES[name].decisions)]
    removed = [_removed(name, manifests[name]) for name in decided]
    advice = _ADVICE.get(stage.name, _OTHER_ADVICE)
    raise PermanentError(f"The corpus is empty: no document was kept. {' '.join(filter(None, removed))} {advice}")


def _removed(stage: str, manifest: Manifest) -> str:
    """Return e.g. `filter removed all 36: gopher_min_words 36, language 20.`; "" where a stage removed nothing."""
    counters = manifest.counters
    read = counters.get("read", 0)
    removed = read - counters.get("kept", 0)
    if not read:
        return f"{stage} had nothing to read."
    if not removed:
        return ""
    share = f"all {read:,}" if removed == read else f"{removed:,} of {read:,}"
    reasons = removal_reasons(counters)
    if len(reasons) == 1:
        return f"{stage} removed {share} for the same reason: {reasons[0][0]}."
    named = ", ".join(f"{reason} {count:,}" for reason, count in reasons[:_REASONS])
    more = f" and {len(reasons) - _REASONS} more reasons" if len(reasons) > _REASONS else ""
    return f"{stage} removed {share}: {named}{more}."
