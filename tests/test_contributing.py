"""CONTRIBUTING.md, carried out: its snippets put into a copy of the tree, which is then run."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT

PAGE = (ROOT / "CONTRIBUTING.md").read_text()
RUN = """
import json, sys
from pathlib import Path
import pyarrow.parquet as pq
from tests.flows.report_stores import crawl

folder = Path(sys.argv[1])
changes = {"filter": {"thresholds": {"gopher_long_words": 4.4}}} if sys.argv[2] == "rule" else {}
record = crawl(folder, changes)

def rows(kind, stage):
    files = sorted((folder / kind / stage).rglob("part-*.parquet"))
    return [row for file in files for row in pq.read_table(file).to_pylist()]

json.dump({
    "states": {name: stage.state for name, stage in record.stages.items()},
    "filter": [{"length": row["mean_word_length"], "reasons": row["reasons"]} for row in rows("decisions", "filter")],
    "corpus": {row["id"]: row["text"] for row in rows("datasets", "corpus")},
    "shouting": {row["id"]: row["text"] for row in rows("datasets", "shouting")},
}, sys.stdout)
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the packages and of what these tests need of the others."""
    folder = tmp_path / "tree"
    for top in ("flows", "tasks", "model", "tests"):
        shutil.copytree(ROOT / top, folder / top, ignore=shutil.ignore_patterns("__pycache__", "golden", "bench"))
    return folder


def section(title: str) -> str:
    """The part of the page that says how to add one thing."""
    found = re.search(rf"^\*\*{title}\*\*.*?(?=^\*\*|\Z)", PAGE, flags=re.DOTALL | re.MULTILINE)
    assert found, title
    return found[0]


def carry_out(text: str, tree: Path) -> list[str]:
    """Do to the tree what a section's snippets show; gives the files touched."""
    touched = []
    for kind, head, body in re.findall(r"^```(python|diff)\n(.*?)\n(.*?)^```$", text, flags=re.DOTALL | re.MULTILINE):
        name = head.removeprefix("#").strip()
        touched.append(name)
        if kind == "python":
            assert not (tree / name).exists()
            (tree / name).write_text(body)
            continue
        lines = body.splitlines(keepends=True)
        before = "".join(line[1:] for line in lines if line[0] in " -")
        after = "".join(line[1:] for line in lines if line[0] in " +")
        whole = (tree / name).read_text()
        assert whole.count(before) == 1, f"{name} has not once:\n{before}"
        (tree / name).write_text(whole.replace(before, after))
    return touched


def run(tree: Path, store: Path, what: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-P", "-c", RUN, str(store), what],
        cwd=tree,
        env=os.environ | {"PYTHONPATH": str(tree)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_a_rule(tree: Path, tmp_path: Path) -> None:
    assert carry_out(section("A rule"), tree) == ["tasks/filter/rules/gopher_quality.py"]
    decisions = run(tree, tmp_path / "store", "rule")["filter"]
    failing = sum("gopher_long_words" in decision["reasons"] for decision in decisions)
    assert 0 < failing < len(decisions)
    for decision in decisions:
        assert ("gopher_long_words" in decision["reasons"]) == (decision["length"] > 4.4)


def test_a_stage(tree: Path, tmp_path: Path) -> None:
    touched = carry_out(section("A stage"), tree)
    assert len(set(touched)) == 2
    found = run(tree, tmp_path / "store", "stage")
    assert found["states"]["shouting"] == "done"
    assert found["shouting"] == {name: text for name, text in found["corpus"].items() if "!" in text}


def test_every_folder_is_on_the_page() -> None:
    files = subprocess.run(["git", "ls-files", "*.py"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    folders = {name.rsplit("/", 1)[0] for name in files.splitlines() if name.startswith(("flows/", "tasks/", "model/"))}
    rooms = {"/".join(folder.split("/")[:2]) for folder in folders if "/" in folder}
    assert [room for room in sorted(rooms) if f"`{room}/`" not in PAGE] == []


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`([a-z_]+/[\w/]*\.py)`", PAGE))))
def test_every_file_it_names_exists(name: str) -> None:
    assert (ROOT / name).is_file()


def test_each_recipe_for_a_change_is_short() -> None:
    for title in re.findall(r"^\*\*(An? [^*]+)\*\*", PAGE, flags=re.MULTILINE):
        prose = re.sub(r"^```.*?^```$", "", section(title), flags=re.DOTALL | re.MULTILINE)
        assert len(prose.strip().splitlines()) <= 10, title
