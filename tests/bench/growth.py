"""What the joins of a crawl cost as it grows: processor seconds and peak memory of each stage, by the number of parts.

`python -m tests.bench.growth FOLDER DOCUMENTS PARTS [PARTS ...]` makes signatures and tokens of PARTS parts of
DOCUMENTS documents each, of which one in four or so has a duplicate, and builds on them in FOLDER. Of `duplicates`,
which has as many parts as the crawl, `SAMPLED` are built: their cost is that of one, times all. Each stage is built in
a process of its own. Processor seconds, because other work on the machine does not change them.
"""

import multiprocessing
import resource
import sys
import time
from collections.abc import Callable
from functools import partial
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa

from tasks.base.hashing import mix64
from tasks.dataset.jobs import part_jobs
from tasks.dataset.manifest import Manifest, part_path, write_manifest
from tasks.dataset.parts import PartFooter, PartWriter
from tasks.dataset.schemas import SIGNATURES, tokens_schema
from tasks.dataset.stage import DatasetContext, PartJob
from tasks.dataset.store import Store
from tasks.dedup.minhash import MinHashConfig
from tasks.part_runner import run_part
from tasks.registry import STAGES

SAMPLED = 200
CONFIG = MinHashConfig()
PARTITIONS = 16
CONFIGS: dict[str, dict[str, Any]] = {
    "partitions": {"partitions": PARTITIONS, "earlier": []},
    "candidates": {"partitions": PARTITIONS, "minimum_similarity": 0.7},
    "clusters": {"earlier": []},
    "duplicates": {"earlier": []},
    "packing": {"context": 2048},
}


def signatures(draws: np.random.Generator, part: int, documents: int, texts: int) -> pa.Table:
    """Return a part of signatures of documents that have one of `texts` different texts each."""
    text = draws.integers(0, texts, documents)
    keys = np.repeat(mix64(text.astype(np.uint64), 1), CONFIG.bands)
    bands = np.add(keys, np.tile(np.arange(CONFIG.bands, dtype=np.uint64), documents))
    sketches = ((text[:, None] * 7 + np.arange(CONFIG.permutations)) % 256).astype(np.uint8)
    ends = np.arange(documents + 1, dtype=np.int32) * CONFIG.bands
    return pa.table(
        {
            "id": [f"CC-MAIN-20261107013045-20261107043045-{part:05d}:{row * 9173}" for row in range(documents)],
            "text_hash": [f"{number:016x}{row % 3:016x}" for row, number in enumerate(text.tolist())],
            "n_chars": pa.array(500 + text % 1000),
            "bands": pa.ListArray.from_arrays(pa.array(ends), pa.array(bands)),
            "sketch": pa.array([sketch.tobytes() for sketch in sketches], pa.binary()),
        },
        schema=SIGNATURES,
    )


def tokens(draws: np.random.Generator, part: int, documents: int) -> pa.Table:
    """Return a part of documents of log-normal length, without the tokens, which packing does not read."""
    lengths = np.clip(draws.lognormal(np.log(400), 1.0, documents), 16, 20_000).astype(np.int32)
    nothing = pa.ListArray.from_arrays(np.zeros(documents + 1, dtype=np.int32), pa.array([], pa.uint16()))
    columns = [[f"{part}:{row}" for row in range(documents)], nothing, lengths, lengths * 4, ["train"] * documents]
    return pa.table(columns, schema=tokens_schema(1 << 15))


def write_dataset(store: Store, stage: str, parts: int, table: Callable[[int], pa.Table]) -> Manifest:
    """Write a dataset of which the parts are `table(index)`."""
    footers = []
    for index in range(parts):
        made = table(index)
        with PartWriter(store, part_path(stage, stage, index), made.schema, stage, stage, str(index)) as writer:
            writer.write(made)
            footers.append(writer.commit({}))
    config = CONFIG.model_dump() if stage == "signatures" else {}
    return write_manifest(store, stage, stage, STAGES[stage].version, config, {}, footers)


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


def measure(store: Store, parts: int, documents: int) -> None:
    """Print a line for each stage over a crawl of this size."""
    draws = np.random.default_rng(1)
    texts = parts * documents * 10 // 13
    manifests = {
        "signatures": write_dataset(store, "signatures", parts, lambda part: signatures(draws, part, documents, texts)),
        "tokens": write_dataset(store, "tokens", parts, lambda part: tokens(draws, part, documents)),
    }
    for name, config in CONFIGS.items():
        stage = STAGES[name]
        upstream = {one.stage: one.stage for one in stage.upstream if one.stage in manifests}
        inputs = {one: manifests[one] for one in upstream}
        context = DatasetContext(store, name, config, upstream, inputs, {}, part_fingerprint=name)
        jobs = part_jobs(stage, context)
        built = jobs if len(jobs) < parts else jobs[:: max(1, parts // SAMPLED)]
        footers, seconds, peak = measured(partial(build, built))
        seconds *= len(jobs) / len(built)
        print(
            f"{parts:>6} parts: {name:<10} {seconds:>8.2f} s {peak:>6.0f} MiB, {len(built)} of {len(jobs)} built",
            flush=True,
        )
        if name != "duplicates":
            manifests[name] = write_manifest(store, name, name, stage.version, config, upstream, footers)


def build(jobs: list[PartJob]) -> list[PartFooter]:
    """Build some parts, one after the other."""
    return [run_part(job) for job in jobs]


if __name__ == "__main__":
    for count in map(int, sys.argv[3:]):
        with TemporaryDirectory(dir=sys.argv[1]) as folder:
            measure(Store(folder), count, int(sys.argv[2]))
