"""Lines, paragraphs and sentences: golden vectors, and what must hold for any text."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.filter.text_units import TextUnits, count_sentences

VECTORS = json.loads((Path(__file__).parents[2] / "golden" / "word_vectors.json").read_text(encoding="utf-8"))
LINES = st.lists(
    st.lists(st.sampled_from(["a", "Mr", "Prof", "e", "I", "7", ".", "..", "!", "。", ")", '"', " "]), max_size=9).map(
        "".join
    )
)


@pytest.mark.parametrize(("text", "_", "sentences"), VECTORS, ids=[vector[0][:20] for vector in VECTORS])
def test_sentences_are_the_frozen_ones(text: str, _: list[str], sentences: int) -> None:
    assert count_sentences([text]) == sentences


@pytest.mark.parametrize(
    ("line", "sentences"),
    [
        ("Mr. Esk met Mrs. Sound at St. Ann and left", 1),
        ("He left (e.g. by boat). She stayed!", 2),
        ("Prof. A. B. Esk writes... and writes.", 1),
        ('"Stop!" he said. "Why?"', 3),
        ("你好。再见！真的吗？", 3),
        ("شہر ساحل پر ہے۔ لوگ وہاں روٹی بیچتے ہیں۔ کیا یہ سچ ہے؟", 3),
        ("Քաղաքը գտնվում է հյուսիսում։ Մարդիկ հաց են վաճառում։", 2),
        ("မြို့သည် ကမ်းခြေတွင် ရှိသည်။ လူများ ရောင်းကြသည်။", 2),
        ("ከተማው በሰሜን ነው።ሰዎች ዳቦ ይሸጣሉ።እውነት ነው፧", 3),
        ("ទីក្រុងស្ថិតនៅឆ្នេរ។ មនុស្សលក់នំប៉័ង។", 2),
        ("नगर तट पर है। लोग रोटी बेचते हैं॥", 2),
        ("नगर तट पर है।लोग रोटी बेचते हैं।", 2),
        ("ከተማው በሰሜን ነው፡፡ ሰዎች ዳቦ ይሸጣሉ፡፡", 2),
        ("هل المدينة على الساحل؟نعم هي كذلك.", 2),
        ("Πού είναι η πόλη; Είναι στην ακτή.", 2),
        ("The quay; the well; the gate.", 1),
        ("", 1),
    ],
)
def test_a_full_stop_after_a_title_an_initial_or_another_one_ends_no_sentence(line: str, sentences: int) -> None:
    assert count_sentences([line]) == sentences


@given(LINES)
def test_sentences_of_lines_are_those_of_each_line(lines: list[str]) -> None:
    assert count_sentences(lines) == sum(count_sentences([line]) for line in lines)


@given(st.text(max_size=80).filter(lambda text: "\n" not in text))
def test_a_line_has_at_least_one_sentence_and_no_more_than_marks(text: str) -> None:
    marks = len(re.findall(r"[.!?։؟۔।॥᠃᱾᱿꓿꯫。！？．｡།༎။፧።፨។៕܀-܂߹᙮᥄᥅᪨-᪫᭚᭛᭞᭟᰻᰼꛳꛷꡶꡷꣎꣏꤯꧈꧉꩝-꩟꫰꫱;‼⁇⁈⁉⸮]|፡፡", text))
    assert 1 <= count_sentences([text]) <= marks + 1


def test_lines_and_paragraphs_part_as_each_rule_wants_them() -> None:
    units = TextUnits("\nOne.\n\n\nTwo.\nThree.\n")
    assert units.lines == ["", "One.", "", "", "Two.", "Three."]
    assert units.line_blocks == ["", "One.", "Two.", "Three.", ""]
    assert units.paragraphs == ["One.", "Two.\nThree."]


@given(st.text(alphabet=st.sampled_from("a \n"), max_size=20))
def test_blocks_and_paragraphs_are_parted_by_runs_of_newlines(text: str) -> None:
    units = TextUnits(text)
    assert units.line_blocks == re.split(r"\n+", text)
    assert units.paragraphs == re.split(r"\n{2,}", text.strip())
