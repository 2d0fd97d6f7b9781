"""The search: passages by BM25, from an index on disk."""

from pathlib import Path

import pytest

from model.base.errors import BadInput
from model.tools.search import Passage, SearchIndex, has_search_index, passages, search_tool, write_search_index
from model.tools.tool import ToolError

TEXTS = {
    "w:1": "Narsten lies on the Vell. The Vell is a river.",
    "w:2": "Orvik is known for salt. Its mayor is Ada Brenn.",
    "w:3": "Ölberg ist eine Stadt.\nSie hat 300 Einwohner.",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The index of three documents."""
    folder = tmp_path_factory.mktemp("search") / "index"
    write_search_index(folder, (one for id, text in TEXTS.items() for one in passages(id, f"https://{id}", text)))
    return folder


@pytest.mark.parametrize(
    ("query", "best"), [("the mayor of Orvik", "w:2"), ("NARSTEN river", "w:1"), ("Einwohner von Ölberg", "w:3")]
)
def test_the_best_passage_comes_first(folder: Path, query: str, best: str) -> None:
    assert SearchIndex(folder).search(query, 3)[0].document == best


def test_a_passage_leads_to_its_document(folder: Path) -> None:
    assert SearchIndex(folder).search("salt", 1) == [Passage("w:2", "https://w:2", TEXTS["w:2"])]


def test_an_index_that_was_cut_short_is_none(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(table: object, path: Path, **_: object) -> None:
        path.write_bytes(b"ARROW1")
        raise KeyboardInterrupt

    found = [one for id, text in TEXTS.items() for one in passages(id, f"https://{id}", text)]
    with monkeypatch.context() as patched:
        patched.setattr("model.tools.search.feather.write_feather", killed)
        with pytest.raises(KeyboardInterrupt):
            write_search_index(tmp_path / "index", found)
    assert not has_search_index(tmp_path / "index")
    write_search_index(tmp_path / "index", found)
    assert {path.name for path in (tmp_path / "index").iterdir()} == {path.name for path in folder.iterdir()}


@pytest.mark.parametrize("query", ["quantum", "", "?!", "\ud800"])
def test_what_is_not_there_is_not_found(folder: Path, query: str) -> None:
    with pytest.raises(ToolError, match="nothing was found"):
        search_tool(folder).run(query)


def test_long_documents_are_divided_at_sentences() -> None:
    text = " ".join(f"Sentence {number} has six words." for number in range(40))
    found = [one.text for one in passages("w:1", "", text)]
    assert len(found) > 3
    assert " ".join(found) == text
    assert all(one.endswith("words.") and len(one.split()) <= 60 for one in found)


def test_a_folder_without_an_index_is_told(tmp_path: Path) -> None:
    assert not has_search_index(tmp_path)
    with pytest.raises(BadInput, match="no search index"):
        SearchIndex(tmp_path)
    with pytest.raises(BadInput, match="no text to search"):
        write_search_index(tmp_path / "empty", [])
