"""The signatures that duplicates are sought in: those of earlier crawls' corpora, then the run's own.

Notable: places (`tasks.dedup.edges.place_of`) count the parts of all of them in this order. A new crawl comes last, so
what was regrouped for the crawl before it is taken over as it lies; no text of an earlier crawl is read again.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from tasks.base.errors import PermanentError
from tasks.dataset.manifest import Manifest, read_manifest
from tasks.dataset.store import Store


@dataclass(frozen=True)
class Signed:
    """A signatures dataset among those that are compared."""

    fingerprint: str
    manifest: Manifest
    first_part: int
    """Where its parts begin when those of all are counted."""
    own: bool
    """Whether it is the run's own."""


def signed_crawls(store: Store, earlier: Sequence[str], own: str) -> list[Signed]:
    """Return the signatures of the `earlier` corpora, by fingerprint, and then the run's `own` dataset.

    Raises `PermanentError` where one is not in the store, or was made in another way and cannot be compared.
    """
    mine = _manifest(store, "signatures", own, "Run again")
    found: list[Signed] = []
    for corpus in earlier:
        advice = f"Take {corpus} out of duplicates.earlier, or make that corpus again"
        duplicates = _manifest(store, "corpus", corpus, advice).upstream["duplicates"]
        fingerprint = _manifest(store, "duplicates", duplicates, advice).upstream["signatures"]
        manifest = _manifest(store, "signatures", fingerprint, advice)
        if (manifest.config, manifest.version) != (mine.config, mine.version):
            raise PermanentError(
                f"The signatures of the earlier corpus {corpus} were made with {manifest.config}, version "
                f"{manifest.version}, those of this run with {mine.config}, version {mine.version}: they cannot be "
                f"compared. {advice}."
            )
        found.append(Signed(fingerprint, manifest, _next_part(found), own=False))
    return [*found, Signed(own, mine, _next_part(found), own=True)]


def _next_part(signed: Sequence[Signed]) -> int:
    return signed[-1].first_part + len(signed[-1].manifest.parts) if signed else 0


def _manifest(store: Store, stage: str, fingerprint: str, advice: str) -> Manifest:
    manifest = read_manifest(store, stage, fingerprint)
    if manifest is None:
        raise PermanentError(f"{store.url} has no finished {stage} dataset {fingerprint}. {advice}.")
    return manifest
