"""Words and numbers as the pictures print them: short, never more digits than they carry."""

from __future__ import annotations

import math
import re

from foreshock.analysis._records import Analysis, Change, Phase, SignalAnalysis
from foreshock.report._style import LENGTH, PAIR, REWARD
from foreshock.run import Column, Run

_TITLES = {LENGTH: "Response Length", REWARD: "Train Reward"}  # as people title this pair
_PHASES = {  # kind: (name, short name, arrow)
    "rapid_rise": ("rapid rise", "rise", "↑"),
    "slow_rise": ("slow rise", "rise", "↗"),
    "plateau": ("plateau", "flat", "→"),
    "fluctuation": ("fluctuates", "fluct.", "~"),
    "slow_decline": ("slow decline", "decline", "↘"),
    "drop": ("drop", "drop", "↓"),
    "recovery": ("recovery", "recov.", "↗"),
    "single": ("", "", ""),
}
_SPANS = {"flat_line": "flat line", "saturation": "at the cap", "non_finite": "NaN or infinity"}
_MINUS = "\u2212"


def clean(text: str, limit: int = 0) -> str:
    """`text` on one line without control characters; over `limit` characters the middle becomes "…"."""
    text = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", str(text))
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    if limit and len(text) > limit:
        tail = (limit - 1) // 2
        text = f"{text[: limit - 1 - tail]}…{text[len(text) - tail :]}"
    return text


def number(value: float, decimals: int | None = None) -> str:
    """A number for people: thousands apart, a true minus, powers of ten only where digits would not do.

    >>> number(1.8800, 2), number(-12500.0), number(0.00001234), number(float("inf"))
    ('1.88', '−12,500', '1.23e−05', '∞')
    """
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("∞" if value > 0 else f"{_MINUS}∞")
    size = abs(value)
    if value != 0 and (size >= 1e7 or size < 1e-4) and (decimals is None or size >= 1e7 or decimals > 5):
        mantissa, power = f"{value:.2e}".split("e")
        text = f"{mantissa.rstrip('0').rstrip('.')}e{int(power):+03d}"
    elif decimals is None:
        digits = 0 if size == 0 else max(0, 3 - 1 - math.floor(math.log10(size)))
        text = f"{value:,.{digits}f}"
        text = text.rstrip("0").rstrip(".") if "." in text else text
    else:
        text = f"{value:,.{decimals}f}"
    if not re.search(r"[1-9]", text):
        text = text.replace("-", "")
    return text.replace("-", _MINUS)


def decimals_between(a: float, b: float) -> int:
    """Decimals at which the difference of two values still shows two digits."""
    gap = abs(a - b)
    if not math.isfinite(gap) or gap == 0:
        gap = abs(a) if math.isfinite(a) and a else 1.0
    return min(12, max(0, 1 - math.floor(math.log10(gap))))


def tick_text(value: float, gap: float) -> str:
    """A tick of an axis whose ticks are `gap` apart."""
    decimals = min(12, max(0, -math.floor(math.log10(gap) + 1e-9))) if gap > 0 else 0
    if abs(gap * 10**decimals - round(gap * 10**decimals)) > 1e-6:  # 0.25 apart needs a digit more than 0.2
        decimals += 1
    return number(value, decimals)


def title_of(name: str, signal: SignalAnalysis | None) -> str:
    """The name of a signal for people."""
    return _TITLES.get(name) or clean(signal.title if signal and signal.title else name, 44)


def axis_text(name: str, signal: SignalAnalysis | None, column: Column | None = None) -> str:
    """Label of the value axis: the signal, and its unit as far as the log vouches for it.

    A plain column name such as "response_length" in a home-made log says nothing about its unit; the
    label then says so where the unit matters (a length may be tokens or characters).
    """
    title = title_of(name, signal)
    title = title[:1] + title[1:].lower() if name in PAIR else title
    unit = clean((column and column.unit) or (signal.unit if signal else ""), 24)
    if column is not None and column.via != "dictionary" and not column.unit:
        unit = "unit not logged" if name == LENGTH else ""
    if not unit or unit == "-" or unit.split()[0] in title.lower():  # "reward (reward units)" says nothing
        return title
    return f"{title} ({unit})"


def phase_texts(phase: Phase) -> tuple[str, str, str]:
    """Name of a phase, a shorter one, and an arrow."""
    plain = phase.kind.replace("_", " ")
    return _PHASES.get(phase.kind, (plain, plain, ""))


def shown_signals(run: Run, analysis: Analysis, signals: list[str] | None) -> list[str]:
    """Which signals to draw, in reading order: those asked for, else length (left) and reward (right)."""
    if signals:
        return [name for name in signals if name in run.series]
    pair = [name for name in PAIR if name in run.series]
    if pair:
        return pair
    known = [name for name in (*analysis.primary, *analysis.signals) if name in run.series]
    return known[:2] or list(run.series)[:2]


def worth_marking(signal: SignalAnalysis | None) -> list[Change]:
    """The anomalies of a signal, gravest first: significant, and not simply getting better."""
    if signal is None:
        return []
    bad = [c for c in signal.changes if c.significant and not _improves(c, signal.good)]
    return sorted(bad, key=lambda c: (-(c.sigma or 0.0), c.step))


def _improves(change: Change, good: str | None) -> bool:
    if change.kind not in ("drop", "rise", "level_shift", "slow_decline"):
        return False
    up = change.to_value > change.from_value
    return (
        (good == "up" and up)
        or (good == "down" and not up)
        or (good is None and change.kind == "rise" and up)
    )


def change_lines(change: Change) -> list[str]:
    """An anomaly in one to three short pieces: what and when, from where to where, how large."""
    kind = _SPANS.get(change.kind, change.kind.replace("_", " "))
    if change.kind in _SPANS:
        several = change.end_step > change.step
        return [f"{kind}, {change.step} to {change.end_step}" if several else f"{kind} at {change.step}"]
    decimals = decimals_between(change.from_value, change.to_value)
    ends = f"{number(change.from_value, decimals)} → {number(change.to_value, decimals)}"
    if change.kind == "variance_change":
        sd = f"sd {number(change.from_value)} → {number(change.to_value)}"
        return [f"scatter changes at {change.step}", sd]
    sign = "+" if change.to_value > change.from_value else _MINUS
    if change.percent_of_peak is not None:
        size = [f"{sign}{share(change.percent_of_peak)} % of peak"]
    else:
        size = [f"{number(change.sigma)} × noise"] if change.sigma is not None else []
    return [f"{kind} at {change.step}", ends, *size]


def share(percent: float) -> str:
    """A percentage: one decimal below 100, none above."""
    return f"{percent:.1f}" if abs(percent) < 99.95 else f"{percent:,.0f}"


def change_sentence(lines: list[str]) -> str:
    """The pieces of `change_lines` on one line: "drop at 61: 1.88 → 1.70 (−9.6 % of peak)"."""
    text = lines[0]
    if len(lines) > 1:
        text += f": {lines[1]}"
    if len(lines) > 2:
        text += f" ({lines[2]})"
    return text
