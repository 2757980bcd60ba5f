"""What each of many small trees says of many rows at once, by NumPy.

Treelite walks from node to node, row by row. Here each leaf of a tree is a bit, and each test that
fails clears the bits of the leaves on its left. What a column's value clears in all trees is looked
up in a table; of what is left after all columns, the lowest bit is the leaf (Lucchese et al.,
"QuickScorer", SIGIR 2015). For 1,000 rows that takes less than half of Treelite's time, and gives
the same bits: values are compared with the same thresholds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Numbers = npt.NDArray[np.float64]

# A threshold, the number of its tree, the bits of the leaves on its left, and whether a missing
# value goes there.
Test = tuple[float, int, int, bool]
Tests = list[list[Test]]  # by column
_LEAVES = 32  # of a tree, at most
_SEQUENCE = 0x077CB531  # de Bruijn's: shifted by n, its highest five bits differ for each n
_SMALLER_OR_SAME = 3  # Treelite's code of the only test that scikit-learn's trees make
_LARGEST = 50_000_000  # bytes of tables


def leaf_values(trees: Any) -> Callable[[Numbers], Numbers] | None:  # noqa: ANN401 - of treelite
    """What gives each tree's value, shape (n, trees), for a matrix of shape (n, columns).

    None for trees of another kind, or too many.
    """
    import numpy as np

    count = trees.num_tree
    values = np.zeros((count, _LEAVES))
    tests: Tests = [[] for _ in range(trees.num_feature)]
    for number in range(count):
        tree = _Tree(trees.get_tree_accessor(number))
        if not tree.known:
            return None
        tree.enter(number, values[number], tests)
    if sum(len(one) + 2 for one in tests) * count * 4 > _LARGEST:
        return None
    tables = [(column, *_table(of, count)) for column, of in enumerate(tests) if of]
    places = np.arange(count) * _LEAVES
    flat = values.ravel()

    def answer(matrix: Numbers) -> Numbers:
        left = np.full((len(matrix), count), 0xFFFFFFFF, dtype=np.uint32)
        for column, thresholds, table in tables:
            rows = matrix[:, column]
            place = np.searchsorted(thresholds, rows)
            place[np.isnan(rows)] = len(thresholds) + 1
            left &= table[place]
        left &= -left
        left *= np.uint32(_SEQUENCE)
        left >>= np.uint32(27)
        return np.asarray(flat.take(left + places))

    return answer


def _table(tests: list[Test], count: int) -> tuple[Numbers, Any]:
    """The thresholds of a column, and what is left in each tree by how many a value exceeds.

    The last line is for a missing value.
    """
    import numpy as np

    thresholds = np.unique([threshold for threshold, *_ in tests])
    size = len(thresholds)
    table = np.full((size + 2, count), 0xFFFFFFFF, dtype=np.uint32)
    for threshold, tree, leaves, missing_passes in tests:
        kept = np.uint32(~leaves & 0xFFFFFFFF)
        table[np.searchsorted(thresholds, threshold) + 1 : size + 1, tree] &= kept
        if not missing_passes:
            table[size + 1, tree] &= kept
    return thresholds, table


class _Tree:
    """The nodes of one tree, as Treelite has them."""

    def __init__(self, tree: Any) -> None:  # noqa: ANN401 - of treelite
        names = ("cleft", "cright", "split_index", "threshold", "default_left", "leaf_value")
        fields = [tree.get_field(name).tolist() for name in names]
        self._left, self._right, self._column, self._threshold, self._default, self._value = fields
        inner = tree.get_field("cleft") >= 0
        self.known = bool(
            (~inner).sum() <= _LEAVES
            and (tree.get_field("node_type")[inner] == 1).all()
            and (tree.get_field("cmp")[inner] == _SMALLER_OR_SAME).all()
            and not tree.get_field("leaf_vector").size
        )
        self._seen = 0

    def enter(self, number: int, values: Numbers, tests: Tests, node: int = 0) -> int:
        """Add the tests below a node to those of their columns, and the values of its leaves.

        The bits of these leaves, from left to right; a value is where its leaf's bit will lead.
        """
        if self._left[node] < 0:
            bit = 1 << self._seen
            self._seen += 1
            values[(bit * _SEQUENCE & 0xFFFFFFFF) >> 27] = self._value[node]
            return bit
        left = self.enter(number, values, tests, self._left[node])
        test = (self._threshold[node], number, left, bool(self._default[node]))
        tests[self._column[node]].append(test)
        return left | self.enter(number, values, tests, self._right[node])
