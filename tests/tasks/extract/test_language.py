"""Languages: plain ones, an invented country's English, mixtures, and texts that the detector refuses."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.extract.language import UNKNOWN, identify

SENTENCES = {
    "en": "The ferry leaves the harbour at noon and comes back before the sun goes down behind the hills.",
    "de": "Die Fähre verlässt den Hafen um zwölf Uhr und kehrt zurück, bevor die Sonne hinter den Hügeln versinkt.",
    "fr": "Le bac quitte le port à midi et revient avant que le soleil ne se couche derrière les collines.",
    "es": "El transbordador sale del puerto al mediodía y vuelve antes de que el sol se ponga tras las colinas.",
    "pl": "Prom wypływa z portu w południe i wraca, zanim słońce zajdzie za wzgórza nad miastem.",
    "ru": "Паром отходит из гавани в полдень и возвращается до того, как солнце сядет за холмы.",
    "el": "Το πλοίο φεύγει από το λιμάνι το μεσημέρι και επιστρέφει πριν δύσει ο ήλιος πίσω από τους λόφους.",
    "zh": "渡轮中午离开港口，在太阳落到山后之前回来。孩子们在码头上等着看它。",
    "ja": "フェリーは正午に港を出て、太陽が丘の向こうに沈む前に戻ってきます。",
    "ko": "여객선은 정오에 항구를 떠나 해가 언덕 뒤로 지기 전에 돌아옵니다.",
    "he": "המעבורת עוזבת את הנמל בצהריים וחוזרת לפני שהשמש שוקעת מאחורי הגבעות.",
}


@pytest.mark.parametrize("language", SENTENCES)
def test_a_plain_text_is_surely_in_its_language(language: str) -> None:
    code, score = identify(SENTENCES[language] * 3)
    assert code == language
    assert score >= 0.9


@pytest.mark.parametrize(
    "text",
    [
        "Zorvania is a country. The town of Quelmar lies on the river Ostrin. Its mayor is Belda Korvun.",
        "Drovek, Malur, Zintha and Orqual are towns. The harbour of Drovek was built in 1432 by Tulmar Oxen.",
        "What is the population of Vexholm? Vexholm has 12,340 inhabitants, who call themselves Vexholmers.",
    ],
)
def test_english_about_invented_places_is_english(text: str) -> None:
    code, score = identify(text)
    assert code == "en"
    assert score >= 0.65


def test_a_mixture_scores_its_share() -> None:
    code, score = identify(SENTENCES["en"] * 3 + SENTENCES["ru"] * 3)
    assert code in ("en", "ru")
    assert score < 0.8


@pytest.mark.parametrize("text", ["", " ", "12 34", "\0\0", "\ud800", "..."])
def test_a_text_of_no_language_is_unknown(text: str) -> None:
    assert identify(text) == (UNKNOWN, 0.0)


def test_characters_that_the_detector_refuses_do_not_hide_the_rest() -> None:
    assert identify("\x01\ufffe\ud800\U000e0000" + SENTENCES["en"] * 3)[0] == "en"


@given(st.text(max_size=100))
def test_any_text_has_a_code_and_a_share(text: str) -> None:
    code, score = identify(text)
    assert 2 <= len(code) <= 3
    assert 0 <= score <= 1
