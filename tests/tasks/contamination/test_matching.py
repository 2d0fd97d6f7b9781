"""Evaluation items in documents: planted ones and paraphrases are found, and nothing else is."""

import gzip
import json
import random
import time
from pathlib import Path

import pyarrow as pa
import pytest

from model.evaluation.tasks.item_texts import item_texts
from model.evaluation.tasks.task import load_task, shipped_tasks, task_path
from tasks.contamination.items import EvaluationItem, ItemIndex, read_items
from tasks.contamination.matching import find_items, required_share
from tasks.contamination.words import hashed_words

PASSAGE = (
    "The lighthouse of Varn was built in 1742 by the mason Oskel Tirr, who used grey stone from the quarry at Lindow. "
    "Its lamp burned whale oil for a century, and in storms the keeper rang a bell that fishermen heard across the bay."
)
ITEMS = [
    EvaluationItem("towns", 0, "Who built the old lighthouse that stands on the rocks of Varn?", "Oskel Tirr", PASSAGE),
    EvaluationItem("towns", 1, "What is the capital of Norland?", "Brae"),
    EvaluationItem("towns", 2, "Welche Farbe hat die Fähre nach Ünsel, die „Möwe“?", "Grün"),
    EvaluationItem("towns", 3, "北国的首都是哪一座城市,它在什么地方?", "布雷"),
]
INDEX = ItemIndex(ITEMS)


def found(*texts: str, threshold: float = 0.8) -> list[tuple[int, str]]:
    matches = find_items(pa.array(texts), INDEX, threshold)
    return [(match.document, ITEMS[match.item].name) for match in matches]


def test_words_are_the_same_wherever_they_stand() -> None:
    together = hashed_words(pa.array(["x", "The Red, house! red", "", "…house\u2014the", "字母red字"]))
    red, house, the = (hashed_words(pa.array([word])).hashes[0] for word in ("red", "house", "the"))
    assert list(together.hashes[1:5]) == [the, red, house, red]
    assert list(together.hashes[5:7]) == [house, the]
    assert list(together.texts) == [0, 1, 1, 1, 1, 3, 3, 4, 4, 4]
    long = hashed_words(pa.array(["a " * 700_000 + "red", "the"]))
    assert long.hashes[-2] == red and long.hashes[-1] == the and len(long.hashes) == 700_002


def test_a_question_is_found_with_its_answer_whatever_the_case_and_punctuation() -> None:
    page = "Quiz night! 7) what is the CAPITAL of Norland - Brae. Next one:"
    assert found("nothing here", page) == [(1, "towns/1")]
    assert found("What is the capital of Norland? I have forgotten.") == [], "a short question alone may be anyone's"
    assert found("What is the capital of Sudland? Brae.") == []
    assert found("Welche Farbe hat die Fähre nach Ünsel, die Möwe? Grün!") == [(0, "towns/2")]
    assert found("问:北国的首都是哪一座城市,它在什么地方?答:布雷。") == [(0, "towns/3")]


def test_a_passage_is_found_with_a_word_changed_here_and_there() -> None:
    changed = PASSAGE.replace("grey", "white").replace("a century", "many years")
    assert found(f"Before it. {changed} After it.") == [(0, "towns/0")]
    assert found(changed, threshold=1.0) == []
    assert found(PASSAGE[: len(PASSAGE) // 2]) == [], "half of it"
    words = PASSAGE.split()
    random.Random(1).shuffle(words)
    assert found(" ".join(words)) == []
    scattered = (" and so on and on" * 40).join(PASSAGE.split(". "))
    assert found(scattered) == [], "its parts are far apart"


def test_the_threshold_rises_for_short_parts() -> None:
    assert [required_share(words, 0.8) for words in (3, 10, 25, 300)] == pytest.approx([1, 1, 0.8, 0.8])
    assert 0.8 < required_share(15, 0.8) < 1


def test_no_text_runs_into_the_next() -> None:
    assert found("What is the capital", "of Norland? Brae") == []
    assert find_items(pa.array([], pa.string()), INDEX, 0.8) == [] and found("", "a") == []


def test_a_page_that_repeats_one_n_gram_takes_no_time() -> None:
    start = time.process_time()
    find_items(pa.array(["the capital of Norland " * 50_000]), INDEX, 0.8)
    assert time.process_time() - start < 3


def test_items_are_read_strictly() -> None:
    with pytest.raises(Exception, match="items, line 2"):
        read_items(b'{"task": "a", "item": 0, "question": "b"}\n{"task": "a"}\n', "items")


def real_pages(common_crawl: Path) -> list[str]:
    with gzip.open(common_crawl / "gold.jsonl.gz") as file:
        return [text for line in file if (text := json.loads(line).get("text"))]


def with_other_words(text: str, share: float, draws: random.Random) -> str:
    """A text in which so many of its words are others."""
    words = text.split()
    for place in draws.sample(range(len(words)), round(share * len(words))):
        words[place] = draws.choice(["perhaps", "several", "indeed", "quickly", "beneath"])
    return " ".join(words)


@pytest.mark.parametrize(("share", "recall"), [(0.0, 1.0), (0.03, 0.95), (0.06, 0.6)])
def test_paraphrased_passages_in_real_pages(share: float, recall: float, common_crawl: Path) -> None:
    pages, draws = real_pages(common_crawl), random.Random(9)
    words = [page.split() for page in pages]
    long = [number for number, own in enumerate(words) if len(own) > 90][:100]
    items = [EvaluationItem("passages", number, "", "", " ".join(words[number][20:80])) for number in long]
    others = [page for number, page in enumerate(pages) if number not in long]
    planted = [f"{page} {with_other_words(item.passage, share, draws)} {page}" for page, item in zip(others, items)]  # noqa: B905
    hits = {(match.document, match.item) for match in find_items(pa.array(planted), ItemIndex(items), 0.8)}
    right = sum((number, number) in hits for number in range(100))
    print(f"{share:.0%} of the words replaced: recall {right} of 100, {len(hits) - right} others")
    assert right >= 100 * recall
    assert len(hits) - right <= 2, "pages of one site have text in common"


def test_our_own_tasks_on_real_pages(common_crawl: Path) -> None:
    """All that is planted is found, nothing else is, in some 45 microseconds a document."""
    items = [
        EvaluationItem(**text)  # type: ignore[arg-type]
        for name in shipped_tasks()
        if name != "writing"
        for text in item_texts(load_task(task_path(name)))
    ]
    index = ItemIndex(items)
    pages = real_pages(common_crawl)
    assert len(pages) > 300 and len(items) > 250
    assert find_items(pa.array(pages), index, 0.8) == [], "precision"
    draws = random.Random(4)
    exact = []
    for number, item in enumerate(items):
        page = pages[number % len(pages)]
        cut = draws.randrange(len(page) + 1)
        exact.append(f"{page[:cut]} {item.question} {item.answer}. {page[cut:]}")
    hits = {(match.document, match.item) for match in find_items(pa.array(exact), index, 0.8)}
    right = sum((number, number) in hits for number in range(len(items)))
    assert right == len(items)
    others = [(document, item) for document, item in hits if items[item].question != items[document].question]
    assert len(others) <= 0.02 * len(hits)
    texts = pa.array(pages)
    times = []
    for _ in range(5):
        start = time.process_time()
        find_items(texts, index, 0.8)
        times.append(time.process_time() - start)
    print(f"{min(times) / len(pages) * 1e6:.1f} microseconds a document")
    assert min(times) / len(pages) < 100e-6, "50 where nothing else runs"
