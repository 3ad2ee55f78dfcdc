"""How far weights moved between two looks, and whether a training can have moved them so far."""

from __future__ import annotations

import math
import sys
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

FLOOR = 0.01  # of the size of the weights: rounding, merging and quantising move them less
TIMES = 4.0  # times the farthest move before, with an optimiser that scales as Adam does
TIMES_UNSCALED = 10.0  # with one whose moves grow with the gradient
_LOOKS = 3  # a past that says how far a layer moves
_FADE = 0.98  # per look, so that a far move is not remembered for ever
_POINTS = 64
_MOVED = 16  # points that must have moved before one can say that they came back
_BACK = 0.2  # of the way from the first weights that is left when they came back
_AWAY = 2.0  # times the whole way of the training that a resumed one may be from where it was, or
_AWAY_STRIDES = 4.0  # times the farthest move between two looks


@dataclass(frozen=True)
class Jump:
    """A layer that moved farther than training moves it.

    Attributes:
        moved: root mean square of the move, as share of that of the weights.
        times: the move, in units of the farthest before (per unit of learning rate); infinite if it never
            moved, NaN if its past is too short to say.
        zeros: share of its values that are 0 and were not.
    """

    layer: str
    moved: float
    times: float
    zeros: float


@dataclass(frozen=True)
class Allowance:
    """What training may do to a weight between two looks.

    Attributes:
        steps: of the optimiser.
        budget: the sum of its learning rates over them; None if unknown.
        reach: how many times the budget it can move a weight at most; infinite if unknown.
    """

    steps: float
    budget: float | None
    reach: float


class Movement:
    """Judges the move of each layer by its own past.

    The unit is the move per unit of learning rate, so a warm-up, a schedule or another rate is no jump. A
    layer jumped when the root mean square of its move is more than 1 % of that of its weights and more than
    `TIMES` its farthest move before. Under Adam a move within the learning rate times the steps is never a
    jump, and one beyond what Adam can do (`_optimizer.Memory.reach`) always is; with other optimisers, and
    for frozen weights, the bar is `TIMES_UNSCALED` times the past.
    """

    def __init__(self) -> None:
        self._layers: list[str] = []
        self._place: Any = None
        self._weight: Any = None
        self._samples: Any = None
        self._peaks: dict[tuple[str, bool], float] = {}
        self._looks: Counter[tuple[str, bool]] = Counter()

    def begin(
        self, layers: Sequence[str], counts: Sequence[int], lengths: Sequence[int], *, same: bool
    ) -> None:
        """Begin anew: other parts are looked at, or others of them are trained.

        Args:
            layers: of each part.
            counts: number of values of each part, which its sample stands for.
            lengths: number of values in the sample of each part.
            same: whether the samples are of the parts of the last look.
        """
        torch = sys.modules["torch"]
        self._layers = list(dict.fromkeys(layers))
        number = {layer: place for place, layer in enumerate(self._layers)}
        repeats = torch.tensor(lengths, dtype=torch.int64)
        self._place = torch.tensor([number[layer] for layer in layers], dtype=torch.int64).repeat_interleave(
            repeats
        )
        shares = [count / length for count, length in zip(counts, lengths, strict=True)]
        self._weight = torch.tensor(shares, dtype=torch.float64).repeat_interleave(repeats)
        self._samples = self._samples if same else None
        self._peaks.clear()
        self._looks.clear()

    def step(self, samples: Any, allowed: Allowance, frozen: Collection[str] = ()) -> list[Jump]:
        """The layers that jumped since the last look, the one that moved farthest first.

        Args:
            samples: of all parts, in the order that `begin` was told.
            allowed: since the last look.
            frozen: layers that the optimiser does not move.
        """
        old, self._samples = self._samples, samples
        if old is None or not len(samples):
            return []
        untrained = Allowance(allowed.steps, None, math.inf)
        jumps = []
        for layer, size, moved, zeros in zip(self._layers, *self._moves(old, samples), strict=True):
            here = untrained if layer in frozen else allowed
            by_rate = (layer, here.budget is not None)
            peak, looks = self._peaks.get(by_rate, 0.0), self._looks[by_rate]
            bar = max(FLOOR * size, _usual(peak, looks, here))
            if moved > bar:
                times = math.nan if looks < _LOOKS else _ratio(moved, peak * _unit(here))
                jumps.append(Jump(layer, _ratio(moved, size), times, zeros))
            self._learn(layer, moved, here, moved > bar)
        return sorted(jumps, key=lambda jump: -jump.moved)

    def _moves(self, old: Any, new: Any) -> tuple[list[float], list[float], list[float]]:
        """Per layer: rms of the weights before, rms of the move, share of new zeros; NaN is no move."""
        was = old.double().nan_to_num(0.0, 0.0, 0.0)
        change = (new.double() - old.double()).nan_to_num(0.0, 0.0, 0.0)
        zeros = (new == 0).double() - (old == 0).double()
        columns = [self._weight, *(self._weight * each for each in (was.square(), change.square(), zeros))]
        totals = [each.new_zeros(len(self._layers)).index_add_(0, self._place, each) for each in columns]
        count, size, moved, zero = totals
        return (
            (size / count).sqrt().tolist(),
            (moved / count).sqrt().tolist(),
            (zero / count).clamp(min=0).tolist(),
        )

    def _learn(self, layer: str, moved: float, allowed: Allowance, jumped: bool) -> None:
        """Remember how far the layer moved, per step and per unit of learning rate."""
        for by_rate, unit in ((False, allowed.steps), (True, allowed.budget or 0.0)):
            if unit > 0:
                self._looks[layer, by_rate] += 1
                peak, seen = self._peaks.get((layer, by_rate), 0.0), moved / unit
                # One jump does not make the next one ordinary, but what goes on does.
                self._peaks[layer, by_rate] = max(
                    peak * _FADE, min(seen, 2 * peak) if jumped and peak else seen
                )


def _usual(peak: float, looks: int, allowed: Allowance) -> float:
    """How far a layer may move whose farthest move, of so many, was `peak` per unit."""
    adam = allowed.budget is not None and math.isfinite(allowed.reach)
    unit = _unit(allowed)
    if unit <= 0:
        return 0.0
    if looks < _LOOKS:
        return allowed.reach * unit if adam else math.inf
    return unit * min(max(TIMES * peak, 1.0), allowed.reach) if adam else unit * TIMES_UNSCALED * peak


def _unit(allowed: Allowance) -> float:
    return allowed.steps if allowed.budget is None else allowed.budget


def _ratio(one: float, other: float) -> float:
    return one / other if other > 0 else math.inf


class Trail:
    """A few values at the start of the run and at the last look: whether the weights went back, or away.

    So few are written down, so the question can be asked when a training was resumed as well.
    """

    def __init__(self, before: Mapping[str, Any] | None = None) -> None:
        before = before or {}
        self._origin = _floats(before.get("origin"))
        self._last = _floats(before.get("points"))
        self._stride = _floats([before.get("stride")])
        self._at = float(before.get("at") or 0)
        if not self._stride or not len(self._origin) == len(self._last) > 0:
            self.forget()
        self._resumed = bool(self._last)

    def forget(self) -> None:
        """Begin anew: the points are not those of the last look."""
        self._origin, self._last, self._stride = [], [], [0.0]
        self._resumed = False

    def step(self, samples: Any, spans: Sequence[tuple[int, int]], step: int) -> str | None:
        """Whether the weights are again those of the start ("back"), or a resume brought others ("away").

        Back: at least 16 points had moved, 1.5 times as far as within any look, and 80 % of the way or more
        are undone, though the step did not go back by half. Away: farther from the last points than twice
        the whole way that the training had come from its start.

        Args:
            samples: values of all parts.
            spans: where in them those are that are trained.
            step: the training step.
        """
        places = _spread([place for begin, end in spans for place in range(begin, end)])
        points = [float(f"{value:.6g}") for value in samples[places].tolist()] if places else []
        resumed, self._resumed = self._resumed, False
        if len(points) != len(self._origin):
            self._origin, self._last, self._stride = points, points, [0.0]
        verdict = self._verdict(points, step, resumed)
        if verdict is None and not resumed:
            self._stride = [max(self._stride[0], _distance(points, self._last))]
        self._last, self._at = points, step
        return verdict

    def _verdict(self, points: list[float], step: int, resumed: bool) -> str | None:
        way, left = _distance(self._last, self._origin), _distance(points, self._origin)
        moved = sum(a != b for a, b in zip(self._last, self._origin, strict=True))
        if moved < _MOVED or not math.isfinite(left):
            return None
        if way > 1.5 * self._stride[0] and left <= _BACK * way and step > self._at / 2:
            return "back"
        size = math.hypot(*self._last)
        far = _distance(points, self._last) > max(_AWAY * way, _AWAY_STRIDES * self._stride[0], FLOOR * size)
        return "away" if resumed and far else None

    def data(self, step: int) -> dict[str, Any]:
        """What a later attempt needs."""
        stride = float(f"{self._stride[0]:.3g}")
        return {"at": step, "points": self._last, "origin": self._origin, "stride": stride}


def _spread(values: list[int]) -> list[int]:
    return [values[i * len(values) // _POINTS] for i in range(_POINTS)] if len(values) > _POINTS else values


def _distance(one: Sequence[float], other: Sequence[float]) -> float:
    return math.dist(one, other)


def _floats(values: Any) -> list[float]:
    numbers = isinstance(values, (list, tuple)) and all(isinstance(v, (int, float)) for v in values)
    return [float(value) for value in values] if numbers else []
