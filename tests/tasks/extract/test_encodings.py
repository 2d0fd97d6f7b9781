"""Decoders: what browsers read where Python's codecs stop or read something else."""

import codecs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.extract.encodings import codec_of, decode_as, is_single_byte

CODECS = {
    "utf-8": "utf-8",
    "ISO-8859-1": "cp1252",
    "latin1": "cp1252",
    "tis-620": "cp874",
    "x-mac-cyrillic": "mac-cyrillic",
    "ks_c_5601-1987": "cp949",
    "gb2312": "gb18030",
    "x-sjis": "cp932",
    "big5-hkscs": "big5hkscs",
    " EUC-JP\t": "euc_jp",
    "csiso2022jp": "iso2022_jp",
    "unicode": "utf-16-le",
}


@pytest.mark.parametrize(("label", "codec"), CODECS.items())
def test_a_label_means_what_it_means_to_browsers(label: str, codec: str) -> None:
    assert codec_of(label) == codec
    assert codecs.lookup(codec)


@pytest.mark.parametrize("label", ["", "no-such-set", "hz-gb-2312", "iso-2022-kr", "utf-7"])
def test_a_label_that_browsers_do_not_decode_is_none(label: str) -> None:
    assert codec_of(label) is None


READ = [
    ("gb18030", b"\x80\xa3\xa0\xa6\xd9\xa8\xbc", "€\u3000︐ḿ"),
    ("cp949", "똠펲".encode("cp949"), "똠펲"),
    ("euc_jp", b"\xad\xa1\xfc\xfc\xa1\xc1\xa1\xdd\x8f\xa2\xb7", "①￤～－～"),
    ("euc_jp", b"\xf9\xa1\x8e\xb1", "纊ｱ"),
    ("big5hkscs", b"\x87\x7a\xfe\xdd\xa1\xf2", "㡵糎⊕"[0] + decode_as(b"\xfe\xdd", "big5hkscs") + "⊕"),
    ("cp1250", b"\x8a\x81", "Š\x81"),
    ("cp1255", b"\xca\xd9", "\u05ba\ufffd"),
    ("cp874", b"\x80\x91\xa1\xdb", "€‘ก\ufffd"),
    ("koi8-u", b"\xae\xbe\xa4", "ўЎє"),
    ("cp932", b"\x80\xa0\xfd\x87\x40", "\x80\ufffd\ufffd①"),
    ("iso2022_jp", b"\x1b$B\x1b(Ba\x0e\x1b<", "\ufffda\ufffd\ufffd<"),
    ("iso2022_jp", b"\x1b$B$$\n$$ \x1b(I1a\x1b(J1\xa4", "い\ufffdい\ufffdｱ\ufffd1\ufffd"),
    ("euc_jp", b"\x90\xa4\xa4\x8f\xa2\xff\x8e\xe0\xa4\xa4", "\ufffdい\ufffd\ufffdい"),
    ("gb18030", b"\xe39\xe35\xc4\xe3\x810", "\ufffd你\ufffd"),
    ("gb18030", b"\xc4\xe3\x80", "你€"),
    ("iso2022_jp", b"a\x1b$B$$-!\x1b(J\\~\x1b(I1\x1b(Bz", "aい①¥‾ｱz"),
]


@pytest.mark.parametrize(("codec", "body", "text"), READ)
def test_a_character_that_python_reads_otherwise_is_the_standard_s(codec: str, body: bytes, text: str) -> None:
    assert decode_as(body, codec) == text


@pytest.mark.parametrize("codec", ["cp949", "gb18030", "big5hkscs", "euc_jp", "cp932"])
def test_a_broken_byte_costs_no_more_than_its_character(codec: str) -> None:
    text = {"cp949": "항구 도시", "gb18030": "港口城镇", "big5hkscs": "港口城鎮"}.get(codec, "港町の海岸")
    whole = text.encode(codec)
    assert decode_as(whole + b"\xff " + whole, codec) == f"{text}\ufffd {text}"
    assert decode_as(whole[:-1] + b"<p>", codec) == f"{text[:-1]}\ufffd<p>", "a lead byte leaves ASCII alone"


@given(
    st.lists(st.sampled_from(b"\x80\x81\x8e\x8f\xa1\xe0\xfe\xff0A<\x1b")).map(bytes),
    st.sampled_from(sorted(set(CODECS.values()))),
)
def test_any_lead_bytes_are_decoded(body: bytes, codec: str) -> None:
    assert isinstance(decode_as(body, codec), str)


@given(st.binary(max_size=60), st.sampled_from(sorted(set(CODECS.values()))))
def test_any_bytes_are_decoded(body: bytes, codec: str) -> None:
    assert isinstance(decode_as(body, codec), str)
    if is_single_byte(codec):
        assert len(decode_as(body, codec)) == len(body)
