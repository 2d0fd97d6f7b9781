"""Rules on addresses: FineWeb's, quirk by quirk, with every rule that fails named."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.base.errors import UsageError
from tasks.extract.url_rules import URL_REASONS, URL_SIGNALS, UrlRules, UrlRulesConfig, host_of, registered_domain
from tests.tasks.builtin_lists import read_list

LISTS = {
    "domains": "# a comment\nbad.example\n  SHOUTING.example.  \npages.host.example\n\nbücher.de\nstraße.example\n",
    "addresses": "https://fine.example/only/this\nfine.example/any/scheme\n",
    "hard": "Worst\nhalf-way\n",
    "soft": "mild\nsoft\nmellow\n",
    "subwords": "wicked\nwickedly\nnaughty\n",
}
CONFIG = {
    "blocked_domains": ("domains",),
    "blocked_addresses": ("addresses",),
    "hard_words": ("hard",),
    "soft_words": ("soft",),
    "subwords": ("subwords",),
}


def rules(**changes: Any) -> UrlRules:
    return UrlRules(UrlRulesConfig.model_validate(CONFIG | changes), lambda name: LISTS[name].encode())


@pytest.mark.parametrize(
    ("url", "reasons"),
    [
        ("https://fine.example/", []),
        ("https://bad.example/", ["url_domain"]),
        ("http://deep.down.bad.example:8080/x?y", ["url_domain"]),
        ("https://BAD.example./", ["url_domain"]),
        ("https://www.shouting.example/", ["url_domain"]),
        ("https://notbad.example/", []),
        ("https://fine.example/bad.example", []),
        ("https://pages.host.example/", ["url_host"]),
        ("https://other.host.example/", []),
        ("https://www.pages.host.example/", []),
        ("https://www.xn--bcher-kva.de/", ["url_domain"]),
        ("https://fine.example/only/this", ["url_address"]),
        ("http://fine.example/only/this", []),
        ("http://fine.example/any/scheme", ["url_address"]),
        ("https://fine.example/any/scheme?", []),
        ("https://fine.example/the-worst", ["url_hard_word"]),
        ("https://worst.example/", ["url_hard_word"]),
        ("https://fine.example/worsted", []),
        ("https://fine.example/halfway", ["url_hard_word"]),
        ("https://fine.example/half-way", []),
        ("https://fine.example/mild", []),
        ("https://fine.example/mild/mild/mild", []),
        ("https://soft.example/mild", ["url_soft_words"]),
        ("https://fine.example/wic-ked", ["url_subword"]),
        ("https://fine.wic/ked", ["url_subword"]),
        ("https://fine.example/WICKED", ["url_subword"]),
        (
            "https://bad.example/worst/soft-mild/naughty",
            ["url_domain", "url_hard_word", "url_soft_words", "url_subword"],
        ),
        ("", []),
        ("http://[broken", []),
        ("https://xn--strae-oqa.example/", ["url_domain"]),
        ("https://www.straße.example/", ["url_domain"]),
        ("https://strasse.example/", []),
    ],
)
def test_each_rule_and_all_that_fail(url: str, reasons: list[str]) -> None:
    assert rules().check(url)[0] == reasons


def test_fineweb_s_quirk_an_upper_case_word_is_another_word_unless_told_otherwise() -> None:
    url = "https://fine.example/WORST/Soft/MILD"
    assert rules().check(url)[0] == []
    assert rules(match_case=False).check(url)[0] == ["url_hard_word", "url_soft_words"]


def test_signals_say_how_much() -> None:
    signals = rules().check("https://www.bad.example/worst/soft/mellow/wickedly")[1]
    assert list(signals) == list(URL_SIGNALS)
    assert signals == {"url_listed": "bad.example", "url_hard_words": 1, "url_soft_words": 2, "url_subwords": 2}
    assert rules().check("https://pages.host.example/")[1]["url_listed"] == "pages.host.example"
    assert rules().check("https://fine.example/any/scheme")[1]["url_listed"] == "fine.example/any/scheme"


def test_the_number_of_soft_words_is_the_recipe_s() -> None:
    assert rules(min_soft_words=1).check("https://fine.example/soft")[0] == ["url_soft_words"]
    assert rules(min_soft_words=3).check("https://fine.example/soft-mild")[0] == []


def test_without_lists_nothing_is_refused() -> None:
    none = rules(**dict.fromkeys(CONFIG, ()))
    assert none.check("https://bad.example/worst-soft-mild-naughty") == (
        [],
        {"url_listed": None, "url_hard_words": 0, "url_soft_words": 0, "url_subwords": 0},
    )


def test_a_list_that_is_no_text_is_named() -> None:
    with pytest.raises(UsageError, match=r"\bhard\b.*UTF-8"):
        UrlRules(UrlRulesConfig(hard_words=("hard",)), lambda name: b"\xff\xfe" if name == "hard" else b"")


def test_the_seed_lists_refuse_what_they_should_and_nothing_else() -> None:
    seeds = UrlRules(UrlRulesConfig(), read_list)
    for url in (
        "https://de.pornhub.com/",
        "https://fine.example/free-porn-videos",
        "https://fine.example/slot-gacor-hari-ini",
        "https://fine.example/online-casino-poker",
        "https://fine.example/buy-viagra-online",
    ):
        assert seeds.check(url)[0], url
    for url in (
        "https://www.essexcameraclub.org.uk/sexton-exhibition",
        "https://fine.example/sex-education-for-teachers",
        "https://fine.example/when-taiwan-votes",
        "https://fine.example/2023/poker-face-season-two-review",
        "https://fine.example/escort-vessels-of-the-royal-navy",
        "https://fine.example/the-blue-tit-and-other-birds",
        "https://fine.example/pussy-willow-care",
        "https://fine.example/gay-marriage-and-the-law",
        "https://fine.example/breast-cancer-screening-for-women",
    ):
        assert seeds.check(url)[0] == [], url


@pytest.mark.parametrize(
    ("host", "domain"),
    [
        ("www.example.co.uk", "example.co.uk"),
        ("example.com", "example.com"),
        ("a.b.example.com", "example.com"),
        ("www.tolvane.example", "tolvane.example"),
        ("localhost", "localhost"),
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8::1", "2001:db8::1"),
        ("a..b", ".b"),
        ("", ""),
    ],
)
def test_registered_domains(host: str, domain: str) -> None:
    assert registered_domain(host) == domain


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://a.example.:80/x", "a.example"),
        ("https://user:word@B.example/", "b.example"),
        ("http://[::1]/", "::1"),
        ("http://[broken/", ""),
        ("dns:a.example", ""),
        ("", ""),
    ],
)
def test_hosts(url: str, host: str) -> None:
    assert host_of(url) == host


@given(st.text(max_size=60) | st.text(max_size=60).map(lambda path: f"http://{path}"))
def test_any_address_is_judged(url: str) -> None:
    reasons, signals = rules().check(url)
    assert reasons == [reason for reason in URL_REASONS if reason in reasons]
    assert ("url_subword" in reasons) == (signals["url_subwords"] > 0)


@given(st.lists(st.text("ab", min_size=1, max_size=4), max_size=6), st.text("ab", max_size=20))
def test_subwords_are_found_wherever_they_are(subwords: list[str], path: str) -> None:
    LISTS["drawn"] = "\n".join(subwords)
    signals = rules(subwords=("drawn",)).check(path)[1]
    assert signals["url_subwords"] == sum(subword in path for subword in set(subwords))
