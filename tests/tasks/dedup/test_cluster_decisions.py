"""Clusters of duplicates: equal to a plain union-find, whatever the order, the tables or the partitions."""

import random
from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.dedup.cluster_decisions import EXACT, MEMBERS, NEAR, Components, cluster_decisions, decide, duplicates_table
from tasks.dedup.edges import DuplicatesConfig, Int64s, Reader, distinct, partition_edges, place_of, positions_in
from tasks.dedup.minhash import MinHashConfig, estimated_similarity, signatures, signatures_table, sketches

CONFIG = MinHashConfig()
ALL_CANDIDATES = DuplicatesConfig(partitions=1, minimum_similarity=0)


def signed(documents: list[tuple[str, str]], tables: int = 1) -> Reader:
    """A corpus of (id, text), signed and split into `tables` tables."""
    table = pa.table(
        {
            "id": pa.array([name for name, _ in documents], pa.string()),
            "text": pa.array([text for _, text in documents], pa.string()),
            "text_hash": pa.array([xxhash.xxh3_128_hexdigest(text) for _, text in documents], pa.string()),
        }
    )
    whole = signatures_table(table, CONFIG)
    step = -(-max(1, len(documents)) // tables)
    split = []
    for part, start in enumerate(range(0, max(1, len(documents)), step)):
        table = whole.slice(start, step)
        split.append(table.append_column("place", pa.array(place_of(part, np.arange(table.num_rows)))))

    def read(columns: list[str]) -> Iterable[pa.Table]:
        return (part.select(columns) for part in split)

    return read


def decided(
    read: Reader, config: DuplicatesConfig, in_memory: int = 1_000_000
) -> dict[str, tuple[bool, str | None, str | None]]:
    """Each document's (kept, cluster, reason), through all the steps."""
    components = Components()
    for partition in reversed(range(config.partitions)):
        components.add(partition_edges(read, partition, config))
    places, labels = components.found()
    whole = pa.concat_tables(read(["place", "id", "text_hash", "n_chars"]))
    here = np.searchsorted(whole["place"].to_numpy(), places)
    members = whole.take(pa.array(here)).append_column("label", pa.array(labels))
    members = members.append_column("own", pa.array(np.ones(len(places), dtype=bool))).select(MEMBERS.names)
    decided = pa.concat_tables(decide([members.cast(MEMBERS)], len(places), in_memory))
    assert decided["place"].to_pylist() == places.tolist()
    rows = [row for table in read(["id"]) for row in duplicates_table(table["id"], decided).to_pylist()]
    return {row["id"]: (row["kept"], row["cluster"], row["reason"]) for row in rows}


def brute_force(documents: list[tuple[str, str]]) -> dict[str, tuple[bool, str | None, str | None]]:
    """The same from first principles: every pair compared, a union-find, the best of each cluster."""
    texts = dict(documents)
    signature = dict(zip(texts, signatures(list(texts.values()), CONFIG), strict=True))
    parent = {name: name for name in texts}

    def root(name: str) -> str:
        while parent[name] != name:
            name = parent[name]
        return name

    for left in texts:
        for right in texts:
            bands = (signature[left] == signature[right]).reshape(CONFIG.bands, CONFIG.rows).all(axis=1)
            near = bands.any() and (signature[left] != 0xFFFFFFFF).any()
            if texts[left] == texts[right] or near:
                parent[root(left)] = root(right)
    result: dict[str, tuple[bool, str | None, str | None]] = {}
    for name, text in texts.items():
        cluster = [other for other in texts if root(other) == root(name)]
        best = min(cluster, key=lambda other: (-len(texts[other]), other))
        repeated = any(texts[other] == text and other < name for other in texts)
        reason = None if best == name else EXACT if repeated else NEAR
        result[name] = (best == name, best if len(cluster) > 1 else None, reason)
    return result


def invented(seed: int, families: int = 12) -> list[tuple[str, str]]:
    """Documents in families: copies, slightly changed copies, and texts too short to sign."""
    rng = random.Random(seed)
    vocabulary = [f"{a}{b}{c}" for a in "bdfgk" for b in "aeiou" for c in "lmnrst"]
    texts = []
    for _ in range(families):
        words = rng.choices(vocabulary, k=rng.choice([2, 3, 40, 80, 120]))
        for _ in range(rng.randint(1, 4)):
            copy = list(words)
            for _ in range(rng.choice([0, 0, 1, 2, 6])):
                copy[rng.randrange(len(copy))] = rng.choice(vocabulary)
            texts.append(" ".join(copy))
    rng.shuffle(texts)
    return [(f"crawl-{number % 3}:{number * 977 % 1009:05d}", text) for number, text in enumerate(texts)]


@pytest.mark.parametrize("seed", range(8))
def test_equals_a_union_find_over_all_pairs(seed: int) -> None:
    documents = invented(seed)
    found = decided(signed(documents), ALL_CANDIDATES)
    assert found == brute_force(documents)
    assert {reason for _, _, reason in found.values()} >= {EXACT, NEAR, None}


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.randoms(use_true_random=False), st.integers(1, 7), st.integers(1, 9))
@pytest.mark.parametrize("minimum", [0.0, 0.7])
def test_order_tables_and_partitions_change_nothing(
    minimum: float, seed: int, shuffler: random.Random, tables: int, partitions: int
) -> None:
    documents = invented(seed, families=6)
    plain = decided(signed(documents), DuplicatesConfig(partitions=1, minimum_similarity=minimum))
    shuffler.shuffle(documents)
    config = DuplicatesConfig(partitions=partitions, minimum_similarity=minimum)
    assert decided(signed(documents, tables), config) == plain


def test_every_cluster_keeps_one_and_names_it() -> None:
    found = decided(signed(invented(3, families=40)), DuplicatesConfig())
    for name, (kept, cluster, reason) in found.items():
        assert kept == (reason is None)
        if cluster is not None:
            assert found[cluster][0]
            assert kept == (cluster == name)


def test_the_longest_is_kept_and_the_smallest_id_among_equals() -> None:
    text = " ".join(f"word{chr(97 + number % 26)}{chr(97 + number // 26)}" for number in range(100))
    documents = [("b:1", text), ("a:2", text), ("c:3", text + " more"), ("d:4", text + " also"), ("e:5", "tiny")]
    assert decided(signed(documents), DuplicatesConfig()) == {
        "a:2": (False, "c:3", NEAR),
        "b:1": (False, "c:3", EXACT),
        "c:3": (True, "c:3", None),
        "d:4": (False, "c:3", NEAR),
        "e:5": (True, None, None),
    }


def test_texts_too_short_to_sign_are_only_ever_exact_duplicates() -> None:
    found = decided(signed([("a:0", "one two"), ("a:1", "one two!"), ("a:2", "one two"), ("a:3", "")]), ALL_CANDIDATES)
    assert {name: reason for name, (_, _, reason) in found.items() if reason} == {"a:2": EXACT}


def test_duplicates_of_duplicates_share_a_cluster() -> None:
    words = [f"w{chr(97 + number % 26)}{chr(97 + number // 26)}" for number in range(300)]
    documents = [(f"a:{step}", " ".join(words[: 300 - 25 * step])) for step in range(8)]
    ends = sketches(signatures([documents[0][1], documents[-1][1]], CONFIG))
    assert estimated_similarity(ends[:1], ends[1:])[0] < 0.6
    assert all(cluster == "a:0" for _, cluster, _ in decided(signed(documents), DuplicatesConfig()).values())


def templated(pages: int, own_words: tuple[int, int]) -> list[tuple[str, str]]:
    """Pages of one template of 150 words, each with some words of its own."""
    rng = random.Random(5)
    template = [f"t{chr(97 + number % 26)}{chr(97 + number // 26)}" for number in range(150)]
    own = [f"{a}{b}{c}{d}" for a in "bdf" for b in "aeiou" for c in "lmnrst" for d in "aeiou"]
    texts = [" ".join(template + rng.choices(own, k=rng.randint(*own_words))) for _ in range(pages)]
    return [(f"a:{page:03d}", text) for page, text in enumerate(texts)]


def test_weak_candidates_are_not_linked() -> None:
    pages = signed(templated(60, (30, 30)))
    merged = decided(pages, ALL_CANDIDATES)
    checked = decided(pages, DuplicatesConfig(minimum_similarity=0.8))
    assert sum(not kept for kept, _, _ in merged.values()) > 50
    assert all(kept for kept, _, _ in checked.values())


def test_which_candidates_are_compared_does_not_depend_on_their_order() -> None:
    pages = templated(80, (15, 60))
    config = DuplicatesConfig(minimum_similarity=0.7)
    plain = decided(signed(pages), config)
    assert 10 < sum(not kept for kept, _, _ in plain.values()) < 75
    for seed in range(5):
        random.Random(seed).shuffle(pages)
        assert decided(signed(pages, tables=3), config) == plain


def test_an_empty_corpus_and_one_without_duplicates() -> None:
    assert decided(signed([]), DuplicatesConfig()) == {}
    lonely = decided(signed([("a:0", "alone in the world of words"), ("a:1", "")]), DuplicatesConfig())
    assert all(decision == (True, None, None) for decision in lonely.values())


@pytest.mark.parametrize("in_memory", [1, 7, 40])
def test_what_passes_through_files_is_decided_alike(in_memory: int) -> None:
    read = signed(invented(3, families=40), tables=5)
    assert decided(read, DuplicatesConfig(), in_memory) == decided(read, DuplicatesConfig())


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 10**12), st.integers(0, 30)), max_size=40), st.integers(1, 40))
def test_components_have_exactly_the_documents_of_the_edges(pairs: list[tuple[int, int]], at_a_time: int) -> None:
    edges = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    whole, bit_by_bit = Components(), Components()
    whole.add(edges)
    for start in range(0, len(edges), at_a_time):
        bit_by_bit.add(edges[start : start + at_a_time])
        bit_by_bit.found()  # merges what is waiting
    places, labels = whole.found()
    assert places.tolist() == sorted({end for pair in pairs for end in pair})
    label_of = dict(zip(places.tolist(), labels.tolist(), strict=True))
    assert all(label_of[left] == label_of[right] for left, right in pairs)
    assert clusters(*bit_by_bit.found()) == clusters(places, labels)


def clusters(places: Int64s, labels: Int64s) -> set[frozenset[int]]:
    return {frozenset(places[labels == label].tolist()) for label in set(labels.tolist())}


def members(*rows: tuple[int, bool, str, str, int]) -> pa.Table:
    """Members of one cluster: (place, own, id, text hash, characters)."""
    names = ["place", "own", "id", "text_hash", "n_chars"]
    return pa.Table.from_pylist([{"label": 0, **dict(zip(names, row, strict=True))} for row in rows], MEMBERS)


def test_the_ids_of_a_whole_corpus_may_come_to_more_than_two_gibibytes() -> None:
    """String arrays count their bytes in 32 bits; that many ids are not built here, only held in what can hold them."""
    assert MEMBERS.field("id").type == pa.large_string()
    found = cluster_decisions(members((1, True, "w:2", "0" * 32, 5), (0, True, "w:1", "0" * 32, 5)))
    assert found.to_pylist() == [
        {"place": 0, "id": "w:1", "kept": True, "cluster": "w:1", "reason": None, "size": 2},
        {"place": 1, "id": "w:2", "kept": False, "cluster": "w:1", "reason": EXACT, "size": None},
    ]


def test_a_document_of_an_earlier_crawl_is_kept_before_all_of_this_one() -> None:
    """However long these are; of the earlier one, which has its decision, there is no row."""
    found = cluster_decisions(
        members((9, True, "b:1", "1" * 32, 80), (8, True, "b:0", "0" * 32, 50), (1, False, "a:7", "0" * 32, 50))
    )
    assert [(row["id"], row["kept"], row["cluster"], row["reason"]) for row in found.to_pylist()] == [
        ("b:1", False, "a:7", NEAR),
        ("b:0", False, "a:7", EXACT),
    ]


def test_places_that_occur_often_are_taken_once() -> None:
    places = place_of(3, np.array([7, 1, 7, 0]))
    assert distinct(np.stack([places, places])).tolist() == [3 << 32, (3 << 32) + 1, (3 << 32) + 7]
    assert distinct(np.empty((0, 2), dtype=np.int64)).tolist() == []


@given(st.lists(st.integers(-50, 50)), st.lists(st.tuples(st.integers(-60, 60), st.integers(-60, 60))))
def test_positions_are_those_of_a_search_one_by_one(values: list[int], wanted: list[tuple[int, int]]) -> None:
    ordered, pairs = np.sort(np.array(values, dtype=np.int64)), np.array(wanted, dtype=np.int64).reshape(-1, 2)
    assert np.array_equal(positions_in(ordered, pairs), np.searchsorted(ordered, pairs))
