"""A corpus of the shared crawl's real pages, as `first-crawl` makes it but for some settings."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path


def make_corpus(crawl: Path, store: Path, settings: Mapping[str, object]) -> None:
    """Run `sluice corpus first-crawl` on all of the first crawl's WARCs with `settings`, fields of the recipe."""
    source = {"source.base": crawl, "source.crawl": "CC-MAIN-2026-46", "source.warcs": "all"}
    command = [str(Path(sys.executable).with_name("sluice")), "corpus", "first-crawl", "--store", str(store)]
    for name, value in {**source, **settings}.items():
        command += ["--set", f"{name}={value}"]
    subprocess.run(command, check=True, capture_output=True)


def dataset_folder(store: Path, stage: str) -> Path:
    """The folder of a stage's dataset, in a store that holds one."""
    return next(filter(Path.is_dir, (store / "datasets" / stage).iterdir()))
