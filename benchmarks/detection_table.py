"""The tables, from the kept results."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from detection_curves import BLOCK, FAMILIES, SHORTEST, SMOOTH
from detection_parts import CELLS, FIRST_ONSET, LEVEL, NULL_ROWS, REAL_ROWS, SYNTHETIC_ROWS

Result = Mapping[str, Any]
PICTURE = "measured.png"


def page(kept: Result) -> str:
    """The whole page."""
    parts = kept["parts"]
    sections = [_head(kept)]
    for name, (title, body) in SECTIONS.items():
        if name in parts:
            part = parts[name]
            made = f"`--part {name} --draws {part['draws']} --seed {part['seed']}`, {part['made']}"
            sections.append(f"## {title}\n\n{body(part['result'], part['draws'])}\n{made}")
    notes = "".join(_prose(f"- **{name}**: {note}.", "  ") + "\n" for name, note in kept["notes"].items())
    sections.append(f"## The methods\n\n{notes}")
    return "\n\n".join(section.strip() for section in sections) + "\n"


def _prose(text: str, indent: str = "") -> str:
    """Lines of a paragraph or several."""
    paragraphs = [" ".join(paragraph.split()) for paragraph in text.split("\n\n")]
    return "\n\n".join(
        textwrap.fill(paragraph, 110, subsequent_indent=indent, break_on_hyphens=False)
        for paragraph in paragraphs
    )


def _head(kept: Result) -> str:
    picture = f"![Delay against false alarms]({PICTURE})"
    return "\n\n".join(
        [
            "# Live detection, measured",
            _prose(
                """How soon a fall is told, and how often one is told where there is none: Foreshock beside
                other detectors on the same draws."""
            ),
            f"```sh\n{kept['command']}\n```",
            picture,
            _prose(
                f"""**Alarms.** A method alarms where its statistic reaches a threshold; alarms fewer than
                20 steps apart are one. A rate counts alarms per 1000 steps at which one could begin. The
                threshold is the lowest with at most one false alarm per 1000 steps on curves drawn for
                that; everything printed is measured on other draws. "As it comes": nothing is tuned, the
                rate is what its own settings give. Errors are standard errors.

                **Delays.** Steps from the first fallen one to the alarm, both counted, so 1 is at once;
                what is not told within 60 steps counts as 60. Curves with an alarm in the 20 steps before
                the change are left out: their share is the last column. The drop is in standard deviations
                (sd) of a single step's noise and begins at a random step from {FIRST_ONSET} on; a ramp
                takes ten steps to reach its size. A cell gives the mean delay and, where not all were told
                within 60 steps, the share that was."""
            ),
        ]
    )


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(header) + " |", "|---" * len(header) + "|"]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)]) + "\n"


def _rate(pair: Sequence[float]) -> str:
    return f"{pair[0]:.2f} ± {pair[1]:.2f}"


def _name(name: str) -> str:
    return f"**{name}**" if name.startswith("Foreshock") else name


def _delays(result: Result, kind: str = "") -> str:
    """One line a method: rate, and of each cell the delay and the share found."""
    rows = []
    for name, found in result.items():
        cells = found["cells"]
        dropped = [cells[c + kind][3] for c in CELLS]
        left_out = f"{100 * min(dropped):.0f}-{100 * max(dropped):.0f} %"
        rows.append([_name(name), _rate(found["rate"]), *(_cell(cells[c + kind]) for c in CELLS), left_out])
    return _table(["method", "false alarms", *CELLS, "left out"], rows)


def _cell(cell: Sequence[Any]) -> str:
    mean, error, found, _, counted = cell
    if not counted:
        return "-"
    share = "" if found > 0.995 else f", {100 * found:.0f} %"
    return f"{mean:.1f} ± {error:.1f}{share}"


def _semi_real(result: Result, draws: int) -> str:
    before = f"""Rewards of published logs with at least {SHORTEST} steps: a non-decreasing fit, stretched to
        {REAL_ROWS} steps, plus what scatters around a running median of {SMOOTH} steps, re-sampled in
        blocks of {BLOCK}. Thresholds come from one half of the repositories, all else from the other half,
        both ways, pooled; {draws} curves a cell. Repositories count alike, however many logs they have;
        the errors do not know how few they are."""
    after = """The ideal observer knows mean and noise of every step: no detector can be much faster at the
        same rate. The blocks keep no slow wander, so real runs alarm more often than these curves: see the
        real logs below."""
    return f"{_prose(before)}\n\n{_both(result)}\n{_prose(after)}\n"


def _both(result: Result) -> str:
    """All curves, and those that are level."""
    between = """The same where the curve would have risen by less than 1 sd in the 20 steps after the change.
        Elsewhere growth makes good for the drop while one waits."""
    return f"{_delays(result)}\n{_prose(between)}\n\n{_delays(result, LEVEL)}"


def _synthetic(result: Result, draws: int) -> str:
    before = f"""Saturating growth of 4 to 22 sd and a slope over {SYNTHETIC_ROWS} steps, AR(1) with phi from
        U(0, 0.6), 30 % with Student's t5 shocks, noise that drifts by up to a factor of 2 either way;
        {draws} curves a cell."""
    return f"{_prose(before)}\n\n{_both(result)}"


def _known(result: Result, draws: int) -> str:
    before = f"""The same family with phi 0. "Noise known": the method is given the standard deviation of each
        step, as a trainer can tell it that logs the spread within its batch; {draws} curves a cell."""
    return f"{_prose(before)}\n\n{_delays(result)}"


def _nulls(result: Result, draws: int) -> str:
    pairs = [pair for found in result.values() for pair in found["families"].values()]
    error = max((error for rate, error in pairs if 0.8 < rate < 1.2), default=0.0)
    before = f"""False alarms per 1000 steps by kind of noise and trend, {draws} curves of {NULL_ROWS} steps
        each. Thresholds hold 1 on other draws of the mixed family, which holds all of them but phi 0.8.
        The standard error of a rate near 1 is {error:.2f}."""
    rows = [
        [_name(name), *(f"{found['families'][family][0]:.2f}" for family in FAMILIES)]
        for name, found in result.items()
    ]
    return f"{_prose(before)}\n\n{_table(['method', *FAMILIES], rows)}"


def _together(result: Result, draws: int) -> str:
    before = """The monitor with ten signals at once, all of the same kind of noise and independent: false
        alarms per 1000 steps of the run, all signals together, at its budget of 1."""
    rows = [["**Foreshock monitor**", *(_rate(pair) for pair in result.values())]]
    return f"{_prose(before)}\n\n{_table(['', *result], rows)}"


def _real(result: Result, draws: int) -> str:
    before = """Published logs as they are. Thresholds are those of the semi-real curves, from the half that a
        log is not in. What looks at the reward only is judged on all logs in whose reward a careful reader
        sees no fall; what looks at everything, on those without any event."""
    quiet = [
        [_name(name), "reward" if q["reward only"] else "all", _rate(q["rate"]), str(q["logs"])]
        for name, q in result["quiet"].items()
    ]
    between = """What a careful reader sees, between which steps of the log, and the step at which each method
        tells it; "-" where it does not until thrice that span later, or ten rows."""
    first = _table(["method", "looks at", "false alarms", "logs with any"], quiet)
    tables = [
        _events(result, [e for e in result["events"] if (e["signals"] == ["reward_mean"]) == of_reward])
        for of_reward in (True, False)
    ]
    return f"{_prose(before)}\n\n{first}\n{_prose(between)}\n\n" + "\n".join(tables)


def _events(result: Result, events: Sequence[Mapping[str, Any]]) -> str:
    """One line an event, one column a method that looks there."""
    names = [name for name in result["quiet"] if any(name in event["told"] for event in events)]
    rows = [
        [e["log"], e["words"], f"{e['first']}-{e['last']}", *(_when(e["told"], name) for name in names)]
        for e in events
    ]
    return _table(["log", "what is seen", "steps", *map(_name, names)], rows)


def _when(told: Mapping[str, int | None], name: str) -> str:
    if name not in told:
        return ""
    return "-" if told[name] is None else str(told[name])


def _lab(result: Result, draws: int) -> str:
    runs = result["runs"]
    before = f"""{runs["healthy"]} healthy runs of `lab/corpus` and {runs["faulty"]} with a fault of known
        onset. "Shown": those in which an observer who knows the fault sees it within 16 steps with a power
        of one half. What looks at the reward only uses the threshold of the semi-real curves. Runs with an
        alarm before the onset are left out of the delays; their number is the last column."""
    rows = [
        [
            _name(name),
            *(_rate(found["healthy"][split]) for split in ("fit", "check")),
            *_told(found["faulty"]),
            *_told(found["shown"]),
            str(found["early"]),
        ]
        for name, found in result["tools"].items()
    ]
    header = ["tool", "false alarms, fit", "check"]
    for group in ("all", "shown"):
        header += [f"{group}: within 8", "within 16", "median"]
    return f"{_prose(before)}\n\n{_table([*header, 'early'], rows)}"


def _told(group: Mapping[str, Any] | None) -> list[str]:
    """Shares told within 8 and 16 steps, and the median."""
    if group is None or not group["runs"]:
        return ["-"] * 3
    shares = [f"{100 * group[key]:.0f} %" for key in ("within 8", "within 16")]
    return [*shares, "never" if group["median"] is None else f"{group['median']:.0f}"]


def _figure(result: Result, draws: int) -> str:
    before = f"""The reward of the figure that started the project, {draws} draws: it falls from step 61 on.
        Thresholds are those of the mixed family."""
    rows = [
        [_name(name), f"{100 * r['told by 64']:.1f} %", f"{100 * r['quiet before 60']:.1f} %"]
        for name, r in result.items()
    ]
    return f"{_prose(before)}\n\n{_table(['method', 'told at 60-64', 'none before 60'], rows)}"


def _cost(result: Result, draws: int) -> str:
    return _table(["the monitor", ""], [[key, f"{value:.4g}"] for key, value in result.items()])


SECTIONS = {
    "semi-real": ("Drops injected into real noise", _semi_real),
    "synthetic": ("A harder synthetic family", _synthetic),
    "known": ("Where the noise is known", _known),
    "nulls": ("False alarms by family", _nulls),
    "together": ("Ten signals under one budget", _together),
    "real": ("Real logs", _real),
    "lab": ("Runs of the lab", _lab),
    "figure": ("The synthetic figure", _figure),
    "cost": ("Cost", _cost),
}
