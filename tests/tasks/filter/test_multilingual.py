"""The multilingual recipe: what it asks of each language, and what is kept of real pages that are not English."""

import gzip
import json
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from flows.recipe.loading import load_recipe
from flows.recipe.shipped import shipped_recipes
from tasks.dataset.rules import Threshold
from tasks.extract.config import ExtractionConfig
from tasks.extract.page_to_document import page_to_document
from tasks.filter.config import FilterConfig, filter_rules
from tasks.filter.stop_word_lists import GOPHER_STOP_WORDS, StopWords, builtin_stop_words
from tasks.warc.reader import Page, ReadLimits, read_pages
from tests.tasks.filter.one_document import filter_text

ISO_CODES = {"zho": "zh", "wuu": "zh", "deu": "de", "rus": "ru", "tur": "tr", "pol": "pl", "pes": "fa", "por": "pt"}
"""The codes by which the labels name some languages, and ours."""
ENGLISH_WORDS = StopWords({"en": GOPHER_STOP_WORDS})


def recipe_filter() -> FilterConfig:
    return load_recipe("multilingual").filter


def test_thirty_languages_have_stop_words_and_thresholds_of_their_own() -> None:
    assert "multilingual" in shipped_recipes()
    config = recipe_filter()
    assert len(set(config.languages)) == 30
    assert set(config.languages) <= set(builtin_stop_words().languages)
    # English keeps the profile's own thresholds, Finnish and the others have theirs.
    assert set(config.languages) - set(config.language_thresholds) == {"en"}
    assert config.profiles == ("fineweb2",)


def test_the_same_signals_are_held_to_the_thresholds_of_the_language() -> None:
    longest = next(rule for rule in filter_rules(recipe_filter()) if rule.name == "gopher_max_mean_word_length")
    assert isinstance(longest, Threshold)
    limits = {name: dict(longest.language_limits).get(name, longest.limit) for name in ("en", "de", "zh", "hi")}
    assert limits == {"en": 10, "de": 14, "zh": 5, "hi": 21}


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("zh", "港口在河流与北海相遇的地方。{}号码头是盐商建造的，至今还有他们的标记。"),
        ("ja", "港は川が北の海に出会う場所にあります。{}番の埠頭は塩の商人が建てたもので、今も印が残っています。"),
        ("th", "ท่าเรืออยู่ที่แม่น้ำไหลลงสู่ทะเลเหนือ ท่าที่ {} สร้างโดยพ่อค้าเกลือและยังมีเครื่องหมายของเขาอยู่"),
    ],
)
def test_scripts_without_spaces_have_words_enough(language: str, text: str) -> None:
    lines = "\n".join(text.format(number) for number in range(12))
    reasons = filter_text(lines, language, 1.0, recipe_filter()).reasons
    length_and_words = {"gopher_min_words", "gopher_max_mean_word_length", "gopher_alpha_words", "gopher_stop_words"}
    assert not length_and_words & set(reasons)


@pytest.mark.slow
def test_real_pages_are_kept_in_every_language_that_has_some(
    common_crawl: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = load_recipe("multilingual")
    extraction = recipe.extract.model_copy(update={"guess_languages": recipe.filter.languages})
    table = funnel(common_crawl, extraction, recipe.filter)
    with capsys.disabled():
        print("\nlanguage: pages, with text, kept; kept with English stop words and thresholds; most frequent reasons")
        for language, (pages, texts, kept, by_english, reasons) in table.items():
            most = ", ".join(f"{reason} {count}" for reason, count in reasons.most_common(3))
            print(f"  {language}: {pages:4} {texts:4} {kept:4} {by_english:4}  {most}")
    frequent = {language: row for language, row in table.items() if row[1] >= 20}
    assert len(frequent) >= 10
    for language, (_, texts, kept, by_english, _) in frequent.items():
        assert 0.3 * texts <= kept <= 0.95 * texts, language
        assert by_english <= 0.25 * texts, language


Row = tuple[int, int, int, int, Counter[str]]


def funnel(folder: Path, extraction: ExtractionConfig, config: FilterConfig) -> dict[str, Row]:
    """By the label's language, of those that the recipe keeps: pages, texts, kept, kept by English rules, reasons."""
    languages = languages_of_pages(folder)
    english = config.model_copy(update={"language_thresholds": {}})
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    reasons: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for warc in sorted({warc for warc, _ in languages}):
        with (folder / warc).open("rb") as stream:
            for page in read_pages(stream, ReadLimits()):
                language = languages.get((warc, page.offset), "")
                if language == "en" or language not in config.languages or not isinstance(page, Page):
                    continue
                found = page_to_document(page, document_id="x", crawl="y", config=extraction).document
                counts[language].update(["pages", *(["texts"] if found else [])])
                if found:
                    document = found["text"], found["language"], found["language_score"]
                    filtered = filter_text(*document, config)
                    counts[language]["kept"] += filtered.kept
                    counts[language]["english"] += filter_text(*document, english, ENGLISH_WORDS).kept
                    reasons[language].update(filtered.reasons)
    return {
        language: (n["pages"], n["texts"], n["kept"], n["english"], reasons[language])
        for language, n in sorted(counts.items(), key=lambda item: -item[1]["pages"])
    }


def languages_of_pages(folder: Path) -> dict[tuple[str, int], str]:
    """By WARC and offset, as the page's source names its language, else as it was guessed for the labels."""
    with gzip.open(folder / "labels.jsonl.gz", "rt", encoding="utf-8") as lines:
        labels = [json.loads(line) for line in lines]
    codes = {(x["warc"], x["offset"]): (x["lang"] or x["lang_guess"] or "").partition("_")[0] for x in labels}
    return {place: ISO_CODES.get(code, code) for place, code in codes.items()}
