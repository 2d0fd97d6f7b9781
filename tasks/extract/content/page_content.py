"""The main content of a page: its kind, the runs chosen, and how sure that is."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from lxml import etree

from tasks.extract.content.boosted_trees import ONE, BoostedTrees, load_trees
from tasks.extract.content.choice import Choice, choose
from tasks.extract.content.kinds import PAGE_KINDS
from tasks.extract.content.logistic import logistic
from tasks.extract.content.page_features import declared_types, page_features
from tasks.extract.content.run_features import run_features
from tasks.extract.content.text_runs import TextRuns
from tasks.extract.content.words import Ints, RunWords

KIND_FEATURES: Final = tuple(f"kind {kind}" for kind in PAGE_KINDS)
"""Names of the `kind_sums` among the features of a run."""
Column = npt.NDArray[np.float32]
KINDS_FILE: Final = "page_kinds.txt"
RUNS_FILE: Final = "content_runs.txt"
_CAUTION = 0.2
"""Log odds taken off each run's: the runs learned from count what touches content. It gained 0.002 and 0.003 of F1."""


@dataclass(frozen=True, slots=True)
class PageContent:
    """What the models say of a page."""

    kind: str
    """A `PageKind`."""
    choice: Choice
    """Which of its runs are the main content."""


def page_facts(tree: etree._Element) -> tuple[str, str]:
    """Return what an extractor may take from a page's tree: its title, and what it declares of itself."""
    return (tree.findtext(".//title") or "")[:1000], declared_types(tree)


def page_content(runs: TextRuns, url: str, title: str, declared: str) -> PageContent:
    """Return the kind of a page with at least one run, and its main content.

    `title` and `declared` are its `page_facts`.
    """
    words = RunWords.of(runs.texts)
    columns = run_features(runs, words, title)
    kinds = kind_sums(load_trees(KINDS_FILE), page_features(url, declared, columns))
    choice = choose_runs(load_trees(RUNS_FILE), columns, kinds, words.counts)
    return PageContent(PAGE_KINDS[int(np.argmax(kinds))], choice)


def kind_sums(trees: BoostedTrees, features: dict[str, float]) -> Column:
    """Return how much speaks for each of `PAGE_KINDS`, [kinds], by the `page_features` of a page."""
    columns = {name: np.array([value], np.float32) for name, value in features.items()}
    return trees.sums(columns)[0].astype(np.float32)


def choose_runs(trees: BoostedTrees, columns: dict[str, Column], kinds: Column, n_words: Ints) -> Choice:
    """Return the runs of a page that are its content, by its `run_features` and `kind_sums`."""
    of_page = {name: np.full(len(n_words), value) for name, value in zip(KIND_FEATURES, kinds, strict=True)}
    sums = trees.sums(columns | of_page)[:, 0]
    return choose(logistic(sums / ONE - _CAUTION), n_words)
