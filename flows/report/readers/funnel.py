"""The funnel: how many records came in, what every stage kept, and why it removed the rest; and whether it all adds up.

Notable: all numbers come from the counters that stages leave in their parts, so the funnel of a large crawl costs one
manifest a stage. `funnel_discrepancies` compares them with each other and with the decisions: nothing may disappear.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from flows.stages.registry import STAGES
from flows.store.datasets import REMOVED, DatasetCount, count_dataset, count_decisions, removal_reasons
from flows.store.deciding_stages import decides_on, deciding_stages, plans_of
from flows.store.failed_warcs import FailedWarc, failed_warcs
from flows.store.run_record import RunRecord
from tasks.dataset.store import Store
from tasks.dedup.cluster_decisions import EXACT, NEAR
from tasks.tokenize.mixture import OWN

_FAILED_WARCS = 50
_TOKENS = ("documents", "tokens", "train_tokens", "bytes")
_FILE_KINDS = {"wet": "WET file", "documents": "file"}
"""By `source.kind`; the others are of WARC files."""
_PACKING = ("sequences", "tokens", "padding")


@dataclass(frozen=True)
class ReasonCount:
    """How often a stage gave a reason."""

    reason: str
    count: int


@dataclass(frozen=True)
class FunnelStage:
    """One stage's decisions."""

    stage: str
    read: int
    kept: int
    reasons: tuple[ReasonCount, ...]
    """Most frequent first. A document may have several, so they can add up to more than were removed."""
    parts: int
    expected: int | None
    finished: bool

    @property
    def removed(self) -> int:
        """Return how many documents were removed here."""
        return self.read - self.kept


@dataclass(frozen=True)
class TokenCount:
    """The size of the corpus in tokens."""

    documents: int
    tokens: int
    train_tokens: int
    bytes: int
    """Bytes of text in UTF-8."""

    @property
    def validation_tokens(self) -> int:
        """Return the tokens of the held-out documents."""
        return self.tokens - self.train_tokens


@dataclass(frozen=True)
class Compression:
    """How well a tokenizer compresses the held-out text."""

    name: str
    """`own`, or the recipe's name for another one."""
    bytes_per_token: float


@dataclass(frozen=True)
class PackingCount:
    """The training sequences."""

    sequences: int
    tokens: int
    padding: int
    """Positions without a token."""

    @property
    def fill(self) -> float:
        """Return the share of the positions that hold a token."""
        positions = self.tokens + self.padding
        return self.tokens / positions if positions else 0.0


@dataclass(frozen=True)
class Funnel:
    """From WARC files to training sequences; None for what is not there."""

    warcs: int
    warc_bytes: int
    failed_warcs: int
    """Those that could not be fetched; they are not among `warcs`."""
    damaged_warcs: int
    """Those of `warcs` that are damaged at the source, and were read up to the damage."""
    stages: tuple[FunnelStage, ...]
    """Those that have at least one finished part."""
    tokens: TokenCount | None
    packing: PackingCount | None
    compression: tuple[Compression, ...] = ()
    """Of the run's tokenizer and those it is compared with; none where the recipe asks for no comparison."""
    file_kind: str = "WARC file"
    """What the source's files are."""

    @property
    def files(self) -> str:
        """Return how many files were read, in words."""
        return f"{self.warcs:,} {self.file_kind}{'' if self.warcs == 1 else 's'}"

    def stage(self, name: str) -> FunnelStage | None:
        """Return one stage of the funnel."""
        return next((stage for stage in self.stages if stage.stage == name), None)

    @property
    def records(self) -> int:
        """Return how many records went in."""
        return self.stages[0].read if self.stages else 0


def read_funnel(store: Store, record: RunRecord) -> Funnel:
    """Read the funnel of a run, as far as it came."""
    fetched = count_dataset(store, record, "fetch")
    deciding = deciding_stages(plans_of(record))
    counted = {name: count_dataset(store, record, name) for name in (*deciding, "tokens", "packing")}
    stages = [_funnel_stage(name, dataset) for name in deciding if (dataset := counted[name])]
    tokens, packing = counted["tokens"], counted["packing"]
    of_warcs = fetched.counters if fetched else Counter()
    return Funnel(
        warcs=fetched.rows if fetched else 0,
        warc_bytes=of_warcs["bytes"],
        failed_warcs=of_warcs["failed"],
        damaged_warcs=of_warcs["damaged"],
        stages=tuple(stages),
        tokens=TokenCount(*map(tokens.counters.__getitem__, _TOKENS)) if tokens else None,
        packing=PackingCount(*map(packing.counters.__getitem__, _PACKING)) if packing else None,
        compression=_compression(count_dataset(store, record, "compression")),
        file_kind=_file_kind(record),
    )


def _file_kind(record: RunRecord) -> str:
    kind = record.stages["fetch"].plan.config.get("kind", "") if "fetch" in record.stages else ""
    return _FILE_KINDS.get(kind, "WARC file")


def read_failed_warcs(store: Store, record: RunRecord) -> tuple[FailedWarc, ...]:
    """Read the first WARC files that could not be fetched, or are damaged at the source."""
    fetched = count_dataset(store, record, "fetch")
    parts = ((part.name, part.counters) for part in fetched.parts) if fetched else ()
    return failed_warcs(store, "fetch", record.stages["fetch"].plan.fingerprint, parts, _FAILED_WARCS)


def _funnel_stage(name: str, dataset: DatasetCount) -> FunnelStage:
    counters = dataset.counters
    return FunnelStage(
        stage=name,
        read=counters["read"],
        kept=counters["kept"],
        reasons=tuple(ReasonCount(*counted) for counted in removal_reasons(counters)),
        parts=len(dataset.parts),
        expected=dataset.expected,
        finished=dataset.finished,
    )


def _compression(dataset: DatasetCount | None) -> tuple[Compression, ...]:
    counters = dataset.counters if dataset else {}
    tokens = {name.removeprefix("tokens."): count for name, count in counters.items() if name.startswith("tokens.")}
    # The run's own first, the others by name.
    return tuple(
        Compression(name, counters["bytes"] / count)
        for name, count in sorted(tokens.items(), key=lambda item: (item[0] != OWN, item[0]))
        if count
    )


def funnel_discrepancies(store: Store, record: RunRecord) -> list[str]:
    """Return in words every place where the counts of a run do not add up; none where nothing disappeared.

    Only finished datasets count: in one that is half there, counts need not agree yet.
    """
    deciding = deciding_stages(plans_of(record))
    counted = {
        name: dataset
        for name in ("fetch", *deciding, "signatures", "duplicates", "tokens", "packing")
        if (dataset := count_dataset(store, record, name))
    }
    damage = [dataset.damage for dataset in counted.values() if dataset.damage]
    datasets = {name: dataset for name, dataset in counted.items() if dataset.finished}
    decisions = {name: count_decisions(store, record, name) for name in deciding if name in datasets}
    between = *_between_stages(record, datasets), *_between_joins(datasets)
    return [*damage, *_within_stages(datasets, decisions), *between, *_in_tokens(record, datasets)]


def _within_stages(datasets: dict[str, DatasetCount], decisions: dict[str, DatasetCount | None]) -> Iterator[str]:
    """Check that read is kept and removed, kept is what the dataset holds, and each record read has its decision."""
    for name, counted in decisions.items():
        dataset = datasets[name]
        decided = {part.name: part.rows for part in counted.parts} if counted else {}
        for part in dataset.parts:
            where = f"{name}, {part.name}:"
            read, kept = part.counters.get("read", 0), part.counters.get("kept", 0)
            removed = [count for counter, count in part.counters.items() if counter.startswith(REMOVED)]
            if kept != part.rows:
                yield f"{where} {kept:,} documents were counted as kept, but the part holds {part.rows:,}."
            if part.name not in decided:
                yield f"{where} there are no decisions, so {read:,} records have none."
            elif decided[part.name] != read:
                yield f"{where} {read:,} records were read, but {decided[part.name]:,} have a decision."
            if not max(removed, default=0) <= read - kept <= sum(removed):
                yield (
                    f"{where} {read:,} were read and {kept:,} kept, but the reasons count "
                    f"{sum(removed):,} removals, the most frequent {max(removed, default=0):,}."
                )


def _between_stages(record: RunRecord, datasets: dict[str, DatasetCount]) -> Iterator[str]:
    """Check that what one stage keeps is what the next one reads, part by part."""
    plans = plans_of(record)
    own = [(before, name, "read") for name in datasets if name not in STAGES and (before := decides_on(name, plans))]
    for before, after, counter in (
        ("extract", "filter", "read"),
        ("filter", "signatures", "documents"),
        ("filter", "corpus", "read"),
        ("corpus", "tokens", "documents"),
        *own,
    ):
        before = plans[after].stand_ins.get(before, before) if after in plans else before
        if before not in datasets or after not in datasets:
            continue
        given = {part.name: part.rows for part in datasets[before].parts}
        taken = {part.name: part.counters.get(counter, 0) for part in datasets[after].parts}
        if after == "tokens" and record.stages[after].plan.config.get("others"):  # their parts come after the run's
            taken = {name: count for name, count in taken.items() if name in given}
        for name in sorted(given.keys() | taken.keys()):
            if given.get(name, 0) != taken.get(name, 0):
                yield f"{name}: {before} gives {given.get(name, 0):,} documents, {after} takes {taken.get(name, 0):,}."


def _between_joins(datasets: dict[str, DatasetCount]) -> Iterator[str]:
    """Check that each WARC file has its part, and that the duplicates found are those removed."""
    if "fetch" in datasets and "extract" in datasets:
        files, failed = datasets["fetch"].rows, datasets["fetch"].counters["failed"]
        parts = len(datasets["extract"].parts)
        if files + failed != parts:
            yield f"fetch got {files:,} WARC files and failed on {failed:,}, but extract made {parts:,} parts."
    if "duplicates" in datasets and "corpus" in datasets:
        found, removed = datasets["duplicates"].counters, datasets["corpus"].counters
        for reason in (EXACT, NEAR):
            named, gone = found[REMOVED + reason], removed[REMOVED + reason]
            if named != gone:
                yield f"duplicates names {named:,} documents as {reason}, corpus removes {gone:,}."


def _in_tokens(record: RunRecord, datasets: dict[str, DatasetCount]) -> Iterator[str]:
    """Check that the plan holds the tokens of the training documents, as often as a mixture draws them, and padding."""
    if "packing" not in datasets:
        return
    packed = datasets["packing"].counters
    capacity = int(record.stages["packing"].plan.config["context"]) + 1
    if packed["tokens"] + packed["padding"] != packed["sequences"] * capacity:
        yield (
            f"packing: {packed['sequences']:,} sequences of {capacity} positions do not hold "
            f"{packed['tokens']:,} tokens and {packed['padding']:,} of padding."
        )
    trained = datasets["tokens"].counters["train_tokens"] if "tokens" in datasets else 0
    trained = packed.get("drawn_tokens", trained)
    if packed["tokens"] < trained:
        yield f"packing: {trained:,} tokens are for training, but the plan holds only {packed['tokens']:,}."
