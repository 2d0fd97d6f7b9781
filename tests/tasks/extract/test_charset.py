"""Character sets: whose word is believed, headers that lie, and bytes that are nothing."""

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


KOREAN = "항구 도시는 북쪽 해안에 있고 강이 바다로 흘러드는 곳에 오래된 시장이 있습니다. " * 3
BIG5 = "港口城鎮位於北部海岸，河流入海的地方有一個古老的市場。三百多年來，人們一直在那裡出售麵包和魚。"

ONE_BROKEN = [
    (KOREAN, "euc-kr", "euc-kr"),
    (BIG5, "big5", "big5"),
    (JAPANESE, "euc-jp", "euc_jp"),
    (JAPANESE, "shift_jis", "cp932"),
    (CHINESE, "gb2312", "gbk"),
]


@pytest.mark.parametrize(("text", "label", "codec"), ONE_BROKEN)
def test_one_broken_byte_is_one_broken_character(text: str, label: str, codec: str) -> None:
    body = f"<p>{text}</p>".encode(codec)
    for claim, head in ((f"text/html; charset={label}", b""), ("text/html", f"<meta charset={label}>".encode())):
        decoded = decode(head + body + b"\xff" + body, claim)
        assert decoded.text == head.decode() + f"<p>{text}</p>\ufffd<p>{text}</p>"


def test_a_byte_that_a_windows_code_page_leaves_free_does_not_refute_it() -> None:
    decoded = decode(CZECH.encode("cp1250") + b"\x81", "text/html; charset=windows-1250")
    assert (decoded.text, decoded.source) == (CZECH + "\x81", "header")


@pytest.mark.parametrize("text", [JAPANESE, GERMAN.encode("ascii", "ignore").decode()])
def test_utf_16_without_mark_or_label_is_seen(text: str) -> None:
    for charset in ("utf-16-le", "utf-16-be"):
        page = f"<html><head><title>T</title></head><body><p>{text}</p></body></html>"
        for claim in ("text/html", "text/html; charset=iso-8859-1", f"text/html; charset={charset[:6]}"):
            assert decode(page.encode(charset), claim).text == page


def test_escape_sequences_say_that_it_is_iso_2022_jp() -> None:
    for claim in ("text/html", "text/html; charset=utf-8", "text/html; charset=shift_jis"):
        decoded = decode(f"<p>{JAPANESE}</p>".encode("iso-2022-jp"), claim)
        assert (decoded.text, decoded.charset) == (f"<p>{JAPANESE}</p>", "iso2022_jp")


def test_unlabelled_korean_is_seen_whatever_its_length() -> None:
    for times in (1, 40):
        assert decode((f"<p>{KOREAN}</p>" * times).encode("euc-kr"), "").text == f"<p>{KOREAN}</p>" * times


def test_a_claim_of_utf_8_of_which_no_byte_is_utf_8_s_is_not_believed() -> None:
    assert decode(b"<p>the keeper\x92s town</p>", "text/html; charset=utf-8").text == "<p>the keeper’s town</p>"


def test_of_a_content_type_sent_twice_the_last_charset_counts() -> None:
    body = CZECH.encode("cp1250")
    assert decode(body, "text/html; charset=windows-1251, text/html; charset=windows-1250").text == CZECH
    assert decode(body, "text/html; charset=windows-1250, text/html").text == CZECH


@pytest.mark.parametrize("claim", ["text/html", "text/html; charset=iso-8859-1", "text/html; charset=windows-1251"])
def test_utf_8_with_few_broken_bytes_is_utf_8_whatever_is_claimed(claim: str) -> None:
    decoded = decode(RUSSIAN.encode() + b"\xff\x80" + RUSSIAN.encode()[:-3], claim)
    assert decoded.text.startswith(RUSSIAN + "\ufffd\ufffd" + RUSSIAN[:20])
    assert decoded.charset == "utf-8"


def test_a_claim_of_utf_8_outlives_several_broken_bytes_in_a_short_text() -> None:
    body = "<p>Grüße für Jörg, Änne und Zoë</p>".encode() + b"\xff\x80"
    assert decode(body, "text/html; charset=utf-8").text == "<p>Grüße für Jörg, Änne und Zoë</p>\ufffd\ufffd"


def test_unlabelled_ukrainian_keeps_its_own_letters() -> None:
    text = "Гавань міста лежить на північному боці затоки, де річка впадає у відкрите море. Її ґанок."
    assert decode(f"<p>{text}</p>".encode("koi8-u"), "").text == f"<p>{text}</p>"


@pytest.mark.parametrize("charset", ["cp1250", "iso8859-2"])
def test_unlabelled_central_european_is_told_apart_by_where_its_letters_are(charset: str) -> None:
    text = "<p>Přístav města leží na severní straně zálivu, kde se řeka setkává s mořem, a loď pluje dál.</p>"
    for times in (1, 6):
        assert decode((text * times).encode(charset), "").text == text * times


@pytest.mark.parametrize(
    ("text", "charset"),
    [
        ("<p>Ve starém městě je velký trh, kde lidé prodávají chléb, ryby a žluťoučké koně.</p>", "cp1250"),
        ("<p>Senamiestyje yra „didelis“ turgus, kuriame žmonės pardavinėja duoną ir žuvį.</p>", "cp1257"),
    ],
)
def test_unlabelled_text_with_bytes_that_only_windows_uses_is_in_its_code_page(text: str, charset: str) -> None:
    for times in (1, 10):
        assert decode((text * times).encode(charset), "").text == text * times


def test_little_markup_is_enough_to_see_utf_16() -> None:
    page = f"<p>{JAPANESE * 20}"
    for charset in ("utf-16-le", "utf-16-be"):
        assert decode(page.encode(charset), "text/html; charset=utf-8").text == page


def test_a_stray_byte_does_not_hide_iso_2022_jp() -> None:
    body = f"<p>{JAPANESE}</p>".encode("iso-2022-jp")
    assert decode(body + b"\xff", "text/html").text == f"<p>{JAPANESE}</p>\ufffd"


@pytest.mark.parametrize(
    ("label", "codec", "text"), [("iso-2022-kr", "iso2022_kr", KOREAN), ("HZ-GB-2312", "hz", CHINESE)]
)
def test_what_browsers_refuse_to_decode_is_one_broken_character(label: str, codec: str, text: str) -> None:
    body = f"<p>{text}</p>".encode(codec)
    assert decode(body, f"text/html; charset={label}").text == "\ufffd"
    assert decode(f"<meta charset={label}>".encode() + body, "text/html").text == "\ufffd"
    assert decode(b"<p>plain words</p>", f"text/html; charset={label}").text == "<p>plain words</p>"


def test_utf_8_encoded_twice_is_left_as_it_is() -> None:
    twice = f"<p>{GERMAN.encode().decode('cp1252')}</p>"
    assert decode(twice.encode(), "text/html; charset=utf-8").text == twice
