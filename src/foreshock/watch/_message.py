"""What a person is told about alarms: a title, a text and a JSON document.

Names come from logs and are untrusted: every text is on one line, without control characters, and without
what looks like a secret.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Integral
from pathlib import Path
from typing import Any

import orjson
from numpy.typing import NDArray

from foreshock.detect._records import Alarm
from foreshock.record.secrets import mask_text
from foreshock.report._style import LENGTH, REWARD
from foreshock.report._text import clean, decimals_between, number, share
from foreshock.signals import catalogue
from foreshock.watch._context import RunContext

SCHEMA = 1
_TEST = "TEST, no alarm: "
_NAME = 120  # characters of a name
_SENTENCE = 600
_LONGEST = 10_000  # characters that are looked at
_TOLD = 12  # alarms that a text tells in full; the JSON document has all
_RARE = 1e6  # steps beyond which a rate is only bounded
_WORDS = {
    "flat_line": "flat line in {}",
    "non_finite": "NaN or infinity in {}",
    "saturation": "{} stuck at its limit",
    "stall": "no new step",
}
_ONCE = frozenset({"spike"})


@dataclass(frozen=True)
class Message:
    """One message, as every channel sends it.

    Attributes:
        id: the same whenever the same alarms are told again, so that a receiver can know a repetition.
        title: one line.
        text: several lines.
        document: what goes out as JSON.
        alarms: what it tells, the gravest first.
        run: its name, cleaned.
        test: it is only a trial.
        chart: a PNG image, which is there until every channel is done with the message.
    """

    id: str
    title: str
    text: str
    document: Mapping[str, Any]
    alarms: tuple[Alarm, ...]
    run: str
    test: bool = False
    chart: Path | None = field(default=None, compare=False)

    def json(self, **more: Any) -> bytes:
        """The document as JSON, with further fields; NaN and infinities become null."""
        return orjson.dumps({**self.document, **more})


def compose(alarms: Sequence[Alarm], run: RunContext, *, test: bool = False) -> Message:
    """Decide what is said about these alarms of one run; at least one alarm."""
    ordered = tuple(sorted(alarms, key=lambda alarm: (_grade(alarm), alarm.onset, alarm.step)))
    name = safe(run.run_id, _NAME) or "run"
    title = (_TEST if test else "") + f"{name}: {_headline(ordered)}"
    parts = ["\n".join(_paragraph(alarm)) for alarm in ordered[:_TOLD]]
    if len(ordered) > _TOLD:
        parts.append(f"And {len(ordered) - _TOLD} more.")
    parts.append(_about_run(run, name))
    if test:
        parts.insert(0, "This is a test of `foreshock notify`. Nothing happened to any run of yours.")
    text = "\n\n".join(parts)
    told = "\n".join(f"{run.run_id}\t{a.id}\t{a.state}\t{a.step}" for a in ordered)
    message_id = hashlib.sha256(told.encode(errors="replace")).hexdigest()[:16]
    document = {
        "schema": SCHEMA,
        "id": message_id,
        "test": test,
        "title": title,
        "text": text,
        "run": _run_fields(run, name),
        "alarms": [_plain(alarm.as_dict()) for alarm in ordered],
    }
    return Message(message_id, title, text, document, ordered, name, test)


def safe(text: object, limit: int = _SENTENCE) -> str:
    """A text from a log on one line, free of control characters, lone surrogates and secrets."""
    whole = str(text)[:_LONGEST].encode("utf-8", "replace").decode("utf-8")
    return clean(mask_text(clean(whole)), limit)


def label(alarm: Alarm) -> str:
    """What an alarm is about in a few words: "drop of reward_mean since step 61"."""
    what = _WORDS.get(alarm.kind, f"{safe(alarm.kind, 40)} of {{}}").format(safe(alarm.signal, _NAME))
    return f"{what} {'at' if alarm.kind in _ONCE else 'since'} step {alarm.onset}"


def _grade(alarm: Alarm) -> tuple[bool, int]:
    return alarm.state == "closed", 0 if alarm.severity == "trouble" else 1


def _headline(alarms: Sequence[Alarm]) -> str:
    first = alarms[0]
    if first.state == "closed":
        text = f"over: {label(first)}"
    else:
        text = f"{label(first)} ({safe(first.severity, 20)}{', update' if first.state == 'update' else ''})"
    others = len({alarm.id for alarm in alarms}) - 1
    return text + (f", and {others} more" if others > 0 else "")


def _paragraph(alarm: Alarm) -> list[str]:
    """What, since when, how large, how sure; one fact a line."""
    over = "Over: " if alarm.state == "closed" else ""
    lines = [f"{over}{label(alarm)} ({safe(alarm.severity, 20)})", safe(alarm.text)]
    first, last = alarm.onset_interval
    since = f"step {alarm.onset}" + (f" (between {first} and {last})" if last > first else "")
    told = f"first told after step {alarm.opened}"
    lines.append(f"Since: {since}; {told}" + (f"; over at step {alarm.step}." if over else "."))
    lines += [line for line in (_levels(alarm), _how_sure(alarm)) if line]
    if alarm.evidence:
        lines.append("Evidence: " + "; ".join(safe(text).rstrip(".") for text in alarm.evidence) + ".")
    return [line for line in lines if line]


def _levels(alarm: Alarm) -> str:
    before, after = alarm.from_value, alarm.to_value
    if before is None or after is None:
        return ""
    decimals = decimals_between(before, after)
    text = f"Levels: {number(before, decimals)} before, {number(after, decimals)} since"
    sizes = [
        f"{share(abs(percent))} % of {what}"
        for percent, what in ((alarm.percent_of_peak, "the peak"), (alarm.percent_of_gain, "the gain"))
        if percent is not None and math.isfinite(percent)
    ]
    if sizes:
        text += f": {'down' if after < before else 'up'} by " + ", or ".join(sizes)
    return text + "."


def _how_sure(alarm: Alarm) -> str:
    parts = []
    if alarm.sigma is not None and math.isfinite(alarm.sigma):
        parts.append(f"{number(abs(alarm.sigma))} times the noise of a single step")
    rate = alarm.false_alarm_rate
    if rate is None:
        parts.append("this was seen, not estimated")
    elif 0 < rate < math.inf and 1000 / rate <= _RARE:
        every = float(f"{1000 / rate:.2g}")
        parts.append(
            f"a healthy run shows something as strong as this about once in {every:,.0f} steps "
            f"({number(float(f'{rate:.2g}'))} false alarms per 1000 steps)"
        )
    else:
        parts.append(f"a healthy run shows something as strong as this less than once in {_RARE:,.0f} steps")
    return "How sure: " + "; ".join(parts) + "."


def _about_run(run: RunContext, name: str) -> str:
    framework = f" ({safe(run.framework, 40)})" if run.framework else ""
    where = f"Run: {name}{framework}"
    if len(run.steps):
        where += f", step {int(run.steps[-1]):,}" + (f" of {run.total_steps:,}" if run.total_steps else "")
    latest = [
        f"{catalogue()[signal].title} {number(value)}"
        for signal, value in ((REWARD, _last(run.reward)), (LENGTH, _last(run.length)))
        if value is not None
    ]
    lines = [where + ".", "Latest: " + ", ".join(latest) + "." if latest else "", f"Log: {safe(run.source)}"]
    return "\n".join(line for line in lines if line)


def _run_fields(run: RunContext, name: str) -> dict[str, Any]:
    return {
        "id": name,
        "source": safe(run.source),
        "framework": safe(run.framework, 40),
        "step": int(run.steps[-1]) if len(run.steps) else None,
        "total_steps": run.total_steps,
        REWARD: _last(run.reward),
        LENGTH: _last(run.length),
    }


def _last(values: NDArray[Any]) -> float | None:
    """The last value that was logged and is finite."""
    for value in reversed(values[-1000:].tolist()):
        if math.isfinite(value):
            return float(value)
    return None


def _plain(value: Any) -> Any:
    """`value` as JSON can hold it, with every text in it made safe."""
    if isinstance(value, Mapping):
        return {safe(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    if isinstance(value, str):
        return safe(value)
    if value is None or isinstance(value, bool):
        return value
    return int(value) if isinstance(value, Integral) else float(value)
