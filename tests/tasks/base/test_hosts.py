"""Names of hosts: what browsers make of them, and what is none."""

import pytest

from tasks.base.hosts import ascii_host


@pytest.mark.parametrize(
    ("name", "host"),
    [
        ("Example.ORG.", "example.org"),
        ("straße.example", "xn--strae-oqa.example"),
        ("STRASSE.example", "strasse.example"),
        ("ΦΆΡΟΣ.example", "xn--hxa2bfjl.example"),
        ("φάρος.example", "xn--hxa2bffq.example"),
        ("東京。example", "xn--1lqs71d.example"),
        ("a_b.bücher.example", "a_b.xn--bcher-kva.example"),
        ("i❤.example", "xn--i-7iq.example"),
    ],
)
def test_a_name_in_ascii_is_what_browsers_make_of_it(name: str, host: str) -> None:
    assert ascii_host(name) == host


@pytest.mark.parametrize("name", ["", "a..b", "x" * 64, "a.b" * 85, "é" * 100_000, "a.\u2ff0.example"])
def test_what_no_host_is_called_is_refused(name: str) -> None:
    with pytest.raises(UnicodeError):
        ascii_host(name)
