"""Trees: which leaf a row comes to, the file they come from, and files that are none."""

import json

import numpy as np
import pytest

from tasks.extract.content.boosted_trees import ONE, BoostedTrees, load_trees
from tasks.extract.content.kinds import PAGE_KINDS
from tasks.extract.content.page_content import KINDS_FILE, RUNS_FILE

HEAD = {"outputs": ["content"], "features": ["words", "links"]}
STUMP = [[0, 10.0, 1], -ONE, [1, 0.5, 3], 2 * ONE, 0]
"""Short runs are none; of the others, those with few links are."""


def text_of_trees(*trees: object, head: object = HEAD) -> str:
    return "\n".join(map(json.dumps, [head, *trees]))


def columns(*rows: tuple[float, float]) -> dict[str, np.ndarray]:
    return dict(zip(("words", "links"), np.array(rows, np.float32).T, strict=True))


def test_each_row_comes_to_the_leaf_of_its_features_and_a_limit_itself_goes_left() -> None:
    trees = BoostedTrees.from_text(text_of_trees(STUMP, [ONE]))
    found = trees.sums(columns((10, 0), (11, 0.5), (11, 0.6)))
    assert found.tolist() == [[0], [3 * ONE], [ONE]]


def test_trees_add_to_the_outputs_in_turn() -> None:
    trees = BoostedTrees.from_text(text_of_trees([1], [20], [300], [4000], head=HEAD | {"outputs": ["a", "b"]}))
    assert trees.sums(columns((0, 0), (1, 1))).tolist() == [[301, 4020]] * 2


def test_many_rows_are_as_each_alone() -> None:
    trees = BoostedTrees.from_text(text_of_trees(STUMP))
    rows = [(float(number % 40), number % 7 / 7) for number in range(3000)]
    together = trees.sums(columns(*rows))
    assert together[::500].tolist() == [trees.sums(columns(row))[0].tolist() for row in rows[::500]]


def test_the_file_of_trees_is_read_back() -> None:
    text = BoostedTrees.from_text(text_of_trees(STUMP, [7])).to_text()
    assert BoostedTrees.from_text(text).to_text() == text


@pytest.mark.parametrize(
    "nodes",
    [
        [[0, 1.0, 0], 1, 2],
        [[0, 1.0, 2], 1, 2],
        [[2, 1.0, 1], 1, 2],
        [[-1, 1.0, 1], 1, 2],
        [[0, 1.0, 1], [0, 1.0, 1], 2],
    ],
)
def test_a_tree_that_leads_nowhere_or_in_a_circle_is_refused(nodes: list[object]) -> None:
    with pytest.raises(ValueError, match="tree 0"):
        BoostedTrees.from_text(text_of_trees(nodes))


def test_the_models_of_this_package_are_what_their_callers_expect() -> None:
    assert load_trees(KINDS_FILE).outputs == PAGE_KINDS
    assert load_trees(RUNS_FILE).outputs == ("content",)
