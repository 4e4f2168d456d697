"""Searches the graph of an index on disk with other vectors than its own: what it would find if it were kept.

The search is hnswlib's: greedy through the higher levels, then the `ef` nearest on the lowest level, expanded from the
nearest on (Malkov and Yashunin, 2016, algorithms 2 and 5). All queries take their steps together.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lightmigrate.stores.chroma.hnsw import HnswFiles
from lightmigrate.vectors import Vectors

# Marks of visited elements held in memory at once: one byte for each query and element.
_MARKS = 2**26

# In the first number of an element's links, the bits that hold how many links there are.
_COUNT = 0xFFFF

_Numbers = npt.NDArray[np.intp]

# The distances `(n,)` from queries, by number `(n,)`, to elements `(n,)`.
Distance = Callable[[_Numbers, _Numbers], Vectors]


@dataclass(frozen=True)
class Graph:
    """The links of an index.

    Attributes:
        index: its files; links on the lowest level stay there.
        higher: for each level above, from the highest on, the links of the elements on it.
        entry: the element at which a search begins.
    """

    index: HnswFiles
    higher: list[dict[int, npt.NDArray[np.uint32]]]
    entry: int

    @classmethod
    def open(cls, index: HnswFiles) -> Graph:
        """Open the links of an index, which stay in its file; only reads.

        Raises:
            ValueError, OSError: the files are not as their header says.
        """
        if index.elements and index.entry >= index.elements:
            raise ValueError("a graph without an entry")
        return cls(index, index.higher_levels(), index.entry)

    def search(
        self, queries: int, distance: Distance, ef: int, deleted: npt.NDArray[np.bool_] | None = None
    ) -> tuple[_Numbers, Vectors]:
        """Elements and distances `(q, m)` that a search finds for each query, nearest first; -1 and infinity for none.

        Args:
            queries: number of queries.
            distance: from queries to elements.
            ef: length of the list of the nearest elements; at least the number that is wanted.
            deleted: the elements that a search passes through and does not count, bool `(elements,)`; none by default.

        Raises:
            ValueError: the graph has links to elements that do not exist.
        """
        at_once = max(1, _MARKS // max(1, self.index.elements))
        parts = [
            self._search(np.arange(start, min(start + at_once, queries)), distance, ef, deleted)
            for start in range(0, queries, at_once)
        ]
        return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])

    def _search(
        self, queries: _Numbers, distance: Distance, ef: int, deleted: npt.NDArray[np.bool_] | None
    ) -> tuple[_Numbers, Vectors]:
        width = (
            ef if deleted is None else 2 * ef
        )  # as many deleted elements again may be nearer than the last that counts
        nearest = np.full((len(queries), width), -1, np.intp)
        gaps = np.full((len(queries), width), np.inf, np.float32)
        expanded = np.zeros((len(queries), width), bool)
        visited = np.zeros((len(queries), self.index.elements), bool)
        nearest[:, 0] = [self._descended(query, distance) for query in queries.tolist()]
        gaps[:, 0] = distance(queries, nearest[:, 0])
        visited[np.arange(len(queries)), nearest[:, 0]] = True
        while True:
            waiting = np.where(expanded, np.inf, gaps)
            place = waiting.argmin(axis=1)
            active = np.flatnonzero(np.isfinite(waiting[np.arange(len(queries)), place]))
            if not len(active):
                nearest[~np.isfinite(gaps)] = -1
                return nearest, gaps
            expanded[active, place[active]] = True
            found, new = self._links(nearest[active, place[active]])
            new &= ~visited[active[:, None], found]
            row, column = np.nonzero(new)
            visited[active[row], found[row, column]] = True
            more = np.full(found.shape, np.inf, np.float32)
            more[row, column] = distance(queries[active[row]], found[row, column])
            nearer = (more < gaps[active, -1:]).any(axis=1)  # most steps towards the end bring nothing
            active, found, new, more = active[nearer], found[nearer], new[nearer], more[nearer]
            joined = np.hstack([gaps[active], more])
            best = np.argsort(joined, axis=1, kind="stable")[:, :width]
            gaps[active] = np.take_along_axis(joined, best, axis=1)
            nearest[active] = np.take_along_axis(np.hstack([nearest[active], found]), best, axis=1)
            if deleted is not None:
                counted = np.cumsum(~deleted[nearest[active]], axis=1)
                gaps[active] = np.where(counted > ef, np.inf, gaps[active])
            expanded[active] = np.take_along_axis(np.hstack([expanded[active], ~new]), best, axis=1)

    def _links(self, elements: _Numbers) -> tuple[_Numbers, npt.NDArray[np.bool_]]:
        """The links of some elements on the lowest level `(n, 2M)`, and which of them are used."""
        links = self.index.links_of(elements)
        used = np.arange(links.shape[1] - 1) < (links[:, :1] & _COUNT)
        found = np.where(used, links[:, 1:], 0).astype(np.intp)
        if found.max(initial=0) >= self.index.elements:
            raise ValueError("a graph with links to elements that it does not have")
        return found, used

    def _descended(self, query: int, distance: Distance) -> int:
        """The element of the lowest level at which the search of a query begins."""
        at = self.entry
        least = float(distance(np.array([query]), np.array([at]))[0])
        for level in self.higher:
            while len(links := level.get(at, np.zeros(0, np.uint32)).astype(np.intp)):
                if links.max() >= self.index.elements:
                    raise ValueError("a graph with links to elements that it does not have")
                gaps = distance(np.full(len(links), query), links)
                if not gaps.min() < least:
                    break
                least, at = float(gaps.min()), int(links[gaps.argmin()])
        return at
