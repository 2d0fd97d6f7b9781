"""A source in Common Crawl's layout whose crawls appear one after another."""

import json
import shutil
from pathlib import Path

from tasks.synthetic_web.generation import generate_synthetic_web
from tasks.synthetic_web.texts.config import SyntheticWebConfig

SMALL = {"towns": 4, "pages_per_town": 12, "warcs": 2, "capital_extra_pages": 0, "held_out_facts": 6, "mirrors": 4} | {
    "hidden_places": 1,
    "near_duplicates": 4,
    "foreign_pages": 6,
    "poor_pages": 8,
    "broken_responses": 9,
}
"""The sizes of a web of a few dozen pages."""

RECIPE = """
name: watched
source: {base: BASE, warcs: all}
tokenizer: {vocab_size: 400}
packing: {context: 64}
duplicates: {partitions: 2}
"""
"""A recipe of packed tokens over all of a small crawl; BASE is the mirror's folder."""


def publish(mirror: Path, *crawls: str, seed: int = 3) -> None:
    """Add crawls to the folder and its collinfo.json, the newest first; with one seed they are of the same pages."""
    for crawl in crawls:
        web = mirror.with_name(f"{mirror.name}-{crawl}")
        generate_synthetic_web(web, SyntheticWebConfig.model_validate({**SMALL, "crawl": crawl, "seed": seed}))
        shutil.copytree(web, mirror, dirs_exist_ok=True)
    names = sorted((folder.name for folder in (mirror / "crawl-data").iterdir()), reverse=True)
    (mirror / "collinfo.json").write_text(json.dumps([{"id": name} for name in names]))
