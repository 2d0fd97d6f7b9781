"""Damage in WARC files: what it costs, and that nothing disappears."""

import gzip
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.warc.reader import Page
from tests.tasks.warc.reading import read, reasons
from tests.tasks.warc_builder import crawl, http_response, members, page, record


def test_a_damaged_member_costs_only_itself() -> None:
    records = crawl(4)
    packed = [gzip.compress(one, mtime=0) for one in records]
    damaged = bytearray(packed[5])
    damaged[len(damaged) // 2] ^= 0x10
    items, counts = read(b"".join([*packed[:5], bytes(damaged), *packed[6:]]))
    assert reasons(items) == ["page", "damaged_gzip", "page", "page"]
    assert items[1].offset == sum(map(len, packed[:5]))
    assert counts.others["request"] == 4


def test_of_a_damaged_member_the_records_before_the_last_are_believed_if_their_digests_agree() -> None:
    lone = bytearray(gzip.compress(page(1)))
    lone[-8] ^= 1  # the checksum alone: but the damage might as well be in the headers
    assert reasons(read(members([page(0)]) + bytes(lone) + members([page(2)]))[0]) == ["page", "damaged_gzip", "page"]
    shared = bytearray(gzip.compress(page(1) + page(2, WARC_Payload_Digest="") + page(3) + page(4)))
    shared[-8] ^= 1
    items, _ = read(members([page(0)]) + bytes(shared))
    assert reasons(items) == ["page", "page", "damaged_gzip", "page", "damaged_gzip"]


@pytest.mark.parametrize("size", [3_000_000, 4_200_000, 9_000_000, 30_000_000])
def test_after_a_member_that_comes_in_pieces_the_next_is_found_where_it_begins(size: int) -> None:
    long = record(http_response(b"<p>" * (size // 3)), url="https://tolvane.example/long")
    data = members([page(0), long, *map(page, range(2, 400))])
    items, _ = read(data)
    assert reasons(items) == ["page"] * 400
    assert items[2].offset == len(members([page(0), long]))


def test_a_long_member_that_lies_and_is_damaged_is_told_twice_at_two_places() -> None:
    """The lie shows in its first megabytes, the damage at its end; each is a decision with an id of its own."""
    lying = record(http_response(), Content_Length="10").rstrip() + b"and more of it " * 500_000
    member = bytearray(gzip.compress(lying))
    member[-8] ^= 1
    items, _ = read(members([page(0)]) + bytes(member) + members([page(2)]))
    assert reasons(items) == ["page", "wrong_length", "damaged_gzip", "page"]
    assert items[2].offset == items[1].offset + 1


def test_a_member_that_breaks_off_inside_the_file_hides_none_of_the_next() -> None:
    packed = [gzip.compress(one) for one in (page(0), page(1), page(2))]
    items, _ = read(packed[0] + packed[1][:100] + packed[2])
    assert reasons(items) == ["page", "damaged_gzip", "page"]


def test_junk_between_members_and_before_the_first_is_told() -> None:
    packed = members([page(0)])
    assert reasons(read(packed + b"some junk here" + packed)[0]) == ["page", "junk", "page"]
    assert reasons(read(b"some junk here" + packed)[0]) == ["junk", "page"]
    assert reasons(read(packed + bytes(512))[0]) == ["page"], "zero padding is no junk"


@pytest.mark.parametrize("pack", [members, b"".join], ids=["gzip", "plain"])
def test_a_length_that_lies_costs_only_its_record(pack: type) -> None:
    for length in (10, 10_000_000):
        wrong = record(http_response(), Content_Length=str(length))
        items, _ = read(pack([page(0), wrong, page(2)]), allow_clipped_end=True)
        assert reasons(items) == ["page", "wrong_length", "page"]


def one_member(records: list[bytes]) -> bytes:
    """An archive that is a single gzip member."""
    return gzip.compress(b"".join(records))


def too_long(kind: str, excess: int) -> bytes:
    """A record that says it is longer than it is."""
    block = http_response() + b"and more of it" * 10
    return record(block, kind, Content_Length=str(len(block) + excess))


@pytest.mark.parametrize("pack", [members, b"".join, one_member])
@pytest.mark.parametrize("kind", ["response", "request"])
@pytest.mark.parametrize("excess", [5, 60, 500, 10_000_000])
def test_a_length_that_lies_swallows_nothing(pack: Callable[[list[bytes]], bytes], kind: str, excess: int) -> None:
    """Whatever type the record is of, and however the archive is packed."""
    items, counts = read(pack([page(0), too_long(kind, excess), page(2), page(3)]))
    assert reasons(items) == ["page", "wrong_length", "page", "page"]
    assert not counts.others


def test_a_length_beyond_all_limits_swallows_no_more_than_its_gzip_member() -> None:
    for kind, reason in (("response", "too_large"), ("request", "wrong_length")):
        records = [page(0), too_long(kind, 10**12), page(2)]
        assert reasons(read(members(records))[0]) == ["page", reason, "page"]
        assert reasons(read(b"".join(records))[0]) == ["page", "wrong_length", "page"]
    assert reasons(read(one_member([page(0), too_long("response", 10**12), page(2)]))[0]) == ["page", "too_large"]
    assert reasons(read(one_member([page(0), too_long("request", 10**12), page(2)]))[0]) == ["page", "clipped"]


def test_a_record_torn_in_an_uncompressed_archive_costs_only_itself() -> None:
    """Its head is not mixed with the next one's, wherever it is torn."""
    whole = page(1)
    for end in range(10, len(whole) - 4, 7):
        items, _ = read(page(0) + whole[:end] + page(2) + page(3))
        assert reasons(items)[0::3] == ["page", "page"], end
        assert [item.url for item in items if isinstance(item, Page)][1:] == [
            "https://tolvane.example/2",
            "https://tolvane.example/3",
        ]


def test_a_head_without_length_costs_only_its_record() -> None:
    wrong = record(http_response()).replace(b"Content-Length", b"Content-Lenght")
    assert reasons(read(members([page(0), wrong, page(2)]))[0]) == ["page", "bad_record", "page"]
    assert reasons(read(b"".join([page(0), wrong, page(2)]))[0]) == ["page", "bad_record", "page"]


@pytest.mark.parametrize("cut", [20, 150, 320])
def test_a_clipped_end_is_counted_where_it_is_allowed_and_told_where_it_is_not(cut: int) -> None:
    for data in (members([page(0), page(1)]), page(0) + page(1)):
        clipped = data[: len(data) - cut]
        items, counts = read(clipped, allow_clipped_end=True)
        assert (reasons(items), counts.clipped) == (["page"], 1)
        [_, last], counts = read(clipped)
        assert counts.clipped == 0
        if isinstance(last, Page):
            assert (last.truncated, last.digest_ok) == ("clipped", None)
            assert last.payload
        else:
            assert last.reason == "clipped"


def test_every_prefix_of_a_file_gives_the_same_first_pages() -> None:
    data = members(crawl(3))
    whole, _ = read(data)
    for end in range(2, len(data), 37):
        items, counts = read(data[:end], allow_clipped_end=True)
        assert items == whole[: len(items)]
        assert counts.clipped <= 1


MUTATED = members(crawl(4))


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, len(MUTATED) - 1), st.integers(0, 255)), min_size=1, max_size=4),
    st.integers(0, len(MUTATED)),
)
def test_a_mutated_archive_never_raises_and_loses_no_more_than_what_was_hit(
    changes: list[tuple[int, int]], cut: int
) -> None:
    data = bytearray(MUTATED)
    for position, value in changes:
        data[position] = value
    whole = {item.offset: item for item in read(MUTATED)[0]}
    items, _ = read(bytes(data))
    same = [item for item in items if item == whole.get(item.offset)]
    assert len(same) >= len(whole) - len(changes)
    if cut > 2000:
        read(bytes(data[:cut]), allow_clipped_end=True)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_mutated_uncompressed_archive_never_raises(data: st.DataObject) -> None:
    plain = bytearray(b"".join(crawl(3)))
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(200, len(plain) - 1))
        plain[start : start + data.draw(st.integers(0, 30))] = data.draw(st.binary(max_size=30))
    read(bytes(plain), allow_clipped_end=True)
