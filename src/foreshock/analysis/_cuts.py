"""Where a curve is divided into phases: at significant moves, and where it changes its course in between."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from foreshock.analysis._records import Change
from foreshock.analysis.segments import Lines, Segment, boundaries, fit
from foreshock.run import FloatArray, IntArray

MOST_PHASES = 5
MOST_MOVES = 2  # drops and jumps that get a phase of their own: two of them make five phases

_SEARCHED = 400  # points that phases are looked for in: they are coarse
_TURNS = 3  # between pieces that go to and fro that make a fluctuation
_SWING = 1 / 4  # ... each of at least this share of the largest move
_NET = 1 / 3  # ... if their moves add up to less than this share of what they moved
_KINDS = ("drop", "rise", "level_shift")


class Move(NamedTuple):
    """The way down or up of a significant change."""

    start: int  # index of the last point before the onset
    stop: int  # one past the index of the point where it is complete
    change: Change


def find_moves(steps: IntArray, changes: Sequence[Change]) -> list[Move]:
    """The largest significant moves that do not overlap: first index, one past the last, and the change."""
    found: list[Move] = []
    clear = [change for change in changes if change.significant and change.kind in _KINDS]
    for change in sorted(clear, key=lambda c: -abs(c.to_value - c.from_value)):
        start = max(int(np.searchsorted(steps, change.step)) - 1, 0)
        stop = int(np.searchsorted(steps, change.end_step, side="right"))
        apart = all(stop <= other.start or start >= other.stop for other in found)
        if stop - start >= 2 and apart and len(found) < MOST_MOVES:
            found.append(Move(start, stop, change))
    return sorted(found, key=lambda move: move.start)


def gaps(n: int, moves: Sequence[Move]) -> list[tuple[int, int]]:
    """The stretches between the moves."""
    starts = [0, *(move.stop for move in moves)]
    stops = [*(move.start for move in moves), n]
    return [(start, stop) for start, stop in zip(starts, stops, strict=True) if stop > start]


def ends(n: int, moves: Sequence[Move]) -> set[int]:
    """Where a move begins or ends: boundaries that stay."""
    return {end for gap in gaps(n, moves) for end in gap}


def find_cuts(x: FloatArray, y: FloatArray, moves: Sequence[Move]) -> list[int]:
    """Where the stretches between the moves are cut, so that at most five phases result."""
    stretches = gaps(len(y), moves)
    cuts: list[int] = []
    for start, stop in stretches:
        here, there = x[start:stop], y[start:stop]
        found = boundaries(here, there, most=_SEARCHED)
        cuts += [start + bound for bound in _without_swings(fit(here, there, found))]
    lines = Lines(x, y)
    while cuts and len(cuts) + len(stretches) + len(moves) > MOST_PHASES:
        edges = np.array(sorted({*cuts, *ends(len(y), moves)}))
        middle = np.flatnonzero(np.isin(edges, cuts))
        left, cut, right = edges[middle - 1], edges[middle], edges[middle + 1]
        loss = lines.error(left, right) - lines.error(left, cut) - lines.error(cut, right)
        cuts.remove(int(cut[np.argmin(loss)]))
    return cuts


def _without_swings(pieces: Sequence[Segment]) -> list[int]:
    """Where pieces begin, but for those that swing to and fro: together these are one fluctuation.

    Otherwise a limit of five phases would keep some of the swings and not the others.
    """
    moves = [piece.end_level - piece.start_level for piece in pieces]
    least = _SWING * max(abs(move) for move in moves)
    moves = [move if abs(move) >= least else 0.0 for move in moves]
    sizes = [piece.stop - piece.start for piece in pieces]
    kept = []
    first = 0
    while first < len(pieces):
        last = first
        # A short flat piece is the turning point of a swing; a long one is a plateau.
        while last + 1 < len(pieces) and (moves[last + 1] or sizes[last + 1] <= 2 * sizes[last]):
            last += 1
        while last > first and not (moves[first] and moves[last] and _swings(moves[first : last + 1])):
            last -= 1
        kept.append(pieces[first].start)
        first = last + 1
    return kept[1:]


def _swings(moves: Sequence[float]) -> bool:
    """Whether moves turn often and come to little."""
    signs = [move > 0 for move in moves if move]
    turns = sum(a != b for a, b in itertools.pairwise(signs))
    return turns >= _TURNS and abs(sum(moves)) < _NET * sum(abs(move) for move in moves)
