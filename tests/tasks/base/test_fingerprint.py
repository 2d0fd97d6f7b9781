"""Fingerprints: equal meanings, equal names; another meaning, another name."""

from hypothesis import given
from hypothesis import strategies as st

from tasks.base.fingerprint import canonical, differences, fingerprint

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
CONFIGS = st.dictionaries(st.text(max_size=5), VALUES, max_size=5)


def test_golden() -> None:
    """Frozen: if this changes, every store in the world is rebuilt."""
    assert fingerprint("filter", 1, {"a": 1, "b": [0.5]}, {"extract": "0123"}) == "1ab11cb6cf9568cc"


@given(CONFIGS)
def test_the_order_of_fields_means_nothing(config: dict[str, object]) -> None:
    turned = dict(reversed(config.items()))
    assert fingerprint("s", 1, config, {}) == fingerprint("s", 1, turned, {})


@given(CONFIGS, CONFIGS)
def test_another_config_another_name(one: dict[str, object], other: dict[str, object]) -> None:
    same = fingerprint("s", 1, one, {}) == fingerprint("s", 1, other, {})
    assert same == (canonical(one) == canonical(other))


def test_version_stage_and_upstream_count() -> None:
    names = {
        fingerprint("a", 1, {}, {}),
        fingerprint("b", 1, {}, {}),
        fingerprint("a", 2, {}, {}),
        fingerprint("a", 1, {}, {"b": "1"}),
        fingerprint("a", 1, {}, {"b": "2"}),
    }
    assert len(names) == 5


def test_differences_name_the_field() -> None:
    before = {"filter": {"min_words": 50, "languages": ["en"]}, "same": 1}
    after = {"filter": {"min_words": 30, "languages": ["en", "de"]}, "same": 1, "new": True}
    assert differences(before, after) == [
        ("filter.languages", ["en"], ["en", "de"]),
        ("filter.min_words", 50, 30),
        ("new", None, True),
    ]
