"""Seeded damage to pages and WARC records: what a crawl meets by accident, and what somebody might do on purpose.

Notable: a mutated record keeps its place in the file, so a test can look for what became of it. Each mutation is a
function of a draw and a capture, named in `MUTATIONS`; the same seed gives the same bytes.
"""

import gzip
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random

import brotli

from tests.tasks.warc_builder import sha1


@dataclass(frozen=True)
class Capture:
    """A response record in its layers; whatever is damaged outside is done to what the inner layers give."""

    url: str
    body: bytes
    """The HTML."""
    http: bytes
    """The HTTP head, its blank line included."""
    fields: tuple[tuple[str, str], ...] = ()
    """WARC headers that replace those that are right; a value of "" leaves the header out."""
    record_damage: Callable[[bytes], bytes] = bytes
    """What is done to the whole record."""
    member_damage: Callable[[bytes], bytes] = bytes
    """What is done to its gzip member."""

    def record(self) -> bytes:
        """The record as it stands in an uncompressed archive."""
        block = self.http + self.body
        fields = {
            "WARC-Type": "response",
            "WARC-Record-ID": "<urn:uuid:00000000-0000-4000-8000-000000000002>",
            "WARC-Date": "2026-11-07T02:55:31Z",
            "WARC-Target-URI": self.url,
            "Content-Type": "application/http; msgtype=response",
            "Content-Length": str(len(block)),
            **dict(self.fields),
        }
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items() if value)
        return self.record_damage(f"WARC/1.0\r\n{head}\r\n".encode("utf-8", "surrogatepass") + block + b"\r\n\r\n")

    def member(self) -> bytes:
        """The record as a gzip member."""
        return self.member_damage(gzip.compress(self.record(), 1, mtime=0))


def capture(url: str, body: bytes) -> Capture:
    """A page as a good server sends it."""
    return Capture(url, body, b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n\r\n")


Mutation = Callable[[Random, Capture], Capture]
Bytes = Callable[[Random, bytes], bytes]


# Bytes, wherever they stand.


def flip_bits(draw: Random, data: bytes) -> bytes:
    """A few bits turned."""
    damaged = bytearray(data)
    for _ in range(draw.randint(1, 12)):
        if damaged:
            damaged[draw.randrange(len(damaged))] ^= 1 << draw.randrange(8)
    return bytes(damaged)


def cut(draw: Random, data: bytes) -> bytes:
    """The end lost."""
    return data[: draw.randint(0, len(data))]


def repeat_slice(draw: Random, data: bytes) -> bytes:
    """A piece many times over."""
    start = draw.randint(0, len(data))
    piece = data[start : start + draw.randint(1, 2000)]
    return data[:start] + piece * draw.randint(2, 50) + data[start:]


def delete_slice(draw: Random, data: bytes) -> bytes:
    """A piece lost."""
    start = draw.randint(0, len(data))
    return data[:start] + data[start + draw.randint(1, 3000) :]


def splice_noise(draw: Random, data: bytes) -> bytes:
    """Random bytes in the middle."""
    start = draw.randint(0, len(data))
    return data[:start] + draw.randbytes(draw.randint(1, 500)) + data[start:]


def insert(draw: Random, data: bytes, piece: bytes) -> bytes:
    """Something put in at a place that is drawn."""
    start = draw.randint(0, len(data))
    return data[:start] + piece + data[start:]


# HTML.


def nest(draw: Random, data: bytes) -> bytes:
    """Tags within tags."""
    tag = draw.choice((b"<div>", b"<b>", b"<table><tr><td>", b"<ul><li>", b"<p><i>", b"<span>", b"<blockquote>"))
    return insert(draw, data, tag * draw.randint(100, 10_000))


def giant_attribute(draw: Random, data: bytes) -> bytes:
    """An attribute longer than most pages, at times without its end."""
    value = draw.choice((b"x", b"a b ", b"&amp;", b"'<p>")) * draw.randint(1_000, 200_000)
    return insert(draw, data, b'<p class="' + value + draw.choice((b'">', b"")))


def many_attributes(draw: Random, data: bytes) -> bytes:
    """An element with thousands of attributes."""
    return insert(draw, data, b"<p " + b" ".join(b"a%d=1" % i for i in range(draw.randint(10, 30_000))) + b">")


def unclose(draw: Random, data: bytes) -> bytes:
    """Closing tags lost, or something opened that never ends."""
    if draw.random() < 0.5:
        return re.sub(rb"</[a-z0-9]+>", lambda found: b"" if draw.random() < 0.5 else found[0], data)
    opened = (b"<!--", b"<script>", b"<style>", b"<textarea>", b"<title>", b"<![CDATA[", b"<", b'<a href="', b"<svg>")
    return insert(draw, data, draw.choice(opened))


def huge_table(draw: Random, data: bytes) -> bytes:
    """A table of thousands of cells."""
    row = b"<tr>" + b"<td>cell" * draw.randint(1, 40)
    return insert(draw, data, b"<table>" + row * draw.randint(1, 500))


def nuls(draw: Random, data: bytes) -> bytes:
    """NULs and other control characters."""
    return insert(
        draw, data, draw.choice((b"\0", b"\x1b", b"\xff\xfe", b"\xed\xa0\x80", b"\x85")) * draw.randint(1, 5000)
    )


def entity_storm(draw: Random, data: bytes) -> bytes:
    """Character references by the thousand, many of characters that there are not."""
    entity = draw.choice((b"&amp;", b"&#0;", b"&#xD800;", b"&#x110000;", b"&nosuch;", b"&#99999999999;", b"&lt", b"&"))
    return insert(draw, data, entity * draw.randint(100, 20_000))


def links(draw: Random, data: bytes) -> bytes:
    """Links and paragraphs by the thousand."""
    piece = draw.choice((b'<a href="/x">link</a> ', b"<p>Some words, and more of them.</p>", b"<br>", b"<li>item"))
    return insert(draw, data, piece * draw.randint(100, 3000))


def charset_lie(draw: Random, data: bytes) -> bytes:
    """A meta tag that names another character set, or a body that is in one."""
    name = draw.choice(
        ("utf-16", "utf-7", "iso-2022-jp", "shift_jis", "gb2312", "koi8-r", "utf-32le", "nonsense", "hz")
    )
    if draw.random() < 0.5:
        return f"<meta charset='{name}'>".encode() + data
    codec = draw.choice(("utf-16", "utf-16-be", "utf-32", "cp1251", "shift_jis", "gb18030", "utf-7"))
    return data.decode("utf-8", "replace").encode(codec, "replace")


def other_things(draw: Random, _data: bytes) -> bytes:
    """No HTML at all."""
    things = (b"", b"%PDF-1.7\n", b"\x89PNG\r\n", b"{}", b"<", b"<html/>", b"\0" * 1000, draw.randbytes(3000))
    return draw.choice(things)


# HTTP.


def http_damage(draw: Random, one: Capture) -> Capture:
    """The head's bytes damaged; its end may be lost."""
    return replace(one, http=draw.choice((flip_bits, cut, repeat_slice, delete_slice, splice_noise))(draw, one.http))


def odd_header(draw: Random, one: Capture) -> Capture:
    """A header that is long, repeated, folded, empty or no header."""
    lines = (
        b"Set-Cookie: " + b"x" * draw.randint(1_000, 400_000),
        b"X: y\r\n" * draw.randint(1, 20_000) + b"Z: z",
        b"Folded: a\r\n\tb\r\n c",
        b"no colon here",
        b": no name",
        b"Content-Type: text/html; charset=" + b" " * 100_000,
        b"Content-Type: text/html; charset=" + draw.choice((b"utf-16", b"big5", b"x-user-defined", b'"', b"\xff")),
        b"Content-Length: 7",
        b"X-Robots-Tag: " + draw.choice((b"noindex", b"\xff" * 50, b"unavailable_after: now", b"," * 5000)),
        b"Link: <" + b";" * draw.randint(1, 50_000),
    )
    return replace(one, http=one.http[:-2] + draw.choice(lines) + b"\r\n\r\n")


def odd_status(draw: Random, one: Capture) -> Capture:
    """A status line that is wrong or unusual."""
    lines = (b"HTTP/1.1 999 What", b"HTTP/1.1 -1", b"HTTP/2", b"HTTP/1.1 200", b"ICY 200 OK", b"HTTP/1.1 \xff", b"")
    return replace(one, http=draw.choice(lines) + b"\r\n" + one.http.partition(b"\r\n")[2])


def chunk(draw: Random, one: Capture) -> Capture:
    """Chunks whose sizes may be wrong; at times only the header says that there are any."""
    if draw.random() < 0.2:
        return _said(one, b"Transfer-Encoding: chunked")
    parts, position = [], 0
    while position < len(one.body):
        size = draw.choice((1, 10, 500, 4096))
        piece = one.body[position : position + size]
        position += size
        right = b"%x" % len(piece)
        wrong = (
            b"%x" % (len(piece) + draw.randint(-9, 9) & 0xFFFF),
            b"g",
            b"",
            b"-1",
            b"f" * 16,
            b"0",
            right + b";x=y",
        )
        parts.append((right if draw.random() < 0.98 else draw.choice(wrong)) + b"\r\n" + piece + b"\r\n")
    end = b"0\r\n\r\n" if draw.random() < 0.8 else b""
    return _said(replace(one, body=b"".join(parts) + end), b"Transfer-Encoding: chunked")


def encode(draw: Random, one: Capture) -> Capture:
    """A content coding, done and damaged, or said and not done, or done and said to be another."""
    codings: dict[bytes, Callable[[bytes], bytes]] = {
        b"gzip": lambda data: gzip.compress(data, 1),
        b"deflate": lambda data: zlib.compress(data, 1),
        b"br": lambda data: brotli.compress(data, quality=1),
        b"zstd": bytes,
        b"gzip, br": lambda data: brotli.compress(gzip.compress(data, 1), quality=1),
        b"rot13": bytes,
    }
    done, said = draw.choice(list(codings)), draw.choice(list(codings))
    body = codings[done](one.body)
    if draw.random() < 0.6:
        body = draw.choice((flip_bits, cut, repeat_slice, delete_slice, splice_noise))(draw, body)
    return _said(replace(one, body=body), b"Content-Encoding: " + (done if draw.random() < 0.7 else said))


def _said(one: Capture, header: bytes) -> Capture:
    return replace(one, http=one.http[:-2] + header + b"\r\n\r\n")


# WARC and gzip.


def wrong_length(draw: Random, one: Capture) -> Capture:
    """A Content-Length that is too long, too short, or no number."""
    right = len(one.http) + len(one.body)
    lengths = (right + 5, right - 5, right // 2, 2 * right + 7, 10**9, 10**18, 0, -1)
    length = draw.choice((*map(str, lengths), "", "many", f"{right}.0", "٣"))
    return replace(one, fields=(*one.fields, ("Content-Length", length)))


def odd_field(draw: Random, one: Capture) -> Capture:
    """A WARC header that is missing, wrong, or long."""
    values = ("", "\ufffd\0", "x" * draw.randint(1, 200_000), "é", " ", "<", "http://[", "9999-99-99T99:99:99Z")
    names = ("WARC-Date", "WARC-Target-URI", "WARC-Record-ID", "WARC-Identified-Payload-Type", "WARC-Truncated", "X")
    return replace(one, fields=(*one.fields, (draw.choice(names), draw.choice(values))))


def wrong_type(draw: Random, one: Capture) -> Capture:
    """Another record type, or none that there is."""
    kind = draw.choice(("request", "revisit", "RESPONSE", "conversion", "", "\x01"))
    return replace(one, fields=(*one.fields, ("WARC-Type", kind)))


def wrong_digest(draw: Random, one: Capture) -> Capture:
    """A payload digest of something else, or of nothing known; at times the right one."""
    digest = draw.choice((sha1(b"else"), "sha1:", "md5:zz", "crc:00", ":", "sha256:" + "A" * 500, sha1(one.body)))
    return replace(one, fields=(*one.fields, ("WARC-Payload-Digest", digest)))


def torn_record(draw: Random, one: Capture) -> Capture:
    """The record's own bytes damaged: head, body and end alike."""
    damage, seed = draw.choice((flip_bits, cut, delete_slice, splice_noise)), draw.getrandbits(32)
    return replace(one, record_damage=lambda record: damage(Random(seed), record))


def torn_member(draw: Random, one: Capture) -> Capture:
    """The gzip member's bytes damaged; in an uncompressed archive there is none."""
    damage, seed = draw.choice((flip_bits, cut, repeat_slice, delete_slice, splice_noise)), draw.getrandbits(32)
    return replace(one, member_damage=lambda member: damage(Random(seed), member))


def _to_body(change: Bytes) -> Mutation:
    return lambda draw, one: replace(one, body=change(draw, one.body))


PAGE_MUTATIONS: dict[str, Mutation] = {
    change.__name__: _to_body(change)
    for change in (
        *(flip_bits, cut, repeat_slice, delete_slice, splice_noise, nest, giant_attribute, many_attributes, unclose),
        *(huge_table, nuls, entity_storm, links, charset_lie, other_things),
    )
}
RECORD_MUTATIONS: dict[str, Mutation] = {
    change.__name__: change
    for change in (
        *(http_damage, odd_header, odd_status, chunk, encode, wrong_length, odd_field, wrong_type, wrong_digest),
        *(torn_record, torn_member),
    )
}


def mutate(draw: Random, one: Capture) -> tuple[Capture, list[str]]:
    """One to three mutations, those of the page first; their names."""
    drawn = draw.choices([*PAGE_MUTATIONS, *RECORD_MUTATIONS], k=draw.choice((1, 1, 2, 3)))
    names = sorted(drawn, key=lambda name: name in RECORD_MUTATIONS)
    for name in names:
        one = (PAGE_MUTATIONS | RECORD_MUTATIONS)[name](draw, one)
    return one, names
