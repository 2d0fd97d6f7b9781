"""Train the models of `content`: `python -m tasks.extract.training.train GOLD.jsonl.gz... [--write]`.

`gold_pages` says what a gold file holds.

Notable:
- Pages are divided into folds by registered domain; what is printed was found by models that saw no page of the
  domain. Only then, with `--write`, are the shipped models trained, on all pages.
- A run is content if the gold has much of it (`gold_labels`). Each page weighs the same, a run by its words.
- Needs the extra `extraction-training`, lightgbm, which nothing else here does. Its trees are written as text, the
  same bytes each time on one machine.
- The shipped models are what this command writes from the structure gold (1,255 pages, 1,134 of them WCXB by Murrough
  Foley, CC-BY-4.0) and the gold of the shared crawl (336 pages), in this order, with lightgbm 4.7.0.
"""

import argparse
import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any, Final

import lightgbm
import numpy as np
import numpy.typing as npt
from lxml.etree import ParserError

from tasks.extract.config import ExtractionConfig
from tasks.extract.content.boosted_trees import ONE, BoostedTrees
from tasks.extract.content.kinds import PAGE_KINDS
from tasks.extract.content.page_content import (
    KIND_FEATURES,
    KINDS_FILE,
    RUNS_FILE,
    choose_runs,
    kind_sums,
    page_facts,
)
from tasks.extract.content.page_features import page_features
from tasks.extract.content.run_features import run_features
from tasks.extract.content.text_runs import read_runs
from tasks.extract.content.words import Floats, Ints, RunWords, words_of
from tasks.extract.main_text import parse_page, prepare_for_runs
from tasks.extract.training.gold_labels import shares_in_gold
from tasks.extract.training.gold_pages import GoldText, read_gold

FOLDS = 5
MOST_RUNS = 100
"""Of a page that are trained on, drawn by weight."""
MOST_WORDS = 200
"""A longer run weighs no more."""
CONTENT = 0.4
"""Share of a run in the gold from which on it is content."""
RUN_ROUNDS, KIND_ROUNDS = 140, 60
BAGS = 2
"""Models of runs, each of draws and a seed of its own, whose mean is taken."""
_SHARED: Final = {
    **{"lambda_l2": 5, "bagging_fraction": 0.8, "bagging_freq": 1, "feature_fraction": 0.4, "max_bin": 63},
    **{"num_threads": 1, "verbose": -1, "seed": 1, "deterministic": True, "force_col_wise": True},
    "learning_rate": 0.07,
}
RUN_PARAMETERS: Final = _SHARED | {"objective": "binary", "num_leaves": 16, "max_depth": 8, "min_data_in_leaf": 60}
KIND_PARAMETERS: Final = _SHARED | {
    **{"objective": "multiclass", "num_class": len(PAGE_KINDS), "num_leaves": 8, "min_data_in_leaf": 15}
}


@dataclass(frozen=True, slots=True)
class GoldPage:
    """What is trained on of a page."""

    domain: str
    kind: str | None
    weight: float
    texts: list[str]
    n_words: Ints
    runs: npt.NDArray[np.float32]
    """[runs, features]"""
    run_names: tuple[str, ...]
    page: dict[str, float]
    shares: Floats
    """Of each run in the gold, [runs]."""
    gold: str


def measure(gold: GoldText) -> GoldPage | None:
    """Return what is trained on of a page of a gold file, None where it has no text."""
    try:
        tree = parse_page(gold.html, ExtractionConfig())
    except (ValueError, ParserError):
        return None
    if tree is None:
        return None
    title, declared = page_facts(tree)
    prepare_for_runs(tree, gold.html)
    runs = read_runs(tree)
    if not runs.texts:
        return None
    words = RunWords.of(runs.texts)
    columns = run_features(runs, words, title)
    return GoldPage(
        gold.domain,
        gold.kind,
        gold.weight,
        runs.texts,
        words.counts,
        np.stack(list(columns.values()), axis=1),
        tuple(columns),
        page_features(gold.url, declared, columns),
        shares_in_gold(words, gold.text),
        gold.text,
    )


def train(pages: Sequence[GoldPage]) -> tuple[BoostedTrees, BoostedTrees]:
    """Return the models of kinds and of runs.

    The one of runs learns from the kinds that pages get from models which saw no page of their domain.
    """
    kinds: list[npt.NDArray[np.float32]] = [np.zeros(0, np.float32)] * len(pages)
    for fold in range(FOLDS):
        trees = train_kinds([page for page in pages if fold_of(page.domain) != fold])
        for place, page in enumerate(pages):
            if fold_of(page.domain) == fold:
                kinds[place] = kind_sums(trees, page.page)
    return train_kinds(pages), train_runs(pages, kinds)


def train_runs(pages: Sequence[GoldPage], kinds: Sequence[npt.NDArray[np.float32]]) -> BoostedTrees:
    """Return a model that tells content runs from others, on pages whose `kind_sums` are given."""
    boosters = []
    for seed in range(BAGS):
        draws = np.random.default_rng(seed)
        rows, labels, weights = [], [], []
        for page, kind in zip(pages, kinds, strict=True):
            taken, weight = _drawn(page, draws)
            rows.append(np.hstack([page.runs[taken], np.tile(kind, (len(taken), 1))]))
            labels.append(page.shares[taken] >= CONTENT)
            weights.append(weight / weight.sum() * 100 * page.weight)
        data = lightgbm.Dataset(np.concatenate(rows), np.concatenate(labels), weight=np.concatenate(weights))
        boosters.append(lightgbm.train(RUN_PARAMETERS | {"seed": seed + 1}, data, RUN_ROUNDS))
    return as_trees(boosters, ("content",), (*pages[0].run_names, *KIND_FEATURES))


def _drawn(page: GoldPage, draws: np.random.Generator) -> tuple[Ints, Floats]:
    """Return which runs of a page are trained on, and their weights."""
    weight = np.minimum(page.n_words, MOST_WORDS) + 1.0
    weight /= weight.sum()
    if len(weight) <= MOST_RUNS:
        return np.arange(len(weight)), weight
    chance = 0.5 * weight + 0.5 / len(weight)
    taken = np.sort(draws.choice(len(weight), MOST_RUNS, replace=False, p=chance))
    return taken, weight[taken] / chance[taken]


def train_kinds(pages: Sequence[GoldPage]) -> BoostedTrees:
    """Return a model that tells the kinds of pages apart."""
    known = [page for page in pages if page.kind in PAGE_KINDS]
    rows = np.array([list(page.page.values()) for page in known], np.float32)
    kinds = np.array([PAGE_KINDS.index(str(page.kind)) for page in known])
    booster = lightgbm.train(dict(KIND_PARAMETERS), lightgbm.Dataset(rows, kinds), KIND_ROUNDS)
    return as_trees([booster], PAGE_KINDS, tuple(known[0].page))


def as_trees(boosters: Sequence[Any], outputs: tuple[str, ...], features: tuple[str, ...]) -> BoostedTrees:
    """Return the mean of models of LightGBM in our form: thresholds in 32 bits, as features are, leaves as integers."""
    lines = [json.dumps({"outputs": outputs, "features": features})]
    for tree in (tree for booster in boosters for tree in booster.dump_model()["tree_info"]):
        nodes: list[Any] = [tree["tree_structure"]]
        for place, node in enumerate(nodes):  # grows on the way: the children of a node stand side by side behind it
            if "leaf_value" in node:
                nodes[place] = round(node["leaf_value"] * ONE / len(boosters))
            else:
                limit = np.float32(node["threshold"])
                if float(limit) > node["threshold"]:
                    limit = np.nextafter(limit, np.float32(-np.inf))
                nodes[place] = [node["split_feature"], float(limit), len(nodes)]
                nodes += [node["left_child"], node["right_child"]]
        lines.append(json.dumps(nodes))
    return BoostedTrees.from_text("\n".join(lines))


def found_text(page: GoldPage, kinds: BoostedTrees, runs: BoostedTrees) -> str:
    """Return the text that models find of a page."""
    columns = dict(zip(page.run_names, page.runs.T, strict=True))
    choice = choose_runs(runs, columns, kind_sums(kinds, page.page), page.n_words)
    return "\n".join(text for text, is_kept in zip(page.texts, choice.is_kept, strict=True) if is_kept)


def four_gram_f1(text: str, gold: str) -> float:
    """Return the F1 of the word 4-grams of two texts."""
    found, wanted = (
        Counter(zip(*(words[skipped:] for skipped in range(4)), strict=False)) for words in map(words_of, (text, gold))
    )
    common = (found & wanted).total()
    return 2 * common / (found.total() + wanted.total()) if common else float(found == wanted)


def fold_of(domain: str) -> int:
    """Return the fold of a domain, the same on every machine."""
    return int(hashlib.md5(domain.encode(), usedforsecurity=False).hexdigest(), 16) % FOLDS


def show_folds(pages: Sequence[GoldPage]) -> None:
    """Print the F1 by kind, and the share of kinds told right, of models that saw no page of the domain."""
    scores, told = defaultdict(list), []
    for fold in range(FOLDS):
        seen = [page for page in pages if fold_of(page.domain) != fold]
        kinds, runs = train(seen)
        for page in pages:
            if fold_of(page.domain) == fold:
                scores[page.kind or "other sets"].append(four_gram_f1(found_text(page, kinds, runs), page.gold))
                if page.kind:
                    told.append(PAGE_KINDS[int(np.argmax(kind_sums(kinds, page.page)))] == page.kind)
    for kind, found in scores.items():
        print(f"{kind:16} {mean(found):.3f} ({len(found)} pages)")
    print(f"kinds told right {mean(told):.3f}")


def main() -> None:
    """Train on the gold files of the command line."""
    parser = argparse.ArgumentParser(description="Train the models of runs and of kinds of pages.")
    parser.add_argument("gold", nargs="+", type=Path)
    parser.add_argument("--write", action="store_true", help="train on all pages and write the models")
    arguments = parser.parse_args()
    with ProcessPoolExecutor() as workers:
        texts = (gold for path in arguments.gold for gold in read_gold(path))
        pages = [page for page in workers.map(measure, texts, chunksize=8) if page]
    show_folds(pages)
    if arguments.write:
        folder = Path(__file__).parents[1] / "content"
        for name, trees in zip((KINDS_FILE, RUNS_FILE), train(pages), strict=True):
            (folder / name).write_text(trees.to_text(), "utf-8")


if __name__ == "__main__":
    main()
