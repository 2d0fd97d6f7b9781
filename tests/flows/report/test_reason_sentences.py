"""Every reason that a stage of ours can give is explained to people who know no filter by its name."""

import typing

from flows.report.reason_sentences import reason_sentence
from tasks.corpus.corpus import CorpusConfig, corpus_rules
from tasks.corpus.harm import CATEGORIES, HarmConfig
from tasks.dedup.cluster_decisions import EXACT, NEAR
from tasks.extract.page_to_document import REASONS
from tasks.filter.config import FilterConfig, filter_rules
from tasks.filter.profiles import PROFILES
from tasks.personal_data.replacing import PersonalDataConfig
from tasks.warc.gzip_members import Damage


def test_every_reason_has_a_sentence() -> None:
    rules = [
        rule for profile in PROFILES for rule in filter_rules(FilterConfig(profiles=(profile,), languages=("en",)))
    ]
    harm = HarmConfig(thresholds=dict.fromkeys(CATEGORIES, 1.0))
    rules += corpus_rules(CorpusConfig(harm=harm, personal_data=PersonalDataConfig(max_per_document=1)))
    names = {rule.name for rule in rules} | {*REASONS, *typing.get_args(Damage), EXACT, NEAR}
    assert len(names) > 100
    assert {name for name in names if not reason_sentence(name).endswith(".")} == set()


def test_families_share_their_sentences() -> None:
    assert reason_sentence("dclm_top_3_gram") == "Too much of the text is its most frequent sequence of 3 words."
    assert reason_sentence("gopher_min_words") == reason_sentence("dclm_min_words") == "The text has too few words."
    assert reason_sentence("prose_c4_sentences").startswith("It has too few sentences. Counted in the running text")
    assert reason_sentence("my_rule") == ""
