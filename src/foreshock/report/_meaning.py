"""What the metrics mean, what these numbers can carry, and what would decide the cause."""

from __future__ import annotations

from typing import Any

from foreshock.report._numbers import Document, Gap, Sentence, Writer, is_number, name_of, pointer
from foreshock.report._phrases import capital, long_enough, title

REWARD, LENGTH = "reward_mean", "response_length_mean"
_FALLS = ("drop", "slow_decline")
_EVEN = 1.5  # ranges in units of noise closer than this are called equal


def interpretation(write: Writer) -> list[Sentence]:
    """What the metrics mean, which is the more sensitive, and what the timing can and cannot say."""
    document = write.document
    text: list[Sentence] = []
    if REWARD in document["signals"]:
        text.append(
            write.say(
                "Train reward is the mean reward of the batch that was just sampled: it depends on the "
                "policy, on the prompts of that step and on the code that scores them, and cannot tell "
                "these apart."
            )
        )
        text += _statistical_unit(write)
    text += _length(write)
    text += _sensitivity(write)
    text += _timing(write)
    text += cause_honesty(write)
    return text


def only_two_curves(document: Document) -> bool:
    """Whether there is nothing to go by but reward and length."""
    return bool(document["signals"]) and set(document["signals"]) <= {REWARD, LENGTH}


def cause_honesty(write: Writer) -> list[Sentence]:
    """That curves do not decide a cause."""
    document = write.document
    if only_two_curves(document):
        names = " and ".join(title(document, name) for name in document["primary"])
        they = "they show" if len(document["primary"]) > 1 else "it shows"
        return [
            write.say(
                "{names} alone cannot decide a cause: {they} that something happens and when, not why.",
                names=capital(names),
                they=they,
            )
        ]
    if document["causes"]:
        return [write.say("Curves alone do not prove a cause; recorded events and experiments do.")]
    return []


def remaining(write: Writer) -> list[Sentence]:
    """How many causes remain possible."""
    count = write.document["counts"]["causes"]
    if not count:
        return []
    what = "{n} causes remain" if count > 1 else "{n} cause remains"
    return [write.say(what + " possible, listed with what would decide.", n=Gap("/counts/causes", "count"))]


def _statistical_unit(write: Writer) -> list[Sentence]:
    prompts = write.document["run"]["facts"].get("prompts_per_step")
    if isinstance(prompts, int):
        return [
            write.say(
                "A step has {n} prompts; they, and not the completions, are its independent observations.",
                n=Gap("/run/facts/prompts_per_step", "count"),
            )
        ]
    return [
        write.say(
            "The log does not say how many prompts a step has. It matters: completions of one prompt are "
            "rewarded alike, so the prompt is the independent observation, and a step with few prompts "
            "moves far by chance. Sizes are therefore measured against the scatter of the curve itself."
        )
    ]


def _length(write: Writer) -> list[Sentence]:
    document = write.document
    if LENGTH not in document["signals"]:
        if REWARD not in document["signals"]:
            return []
        return [
            write.say(
                "Response length is not logged, so it stays open whether the answers themselves changed "
                "when the reward did."
            )
        ]
    found = document["signals"][LENGTH]
    if found["unit_known"]:
        return [
            write.say(
                "Response length is counted in {unit}; it says how the policy answers, not how well.",
                unit=str(found["unit"]),
            )
        ]
    return [
        write.say(
            "The log does not state the unit of the response length: {unit} are usual, characters occur. It "
            "says how the policy answers, not how well.",
            unit=str(found["unit"] or "tokens"),
        )
    ]


def _sensitivity(write: Writer) -> list[Sentence]:
    """Which of the two main curves moves more clearly: range of its level in units of its own noise."""
    document = write.document
    ranges = {name: document["signals"][name]["range_sigma"] for name in document["primary"]}
    if len(ranges) < 2 or not all(is_number(value) and value > 0 for value in ranges.values()):
        return []
    if not all(long_enough(document["signals"][name]) for name in ranges):
        return []
    first, second = sorted(ranges, key=lambda name: -ranges[name])
    tail = "so {first} is the more sensitive of the two"
    if ranges[first] < _EVEN * ranges[second]:
        tail = "so neither is clearly the more sensitive"
    return [
        write.say(
            "The level of {first} ranges over {high} times its noise and that of {second} over {low} times, "
            + tail
            + ".",
            first=title(document, first),
            second=title(document, second),
            high=Gap(pointer("signals", first, "range_sigma"), "ratio"),
            low=Gap(pointer("signals", second, "range_sigma"), "ratio"),
        )
    ]


def _timing(write: Writer) -> list[Sentence]:
    """What the order of events says where the reward fell: scorer and data first, or model and engine."""
    document = write.document
    fell = [
        change
        for change in document["changes"]
        if change["signal"] == REWARD and change["significant"] and change["kind"] in _FALLS
    ]
    if not fell:
        return []
    text = [
        write.say(
            "Timing separates causes: a fault in the scorer or the labels moves the reward at once and the "
            "policy's own signals (length, entropy, KL) a step or more later; a fault in the model or the "
            "engine moves them all at once; a fault in the optimisation moves the policy's signals first."
        )
    ]
    apart = any(
        {relation["a"], relation["b"]} == {REWARD, LENGTH}
        and relation["decoupled_at"] in {change["step"] for change in fell}
        for relation in document["relations"]
    )
    if apart:
        text.append(
            write.say(
                "Here the response length does not follow the reward at once, which speaks, weakly, against "
                "a change of the model itself."
            )
        )
    return text


def deciding(write: Writer) -> tuple[list[Sentence], dict[str, Any] | None]:
    """Which causes remain open, what fits and speaks against each, what would decide, what to log."""
    document = write.document
    text: list[Sentence] = []
    if document["causes"]:
        text += remaining(write)
        text.append(
            write.say("The order is that of agreement with the curves; it is not a ranking by probability.")
        )
    elif document["verdict"] in ("watch", "trouble"):
        text.append(write.say("No cause of the catalogue can be told from what was logged."))
    elif document["verdict"] == "healthy":
        text.append(write.say("There is no event to explain."))
    text += _to_log(write)
    rows: list[list[Gap | str]] = [
        [
            str(cause["title"]),
            str(cause["why"]),
            str(cause["against"]) or "nothing in the log",
            str(cause["decide"]) if len(cause["decide"]) > 1 else "no experiment known",
        ]
        for cause in document["causes"]
    ]
    columns = ["possible cause", "what fits", "what speaks against it", "what would decide"]
    return text, write.table(columns, rows)


def _to_log(write: Writer) -> list[Sentence]:
    document = write.document
    if not document["to_log"] or (document["verdict"] == "healthy" and not only_two_curves(document)):
        return []
    names = ", ".join(name_of(entry["signal"]) for entry in document["to_log"])
    start = (
        "To tell them apart, also log" if document["causes"] else "To be able to tell causes apart, also log"
    )
    return [write.say(start + " {names}.", names=names)]
