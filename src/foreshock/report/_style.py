"""The palette and the few sizes that every picture of a run shares.

Length is blue and reward is red wherever they appear. Further signals and further runs take the
colours of Okabe and Ito, which stay apart for colour-blind readers; beside its colour every line has
a dash pattern or a marker, and every mark a shape and a text, so nothing rests on colour alone.
"""

from __future__ import annotations

from dataclasses import dataclass

LENGTH = "response_length_mean"
REWARD = "reward_mean"
PAIR = (LENGTH, REWARD)  # left, right


@dataclass(frozen=True)
class Palette:
    """Colours of one theme, as hex."""

    background: str
    text: str
    muted: str
    grid: str
    shade: tuple[str, str]  # phases, in turns
    fall: str  # the shade of a phase in which the signal falls
    mark: str  # anomalies
    box: str  # behind a label
    length: str
    reward: str
    series: tuple[str, ...]


LIGHT = Palette(
    background="#ffffff",
    text="#1b1f24",
    muted="#5b6470",
    grid="#d9dde3",
    shade=("#f7f8fa", "#eceff3"),
    fall="#fdebd3",
    mark="#b45309",
    box="#ffffff",
    length="#1f5fbf",
    reward="#c8202f",
    series=("#0072b2", "#d55e00", "#007a5a", "#a8517f", "#8a6d00", "#3a3f47", "#2f8fce"),
)
DARK = Palette(
    background="#14181d",
    text="#e8ebef",
    muted="#9aa4b0",
    grid="#333b45",
    shade=("#191e24", "#212831"),
    fall="#3a2c17",
    mark="#f5a742",
    box="#14181d",
    length="#6aa8ff",
    reward="#ff6b74",
    series=("#56b4e9", "#e69f00", "#2fc99a", "#e08dbd", "#f0e442", "#c9d0d9", "#4b9ce0"),
)
THEMES = {"light": LIGHT, "dark": DARK}

DASHES: tuple[str | tuple[int, tuple[int, ...]], ...] = (
    "solid",
    (0, (5, 2)),
    (0, (1, 1)),
    (0, (6, 2, 1, 2)),
    (0, (3, 1, 1, 1, 1, 1)),
)
MARKERS = ("o", "s", "^", "D", "v", "P", "X")

FALLING = frozenset({"drop", "slow_decline"})


def colour_of(name: str, position: int, palette: Palette) -> str:
    """The colour of a signal: blue for length, red for reward, else by its position among the panels."""
    if name == LENGTH:
        return palette.length
    if name == REWARD:
        return palette.reward
    return palette.series[position % len(palette.series)]


def shade_of(kind: str, good: str | None, position: int, palette: Palette) -> str:
    """The shade behind a phase: two greys in turns, a warm tint where a signal falls that should not."""
    return palette.fall if kind in FALLING and good == "up" else palette.shade[position % 2]
