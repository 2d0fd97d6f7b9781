"""Boosted decision trees, read from a text file: the sums of their leaves for many rows at once.

Notable:
- A row goes right where its feature is above the node's threshold. All rows go down all trees together, a level a step.
- Leaves are whole numbers, so that sums do not depend on their order and are the same on every machine.
- A file is validated before any of its numbers is used.
"""

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np
import numpy.typing as npt

ONE = 1 << 16
"""What a leaf of 1 is stored as."""
_BATCH = 1024
"""Rows that go down together, which bounds the memory."""

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class BoostedTrees:
    """Trees over named features; each adds to one output."""

    outputs: tuple[str, ...]
    features: tuple[str, ...]
    roots: Ints
    """[trees]; tree number n adds to output n modulo the number of outputs."""
    depth: int
    """Steps from a root to the deepest leaf."""
    feature: npt.NDArray[np.int32]
    """Which feature each node asks for, [nodes]."""
    threshold: npt.NDArray[np.float32]
    """Up to which value a row goes left, [nodes]; infinite in a leaf."""
    left: npt.NDArray[np.int32]
    """The left child, its right neighbour is the right one; of a leaf itself, [nodes]."""
    leaf: Ints
    """What a leaf adds, in 1/`ONE`, [nodes]."""

    def sums(self, columns: dict[str, npt.NDArray[np.float32]]) -> Ints:
        """Return the sums of the leaves that rows come to, [rows, outputs], from the rows' features by name."""
        rows = np.stack([columns[name] for name in self.features], axis=1).astype(np.float32, copy=False)
        n_outputs = len(self.outputs)
        found = [self._leaves(rows[start : start + _BATCH]) for start in range(0, len(rows), _BATCH)]
        return np.concatenate(found).reshape(len(rows), -1, n_outputs).sum(axis=1)

    def _leaves(self, rows: npt.NDArray[np.float32]) -> Ints:
        flat = rows.ravel()
        offsets = (np.arange(len(rows), dtype=np.int32) * rows.shape[1])[:, None]
        node = np.broadcast_to(self.roots.astype(np.int32), (len(rows), len(self.roots)))
        for _ in range(self.depth):
            values = flat.take(self.feature.take(node) + offsets)
            node = self.left.take(node) + (values > self.threshold.take(node))
        return self.leaf.take(node)

    def to_text(self) -> str:
        """Return the trees as a file's text, a tree a line: nodes as [feature, threshold, left], leaves as a number."""
        lines = [json.dumps({"outputs": self.outputs, "features": self.features})]
        for root, end in zip(self.roots, [*self.roots[1:], len(self.left)], strict=True):
            nodes = [
                int(self.leaf[node])
                if self.left[node] == node
                else [int(self.feature[node]), float(self.threshold[node]), int(self.left[node] - root)]
                for node in range(int(root), int(end))
            ]
            lines.append(json.dumps(nodes, separators=(",", ":")))
        return "\n".join(lines) + "\n"

    @classmethod
    def from_text(cls, text: str) -> "BoostedTrees":
        """Read what `to_text` wrote.

        Raises:
            ValueError: it is no such text, or a node's child does not lie behind it in its tree.
        """
        head, *lines = text.splitlines()
        names = json.loads(head)
        trees = [json.loads(line) for line in lines]
        roots: list[int] = []
        feature: list[int] = []
        threshold: list[float] = []
        left: list[int] = []
        leaf: list[int] = []
        depth = 0
        for nodes in trees:
            root = len(left)
            roots.append(root)
            depths = [0] * len(nodes)
            for place, node in enumerate(nodes):
                is_leaf = isinstance(node, int)
                asked, limit, child = (0, np.inf, place) if is_leaf else node
                if not (is_leaf or place < child < len(nodes) - 1) or not 0 <= asked < len(names["features"]):
                    raise ValueError(f"tree {len(roots) - 1}, node {place}: {node!r}")
                if not is_leaf:
                    depths[child] = depths[child + 1] = depths[place] + 1
                feature.append(asked)
                threshold.append(limit)
                left.append(root + child)
                leaf.append(node if is_leaf else 0)
            depth = max(depth, *depths)
        return cls(
            tuple(names["outputs"]),
            tuple(names["features"]),
            np.array(roots, np.int64),
            depth,
            np.array(feature, np.int32),
            np.array(threshold, np.float32),
            np.array(left, np.int32),
            np.array(leaf, np.int64),
        )


@cache
def load_trees(name: str) -> BoostedTrees:
    """Return the trees of a file in this package, read once."""
    return BoostedTrees.from_text(files("tasks.extract.content").joinpath(name).read_text("utf-8"))
