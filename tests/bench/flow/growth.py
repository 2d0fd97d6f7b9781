"""What each data stage costs as a crawl grows: processor seconds and peak memory by the number of parts.

`python -m tests.bench.flow.growth FOLDER PARTS [PARTS ...]` builds on made-up inputs in FOLDER, in a process of its own
for each stage. Of a stage that has as many parts as the crawl, `SAMPLED` are built among all: their cost is that of
one, times all. One document in four or so has a duplicate. Processor seconds, because other work on the machine does
not change them.
"""

import argparse
import logging
import multiprocessing
import resource
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import xxhash

from flows.prepare.finished_dataset import done_parts, finished_manifest
from flows.prepare.planned_run import PlannedRun, plan_run
from flows.recipe.recipe import Recipe
from flows.recipe.settings import RunSettings
from tasks.base.hashing import mix64
from tasks.dataset.jobs import fed
from tasks.dataset.manifest import part_path, write_manifest
from tasks.dataset.parts import PartFooter, PartWriter
from tasks.dataset.schemas import DOCUMENTS, DUPLICATES, SIGNATURES, tokens_schema
from tasks.dataset.stage import PartJob
from tasks.dedup.minhash import MinHashConfig
from tasks.part_runner import run_part
from tasks.registry import STAGES
from tests.bench.flow.many_warcs import write_many_warcs
from tests.tasks.crawl_mirror import CRAWL

SAMPLED = 200
CONFIG = MinHashConfig()
VOCAB_SIZE = 1024
BUILT = (
    *("extract", "filter", "signatures", "partitions", "candidates", "clusters", "duplicates"),
    *("corpus", "tokenizer", "tokens", "packing"),
)
"""Stages, each of which is built on made-up datasets or on those before it."""
_READING_DOCUMENTS = {"filter", "signatures", "corpus", "tokenizer", "tokens"}
Table = Callable[[int], pa.Table]
"""Makes the rows of a part."""


def documents(draws: np.random.Generator, count: int) -> pa.Table:
    """Return documents of 300 words that do not mean anything."""
    words = ["".join(map(chr, draws.integers(97, 123, size))) for size in draws.integers(2, 10, 5000)]
    texts = [" ".join(draws.choice(words, 300)) for _ in range(count)]
    columns: dict[str, Any] = {field.name: pa.nulls(count, field.type) for field in DOCUMENTS}
    columns["id"] = [f"CC-MAIN-20261107013045-20261107043045-00000:{row * 9173}" for row in range(count)]
    columns["language"], columns["text"] = ["en"] * count, texts
    columns["text_hash"] = [xxhash.xxh3_128_hexdigest(text) for text in texts]
    return pa.table(columns, schema=DOCUMENTS)


def signatures(draws: np.random.Generator, part: int, count: int, texts: int) -> pa.Table:
    """Return a part of signatures of documents that have one of `texts` different texts each."""
    text = draws.integers(0, texts, count)
    keys = np.repeat(mix64(text.astype(np.uint64), 1), CONFIG.bands)
    bands = np.add(keys, np.tile(np.arange(CONFIG.bands, dtype=np.uint64), count))
    sketches = ((text[:, None] * 7 + np.arange(CONFIG.permutations)) % 256).astype(np.uint8)
    ends = np.arange(count + 1, dtype=np.int32) * CONFIG.bands
    return pa.table(
        {
            "id": [f"CC-MAIN-20261107013045-20261107043045-{part:05d}:{row * 9173}" for row in range(count)],
            "text_hash": [f"{number:016x}{row % 3:016x}" for row, number in enumerate(text.tolist())],
            "n_chars": pa.array(500 + text % 1000),
            "bands": pa.ListArray.from_arrays(pa.array(ends), pa.array(bands)),
            "sketch": pa.array([sketch.tobytes() for sketch in sketches], pa.binary()),
        },
        schema=SIGNATURES,
    )


def duplicates(page: pa.Table) -> pa.Table:
    """Return a part of duplicates that has every fourth document of an extracted part, all of one cluster."""
    ids = page["id"].to_pylist()[::4]
    columns = {"id": ids, "kept": [False] * len(ids), "cluster": [ids[0]] * len(ids)}
    rest = {"reason": ["near_duplicate"] * len(ids), "size": pa.nulls(len(ids), pa.int64())}
    return pa.table({**columns, **rest}, schema=DUPLICATES)


def tokens(draws: np.random.Generator, part: int, count: int) -> pa.Table:
    """Return a part of documents of log-normal length, without the tokens, which packing does not read."""
    lengths = np.clip(draws.lognormal(np.log(400), 1.0, count), 16, 20_000).astype(np.int32)
    nothing = pa.ListArray.from_arrays(np.zeros(count + 1, dtype=np.int32), pa.array([], pa.uint16()))
    columns = [[f"{part}:{row}" for row in range(count)], nothing, lengths, lengths * 4, ["train"] * count]
    return pa.table(columns, schema=tokens_schema(VOCAB_SIZE))


def planned(folder: Path, parts: int, partitions: int) -> PlannedRun:
    """Plan the data stages of a crawl of so many WARC files, which is written too."""
    write_many_warcs(folder / "web", parts)
    recipe = {
        "name": "growth",
        "source": {"base": str(folder / "web"), "crawl": CRAWL, "warcs": "all"},
        "duplicates": {"partitions": partitions},
        "tokenizer": {"vocab_size": VOCAB_SIZE, "sample_bytes": 10_000_000},
    }
    settings = RunSettings(store=str(folder / "store"))
    return plan_run(Recipe.model_validate(recipe), settings, goes_on=False, logger=logging.getLogger(__name__))


def write_made_up(run: PlannedRun, stage: str, parts: int, table: Table) -> None:
    """Write a dataset whose part `index` holds `table(index)`; where they are one table, it is written once."""
    # A resume looks for the parts of signatures by what they were made from.
    plan, jobs = run.plans[stage], run.jobs(STAGES[stage]) if stage == "signatures" else []
    is_one = table(0) is table(1)
    footers: dict[int, PartFooter] = {}
    for index in range(1 if is_one else parts):
        rows, path = table(index), part_path(stage, plan.fingerprint, index)
        inputs = jobs[index].inputs if jobs else ""
        with PartWriter(run.store, path, rows.schema, stage, plan.part_fingerprint, inputs) as writer:
            writer.write(rows)
            footers[index] = writer.commit({})
    finish(run, stage, parts, footers)


def finish(run: PlannedRun, stage: str, count: int, footers: dict[int, PartFooter]) -> None:
    """Write a dataset's manifest; the parts that were not built are the first one again."""
    plan, first = run.plans[stage], next(iter(footers))
    for index in set(range(count)) - footers.keys():
        source, target = (part_path(stage, plan.fingerprint, number) for number in (first, index))
        run.store.copy(source, target)
    all_footers = [footers.get(index, footers[first]) for index in range(count)]
    run.manifests[stage] = write_manifest(
        run.store, stage, plan.fingerprint, plan.version, plan.config, plan.upstream, all_footers
    )


def measured(work: Callable[[], Any]) -> tuple[Any, float, float]:
    """Return what `work` does in a process of its own, with its processor seconds and its peak memory in MiB."""
    ours, theirs = multiprocessing.Pipe(duplex=False)

    def run() -> None:
        began = time.process_time()
        result = work()
        theirs.send((result, time.process_time() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))

    process = multiprocessing.get_context("fork").Process(target=run)
    process.start()
    found: tuple[Any, float, float] = ours.recv()
    process.join()
    return found


def build_pair(pair: tuple[PartJob, PartJob]) -> None:
    """Build a part of each of two stages that run together."""
    first, second = pair
    run_part(fed(second, run_part(first)))


def resume(run: PlannedRun) -> None:
    """Find all parts of a stage done, and its manifest whole, as a run that goes on does."""
    jobs = run.jobs(STAGES["signatures"])
    done = done_parts(run.store, dict(enumerate(jobs)))
    assert len(done) == len(jobs)
    finished_manifest(run.store, run.plans["signatures"], list(done.values()))


def tell(
    parts: int, name: str, work: Callable[[Any], Any], items: Sequence[Any], costs: dict[str, float]
) -> dict[int, Any]:
    """Do `work` on all items, or on `SAMPLED` where each part has one; note and print what all cost.

    Returns the results by place.
    """
    places = range(0, len(items), max(1, parts // SAMPLED) if len(items) == parts else 1)
    results, seconds, peak = measured(lambda: [work(items[place]) for place in places])
    seconds *= len(items) / len(places)
    line = f"{parts:>6} parts: {name:<17} {seconds:>8.2f} s {peak:>6.0f} MiB, {len(places)} of {len(items)} built"
    print(line, flush=True)
    costs[name] = seconds
    return dict(zip(places, results, strict=True))


def measure(run: PlannedRun, parts: int, count: int, names: Sequence[str] = BUILT) -> dict[str, float]:
    """Print a line for each of these stages over a crawl of so many parts of `count` documents; return the seconds."""
    costs: dict[str, float] = {}
    draws = np.random.default_rng(1)
    page = documents(draws, count if _READING_DOCUMENTS & set(names) else 1)
    texts = parts * count * 10 // 13
    made: dict[str, Table] = {
        **dict.fromkeys(("extract", "filter", "corpus"), lambda _: page),
        "signatures": lambda part: signatures(draws, part, count, texts),
        "tokens": lambda part: tokens(draws, part, count),
    }
    if "duplicates" not in names:
        found = duplicates(page)
        made["duplicates"] = lambda _: found
    if "extract" in names:
        tell(parts, "fetch and extract", build_pair, run.pairs(STAGES["fetch"], STAGES["extract"]), costs)
    for name in BUILT:
        jobs = run.jobs(STAGES[name]) if name in names and name != "extract" else []
        footers = tell(parts, name, run_part, jobs, costs) if jobs else {}
        if name in made:
            write_made_up(run, name, parts, made[name])
        elif footers:
            finish(run, name, len(jobs), footers)
    tell(parts, "resume of a stage", resume, [run], costs)
    return costs


def main() -> None:
    """Measure crawls of several sizes."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.flow.growth", description=__doc__)
    parser.add_argument("folder", help="where the stores are built, and removed again")
    parser.add_argument("parts", type=int, nargs="+")
    parser.add_argument("--documents", type=int, default=100, help="in a part")
    parser.add_argument("--partitions", type=int, default=16, help="duplicates.partitions")
    parser.add_argument("--stages", nargs="+", default=BUILT, choices=BUILT)
    given = parser.parse_args()
    for parts in given.parts:
        with TemporaryDirectory(dir=given.folder) as folder:
            run = planned(Path(folder), parts, given.partitions)
            measure(run, parts, given.documents, given.stages)


if __name__ == "__main__":
    main()
