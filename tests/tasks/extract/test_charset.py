"""Character sets: whose word is believed, headers that lie, and bytes that are nothing."""

from __future__ import annotations

import codecs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.extract.charset import decode

CZECH = "Příliš žluťoučký kůň úpěl ďábelské ódy. " * 5
RUSSIAN = "Съешь же ещё этих мягких французских булок, да выпей чаю. " * 5
JAPANESE = "いろはにほへと ちりぬるを わかよたれそ つねならむ " * 5
GERMAN = "Falsches Üben von Xylophonmusik quält jeden größeren Zwerg. Schöne Grüße. " * 5
CHINESE = "天地玄黄，宇宙洪荒。日月盈昃，辰宿列张。寒来暑往，秋收冬藏。" * 5

ENCODED = [
    (CZECH, "cp1250"),
    (CZECH, "iso8859-2"),
    (RUSSIAN, "cp1251"),
    (RUSSIAN, "koi8-r"),
    (JAPANESE, "shift_jis"),
    (JAPANESE, "euc_jp"),
    (GERMAN, "cp1252"),
    (CHINESE, "gbk"),
    (CHINESE, "gb18030"),
    (CHINESE, "utf-8"),
    (RUSSIAN, "utf-8"),
]


@pytest.mark.parametrize(("text", "charset"), ENCODED)
def test_the_header_is_believed(text: str, charset: str) -> None:
    decoded = decode(text.encode(charset), f"text/html; charset={charset}")
    assert decoded.text == text
    assert decoded.source == ("utf-8" if charset == "utf-8" else "header")


@pytest.mark.parametrize(("text", "charset"), ENCODED)
def test_the_meta_tag_is_believed_where_the_header_is_silent_or_says_latin_1(text: str, charset: str) -> None:
    for tag in (
        f'<meta charset="{charset}">',
        f"<META http-equiv=Content-Type content='text/html; charset={charset}'>",
    ):
        body = (tag + text).encode(charset)
        for header in ("text/html", "", "text/html; charset=ISO-8859-1"):
            assert decode(body, header).text == tag + text


@pytest.mark.parametrize(("text", "charset"), [pair for pair in ENCODED if pair[1] != "iso8859-2"])
def test_without_any_word_the_bytes_decide(text: str, charset: str) -> None:
    decoded = decode(text.encode(charset), "text/html")
    assert decoded.text == text
    assert decoded.source == ("utf-8" if charset == "utf-8" else "detected")


@pytest.mark.parametrize("claim", ["iso-8859-1", "windows-1251", "gb2312", "utf-16", "no-such-charset", "shift_jis"])
def test_valid_utf_8_is_utf_8_whatever_the_header_says(claim: str) -> None:
    assert decode(GERMAN.encode(), f"text/html; charset={claim}").text == GERMAN


@pytest.mark.parametrize("text", [CZECH, GERMAN, RUSSIAN])
def test_a_claim_of_utf_8_that_the_bytes_deny_is_passed_over(text: str) -> None:
    charset = {CZECH: "cp1250", GERMAN: "cp1252", RUSSIAN: "cp1251"}[text]
    assert decode(text.encode(charset), "text/html; charset=utf-8").text == text


def test_a_few_broken_bytes_do_not_make_another_charset_of_utf_8() -> None:
    decoded = decode(GERMAN.encode() + b"\xff" + GERMAN.encode(), "text/html; charset=utf-8")
    assert decoded.text == GERMAN + "\ufffd" + GERMAN
    assert (decoded.charset, decoded.source) == ("utf-8", "header")


@pytest.mark.parametrize(
    ("mark", "charset"),
    [(codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be")],
)
def test_a_byte_order_mark_beats_every_claim_and_goes(mark: bytes, charset: str) -> None:
    decoded = decode(mark + GERMAN.encode(charset), "text/html; charset=iso-8859-1")
    assert (decoded.text, decoded.charset, decoded.source) == (GERMAN, charset, "bom")


def test_utf_16_is_believed_of_the_header_and_not_of_a_tag_that_ascii_could_read() -> None:
    assert decode(CZECH.encode("utf-16-le"), "text/html; charset=utf-16le").text == CZECH
    page = '<meta charset="utf-16">plain'
    assert decode(page.encode(), "text/html").text == page


def test_seven_bit_charsets_are_no_ascii() -> None:
    assert decode(JAPANESE.encode("iso-2022-jp"), "text/html; charset=iso-2022-jp").text == JAPANESE


def test_labels_mean_what_they_mean_to_browsers() -> None:
    assert decode("“quoted”".encode("cp1252"), "text/html; charset=iso-8859-1").text == "“quoted”"


@given(
    st.binary(max_size=300),
    st.sampled_from(["", "text/html", "charset=utf-8", "charset=utf-16", "charset=gbk", "charset=x", "charset=utf-7"]),
)
def test_any_bytes_are_decoded_to_text_that_utf_8_can_hold(body: bytes, content_type: str) -> None:
    decoded = decode(body, content_type)
    assert decoded.text.encode("utf-8", "surrogatepass") or not decoded.text
    assert codecs.lookup(decoded.charset)


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\0\ufeff"), max_size=100))
def test_utf_8_comes_back_as_it_went(text: str) -> None:
    assert decode(text.encode(), "text/html; charset=utf-8").text == text
