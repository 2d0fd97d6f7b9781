"""The declared character set: what counts as a declaration, and what only looks like one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.extract.meta_charset import declared_charset

TAG = b"<meta charset=koi8-r>"

DECLARED = [
    (b'<meta charset="windows-1250">', "windows-1250"),
    (b"<META CHARSET = 'Windows-1250' />", "windows-1250"),
    (b"<meta\tcharset=windows-1250>", "windows-1250"),
    (b'<meta http-equiv="Content-Type" content="text/html; charset=gbk">', "gbk"),
    (b"<meta content='text/html;charset=\"gbk\"' http-equiv=content-type>", "gbk"),
    (b'<?xml version="1.0" encoding="windows-1251"?><html>', "windows-1251"),
    (b'<?xml version="1.0" encoding="windows-1251"?>' + TAG, "koi8-r"),
    (b"<!-- <meta charset=windows-1251> -->" + TAG, "koi8-r"),
    (b"<!--><meta charset=koi8-r><!-- -->", "koi8-r"),
    (b"<script>'<meta charset=windows-1251>'</script>" + TAG, "koi8-r"),
    (b"<title><meta charset=windows-1251></title>" + TAG, "koi8-r"),
    (b'<meta name="description" content="charset=windows-1251">' + TAG, "koi8-r"),
    (b'<a title="<meta charset=windows-1251>">' + TAG, "koi8-r"),
    (b"<metadata charset=windows-1251>" + TAG, "koi8-r"),
    (b"<meta http-equiv=refresh content='0; charset=windows-1251'>" + TAG, "koi8-r"),
    (b"<meta charset=koi8-r charset=windows-1251>", "koi8-r"),
    (b"<style>p {}</style>" + b" " * 5000 + TAG, "koi8-r"),
    (b"<meta charset=utf-16>", "utf-8"),
    (b"<meta charset=no-such-set>" + TAG, "koi8-r"),
    (b"<meta charset='' http-equiv=content-type content='text/html; charset=koi8-r'>", "koi8-r"),
    (b"</meta charset=windows-1251>" + TAG, "koi8-r"),
    (b"<!-- closed as browsers close it --!>" + TAG + b"<!-- -->", "koi8-r"),
    (b"<meta charset='koi8&#45;r'>", "koi8-r"),
    (b"<meta charset=iso-2022-kr>" + TAG, "iso-2022-kr"),
    (b"<meta charset=csUnicode>", "utf-8"),
    (b"<meta charset=x-user-defined>", "windows-1252"),
]


@pytest.mark.parametrize(("markup", "label"), DECLARED)
def test_only_a_meta_tag_s_own_word_counts(markup: bytes, label: str) -> None:
    assert declared_charset(markup + b"<p>charset=utf-8</p>") == label


@pytest.mark.parametrize(
    "markup",
    [
        b"",
        b"<",
        b"<p>charset=gbk",
        b"<!-- <meta charset=gbk>",
        b"<meta charset=>",
        b"<meta charset=utf-7>",
        b"<?xml version='1.0' encoding='none'?>",
        b"<meta name=x content='charset=gbk'>",
    ],
)
def test_without_a_declaration_there_is_none(markup: bytes) -> None:
    assert declared_charset(markup) is None


@given(st.lists(st.sampled_from([b"<", b"!--", b"-->", b"meta ", b"charset", b"=", b"'", b'"', b">", b"/", b"a"])))
def test_any_markup_ends(pieces: list[bytes]) -> None:
    declared_charset(b"".join(pieces))
