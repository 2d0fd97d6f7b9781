"""A cloze task from pages: the gap's word is the right choice, and its sentence stands before it."""

from pathlib import Path

from model.evaluation.tasks.cloze import write_cloze
from model.evaluation.tasks.prompts import questions
from model.evaluation.tasks.task import load_task

PAGES = [
    f"The village of {name} lies on the old road. Its people have always traded in {good}. Short one."
    for name, good in zip(["Varn", "Lindow", "Brae", "Tolm", "Oskel"], ["timber", "copper", "barley", "linen", "amber"])  # noqa: B905
]


def test_gaps_of_pages_become_items(tmp_path: Path) -> None:
    path = write_cloze(PAGES, tmp_path)
    assert path is not None
    asked = list(questions(load_task(path), 0))
    assert len(asked) == 5, "one sentence of each page is long enough"
    first = asked[0]
    assert first.context == "The village of Varn lies on the old road. Its people have always traded in"
    assert first.targets == ("timber",) and len(set(first.choices)) == 4 and "timber" in first.choices
    assert write_cloze(PAGES, tmp_path / "again").read_bytes() == path.read_bytes()  # type: ignore[union-attr]
    assert list(questions(load_task(tmp_path / "again" / "cloze.yaml"), 0)) == asked


def test_too_little_text_gives_no_task(tmp_path: Path) -> None:
    assert write_cloze(["Short."], tmp_path) is None and write_cloze([], tmp_path) is None
