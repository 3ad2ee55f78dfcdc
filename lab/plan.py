"""What the corpus is made of: families, each one clean run with the faults that fork from it.

All is drawn from seeds, so that the label of a run follows from nothing that its owner knows:

- every clean run has as many forks as any other, give or take one, so no setting belongs to faults;
- a fork ends where its draw says, 16 to 24 steps after the onset; the healthy run of the family is cut at the
  end of such a draw too, as if it had a fault, so neither lengths nor distances to events differ;
- three onsets in ten fall on a harmless event if there is one, those of the healthy runs too;
- each fault and dose is spread evenly over tasks and over the parts fit and check;
- a healthy run is healthy: a family whose clean run breaks down by itself is drawn anew.
"""

from __future__ import annotations

import dataclasses
import hashlib
import random
from dataclasses import dataclass

from lab import faults
from lab.harmless import Harmless, draw
from lab.policy import CHECKPOINTS
from lab.task import find
from lab.train import Options

TOTAL = 500  # steps that every run says it was to have
SHORTEST = 70  # steps of a stored run
AFTER = (16, 24)  # steps from the onset on
SEEDS = 6  # of each fault and dose
FAMILIES = 84
_LONG = (400, 340, 280, 240, 220, 200)
_REDRAWN = {9: 1}  # families whose clean run broke down by itself, and how often they were drawn anew


@dataclass(frozen=True)
class Fork:
    """One fault at a dose, from a step on, until a step."""

    fault: str
    dose: float
    onset: int
    end: int


@dataclass(frozen=True)
class Family:
    """One clean run and its forks."""

    number: int
    split: str
    options: Options
    steps: int  # that are trained without a fault; the stored healthy run ends at `end`
    end: int
    harmless: tuple[Harmless, ...]
    forks: tuple[Fork, ...]
    samples: bool  # whether completions are kept

    def key(self) -> str:
        """What the family depends on, as a hash: a part made from another plan is not taken for this one."""
        start = (CHECKPOINTS / f"{self.options.task}.safetensors").read_bytes()
        return hashlib.blake2b(repr(self).encode() + start, digest_size=6).hexdigest()

    def identity(self, nth: int) -> str:
        """An id that says nothing; 0 is the healthy run, n the nth fork."""
        return hashlib.blake2b(f"foreshock/{self.number}/{nth}".encode(), digest_size=6).hexdigest()


def tasks() -> tuple[str, ...]:
    """The tasks that have a checkpoint."""
    names = sorted(path.stem for path in CHECKPOINTS.glob("*.safetensors"))
    return tuple(find(name).name for name in names)


def plan(*, small: bool = False) -> list[Family]:
    """All families; a small plan has four short ones with few, strong faults."""
    available = tasks()
    count = 4 if small else FAMILIES
    cells: dict[tuple[str, str], list[Family]] = {}
    families = []
    for number in range(count):
        task, split = available[number % len(available)], ("fit", "check")[number // len(available) % 2]
        families.append(_clean(number, task, split, small))
        cells.setdefault((task, split), []).append(families[-1])
    given: dict[int, list[Fork]] = {family.number: [] for family in families}
    for nth, (name, dose) in enumerate(_doses(small)):
        for seed in range(count if small else SEEDS):
            # Cells in turn, and another one first each time: the odd seeds out are spread evenly too.
            cell = list(cells.values())[(seed + (nth % len(cells) if seed >= len(cells) else 0)) % len(cells)]
            family = _emptiest(cell, given, name, dose)
            onset, end = ending(family, 1 + len(given[family.number]))
            given[family.number].append(Fork(name, dose, onset, end))
    return [dataclasses.replace(f, forks=tuple(given[f.number])) for f in families]


def ending(family: Family, nth: int) -> tuple[int, int]:
    """Onset and last step of the nth fork, drawn from the seed; 0 is the healthy run, as if it had one."""
    rng = random.Random(f"{family.options.seed}/ending/{nth}")
    after = rng.randint(*((8, 10) if family.steps < SHORTEST else AFTER))
    shortest = min(SHORTEST, family.steps - 8)
    end = rng.randint(shortest, family.steps)
    onset = end - after + 1
    places = [event.step for event in family.harmless if shortest <= event.step + after - 1 <= family.steps]
    if places and rng.random() < 0.3:
        onset = rng.choice(places)
    return onset, onset + after - 1


def _clean(number: int, task: str, split: str, small: bool) -> Family:
    """A clean run with settings drawn from its number."""
    again = 0 if small else _REDRAWN.get(number, 0)
    rng = random.Random(f"foreshock/{number}" + f"/{again}" * (again > 0))
    long = number < len(_LONG) * 3 and number % 3 == 0  # every third, so that both tasks have some
    steps = rng.randint(86, 124) if number % 5 else rng.randint(140, 190)
    steps = 30 if small else _LONG[number // 3] if long else steps
    prompts, group = rng.choice(((12, 8), (12, 8), (12, 8), (8, 8), (16, 8), (16, 6), (10, 10)))
    options = Options(
        task=task,
        steps=TOTAL,
        seed=rng.randrange(1_000_000),
        prompts=6 if small else prompts,
        group=6 if small else group,
        lr=rng.choice((1e-4, 2e-4, 3e-4, 3e-4, 4e-4)),
        warm_up=rng.choice((0, 0, 0, 10)),
        beta=rng.choice((1e-3, 1e-3, 5e-3)),
        epochs=rng.choice((1,) * 9 + (2,)),
        staleness=rng.choice((0,) * 6 + (1,)),
        dataset=rng.choice((0, 0, 0, 0, 480)),
        max_tokens=120 if small else 0,
    )
    harmless = () if small and number % 2 else draw(options.seed, max(steps, 40))
    harmless = tuple(event for event in harmless if event.step < steps)
    family = Family(number, split, options, steps, steps, harmless, (), small or rng.random() < 0.2)
    return dataclasses.replace(family, end=ending(family, 0)[1])


def _doses(small: bool) -> list[tuple[str, float]]:
    """Every fault at each of its doses, or a few at their strongest."""
    if small:
        return [(name, faults.find(name).dose) for name in ("reward_parser_bug", "lr_too_high", "max_length")]
    names = [name for name in faults.NAMES if name != "none"]
    return [(name, dose) for name in names for dose in faults.find(name).doses]


def _emptiest(cell: list[Family], given: dict[int, list[Fork]], name: str, dose: float) -> Family:
    """The family with the fewest forks that has not this fault at this dose; any of several."""
    order = random.Random(f"{name}/{dose}").sample(cell, len(cell))
    free = [f for f in order if (name, dose) not in {(fork.fault, fork.dose) for fork in given[f.number]}]
    return min(free or order, key=lambda family: len(given[family.number]))
