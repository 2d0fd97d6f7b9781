"""Scores of harmful content and bias: what counts, how much, and what a lexicon file may hold."""

from collections.abc import Mapping

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tasks.base.errors import UsageError
from tasks.corpus.harm import (
    BIAS_WINDOW,
    CATEGORIES,
    MIN_WORDS,
    Category,
    HarmConfig,
    harm_rules,
    read_lexicon,
    score_harm,
)
from tasks.dataset.data_files import read_data_file
from tasks.dataset.rules import apply_rules
from tasks.dataset.store import Store

LEXICON = read_lexicon(
    b"# a comment\n\nviolence\t1\tbrawl\nviolence\t3\tbrawl to the end\nsexual\t0.5\tCaf\xc3\xa9 Noir\n"
    b"hate\t2\tgrey folk\nidentity\t1\tgrey folk\nidentity\t1\tsailors\nderogatory\t1\tlazy\nderogatory\t2\trotten\n",
    "test",
)
FILLER = "harbour " * 1000


def scores(text: str) -> dict[str, float]:
    """The scores of `text` that are not zero."""
    found = score_harm(text, LEXICON)
    return {category: score for category, score in found.items() if score}


def reasons(found: Mapping[Category, float], config: HarmConfig) -> list[str]:
    """What a document with these scores, stored in 32 bits, is removed for."""
    columns = {f"harm_{category}": pa.array([score], pa.float32()) for category, score in found.items()}
    return [name for name, fails in apply_rules(harm_rules(config), pa.table(columns)).items() if fails[0]]


@pytest.mark.parametrize(
    ("text", "weights"),
    [
        ("A brawl, another BRAWL!", {"violence": 2}),
        ("brawls and embrawled", {}),
        ("They brawl to the end.", {"violence": 3}),  # the longer term, and not the shorter one too
        ("brawl to the", {"violence": 1}),
        ("the café-noir", {"sexual": 0.5}),
        ("grey folk", {"hate": 2}),
        ("lazy and rotten", {}),  # of nobody
        ("sailors", {}),
        ("Sailors are lazy", {"bias": 1}),
        ("lazy, rotten sailors", {"bias": 3}),
        ("rotten " + "word " * (BIAS_WINDOW - 1) + "sailors", {"bias": 2}),
        ("rotten " + "word " * BIAS_WINDOW + "sailors", {}),
        ("sailors " + "word " * BIAS_WINDOW + "lazy", {}),
        ("", {}),
    ],
)
def test_weights(text: str, weights: dict[str, float]) -> None:
    expected = {category: weight * 1000 / MIN_WORDS for category, weight in weights.items()}
    assert scores(text) == pytest.approx(expected)


def test_a_score_is_for_a_thousand_words() -> None:
    assert score_harm("brawl " * 3 + FILLER[: -3 * len("harbour ")], LEXICON)["violence"] == pytest.approx(
        3.0, rel=0.01
    )
    assert score_harm("brawl " + "word " * (MIN_WORDS - 1), LEXICON) == score_harm("brawl", LEXICON)


@given(st.lists(st.sampled_from(["sailors", "lazy", "rotten", "word", "grey folk"]), max_size=40))
def test_bias_is_what_comparing_every_pair_finds(pieces: list[str]) -> None:
    words = " ".join(pieces).split()
    groups = [i for i, word in enumerate(words) if word in ("sailors", "grey")]
    weights = {"lazy": 1.0, "rotten": 2.0}
    near = (word for i, word in enumerate(words) if word in weights and any(abs(i - g) <= BIAS_WINDOW for g in groups))
    assert score_harm(" ".join(words), LEXICON)["bias"] == pytest.approx(
        sum(weights[w] for w in near) * 1000 / MIN_WORDS
    )


def test_a_threshold_removes_what_is_above_it_and_others_only_measure() -> None:
    found = score_harm("brawl, you rotten sailors", LEXICON)
    assert reasons(found, HarmConfig()) == []
    assert reasons(found, HarmConfig(thresholds={"violence": found["violence"], "bias": 1, "hate": 0})) == ["harm_bias"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"violence\t1\tbrawl\nsmuggling\t1\trum", r'own.tsv, line 2: there is no category "smuggling"'),
        (b"violence 1 brawl", r"own.tsv, line 1: 1 fields"),
        (b"violence\tmuch\tbrawl", r'weight must be a number above 0, at most 1000; it is "much"'),
        (b"violence\tnan\tbrawl", r"weight"),
        (b"violence\t-1\tbrawl", r"weight"),
        (b"violence\t1\t!", r'"!" has 0 words'),
        (b"violence\t1\ta b c d e", r"has 5 words"),
        (b"violence\t1\t\xff", r"UTF-8 text, but byte 11 is not"),
    ],
)
def test_a_wrong_lexicon_is_refused_with_its_line(content: bytes, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        read_lexicon(content, "own.tsv")


def test_thresholds_are_for_known_categories() -> None:
    with pytest.raises(ValidationError, match="thresholds"):
        HarmConfig.model_validate({"thresholds": {"rudeness": 1}})


def test_the_built_in_lexicon_scores_every_category_and_leaves_plain_text_alone(store: Store) -> None:
    lexicon = read_lexicon(read_data_file(store, HarmConfig().lexicon), "harm.lexicon")
    plain = "The harbour of Tolvane lies where the river meets the sound, and women and men sell herring there."
    assert not any(score_harm(plain, lexicon).values())
    telling = {
        "violence": "I will kill you",
        "sexual": "free porn videos",
        "hate": "a race traitor",
        "self_harm": "go and kill yourself",
        "bias": "those immigrants are vermin",
    }
    for category in CATEGORIES:
        found = score_harm(telling[category], lexicon)
        assert found[category] == max(found.values()) > 0


@pytest.fixture
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """An empty store."""
    return Store(str(tmp_path_factory.mktemp("store")))
