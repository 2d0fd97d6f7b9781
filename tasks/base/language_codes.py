"""Language codes: two letters in recipes and documents (ISO 639-1), three letters in crawl indexes (ISO 639-3)."""

from typing import Annotated

from pydantic import AfterValidator, StringConstraints

_PAIRS = """
aa:aar ab:abk ae:ave af:afr ak:aka am:amh an:arg ar:ara as:asm av:ava ay:aym az:aze ba:bak be:bel bg:bul bi:bis
bm:bam bn:ben bo:bod br:bre bs:bos ca:cat ce:che ch:cha co:cos cr:cre cs:ces cu:chu cv:chv cy:cym da:dan de:deu
dv:div dz:dzo ee:ewe el:ell en:eng eo:epo es:spa et:est eu:eus fa:fas ff:ful fi:fin fj:fij fo:fao fr:fra fy:fry
ga:gle gd:gla gl:glg gn:grn gu:guj gv:glv ha:hau he:heb hi:hin ho:hmo hr:hrv ht:hat hu:hun hy:hye hz:her ia:ina
id:ind ie:ile ig:ibo ii:iii ik:ipk io:ido is:isl it:ita iu:iku ja:jpn jv:jav ka:kat kg:kon ki:kik kj:kua kk:kaz
kl:kal km:khm kn:kan ko:kor kr:kau ks:kas ku:kur kv:kom kw:cor ky:kir la:lat lb:ltz lg:lug li:lim ln:lin lo:lao
lt:lit lu:lub lv:lav mg:mlg mh:mah mi:mri mk:mkd ml:mal mn:mon mr:mar ms:msa mt:mlt my:mya na:nau nb:nob nd:nde
ne:nep ng:ndo nl:nld nn:nno no:nor nr:nbl nv:nav ny:nya oc:oci oj:oji om:orm or:ori os:oss pa:pan pi:pli pl:pol
ps:pus pt:por qu:que rm:roh rn:run ro:ron ru:rus rw:kin sa:san sc:srd sd:snd se:sme sg:sag sh:hbs si:sin sk:slk
sl:slv sm:smo sn:sna so:som sq:sqi sr:srp ss:ssw st:sot su:sun sv:swe sw:swa ta:tam te:tel tg:tgk th:tha ti:tir
tk:tuk tl:tgl tn:tsn to:ton tr:tur ts:tso tt:tat tw:twi ty:tah ug:uig uk:ukr ur:urd uz:uzb ve:ven vi:vie vo:vol
wa:wln wo:wol xh:xho yi:yid yo:yor za:zha zh:zho zu:zul
"""

THREE_LETTERS = dict(pair.split(":") for pair in _PAIRS.split())  # ISO 639-3 code by ISO 639-1 code


def three_letter_code(code: str) -> str:
    """Return the ISO 639-3 code of a language given as ISO 639-1; a three-letter code stands for itself."""
    if code in THREE_LETTERS:
        return THREE_LETTERS[code]
    if len(code) == 3 and code.isascii() and code.isalpha() and code.islower():
        return code
    raise ValueError(f"{code!r} is no language code: give ISO 639-1, such as de, or ISO 639-3, such as ceb")


def _as_documents_have_it(code: str) -> str:
    two = next((two for two, three in THREE_LETTERS.items() if three == code), None)
    if two is not None:
        raise ValueError(f"documents in the language {code!r} are marked {two!r}, its ISO 639-1 code: give that")
    return code


LanguageCode = Annotated[str, StringConstraints(pattern="^[a-z]{2,3}$"), AfterValidator(_as_documents_have_it)]
"""A language as documents name it: ISO 639-1, or ISO 639-3 for a language that has no two-letter code."""
