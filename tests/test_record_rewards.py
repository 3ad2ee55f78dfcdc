"""Reward functions that are listened to: nobody can tell, and a change of their code is noticed."""

from __future__ import annotations

import asyncio
import copy
import functools
import importlib
import inspect
import itertools
import json
import math
import os
import pickle
import subprocess
import sys
import time
import timeit
import types
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foreshock.record import _code_files
from foreshock.record._code import hash_of, reached
from foreshock.record.evidence import Change, Evidence
from foreshock.record.rewards import RewardWatch

NAN = float("nan")


def accuracy(prompts: list[str], completions: list[str], **kwargs: Any) -> list[float]:
    """Whether it is right."""
    return [float(completion == "4") for completion in completions]


class _Scorer:
    """A reward that is an object."""

    def __init__(self, threshold: float = 0.5, key: str = "sk-123") -> None:
        self.threshold = threshold
        self.key = key

    def __call__(self, completions: list[str]) -> list[float]:
        return [self.threshold for _ in completions]


class _AsyncScorer:
    async def __call__(self, completions: list[str]) -> list[float]:
        await asyncio.sleep(0.01)
        return [1.0 for _ in completions]


async def judged(completions: list[str]) -> list[float | None]:
    await asyncio.sleep(0.01)
    return [1.0, None]


def _only(watch: RewardWatch) -> Any:
    (function,) = watch.functions
    return function


def _kinds(changes: tuple[Change, ...]) -> list[str]:
    return [change.kind for change in changes]


# Nobody can tell


def test_a_watched_function_looks_like_the_original() -> None:
    function = _only(RewardWatch([accuracy]))
    assert function is not accuracy
    assert function == accuracy
    assert hash(function) == hash(accuracy)
    assert function.__name__ == "accuracy"
    assert function.__qualname__ == "accuracy"
    assert function.__module__ == accuracy.__module__
    assert function.__doc__ == "Whether it is right."
    assert function.__annotations__ == accuracy.__annotations__
    assert inspect.signature(function) == inspect.signature(accuracy)
    assert inspect.isfunction(function)
    assert isinstance(function, types.FunctionType)
    assert inspect.getsource(function) == inspect.getsource(accuracy)
    assert repr(function) == repr(accuracy)
    assert not inspect.iscoroutinefunction(function)
    assert function(["2+2?"], completions=["4"], answer=["4"]) == [1.0]


def test_a_watched_object_keeps_its_attributes() -> None:
    scorer = _Scorer()
    function = _only(RewardWatch([scorer]))
    assert isinstance(function, _Scorer)
    assert not hasattr(function, "__name__")
    assert type(function).__name__ == "_Scorer"
    assert function.__doc__ == "A reward that is an object."
    assert function.__module__ == __name__
    function.threshold = 0.7
    assert scorer.threshold == 0.7
    assert function(["a"]) == [0.7]
    del function.threshold
    assert not hasattr(scorer, "threshold")
    assert "key" in dir(function)


def test_partials_and_methods_keep_their_nature() -> None:
    partial = functools.partial(accuracy, answer="4")
    bound = _Scorer(0.9).__call__
    watch = RewardWatch([partial, bound])
    assert watch.names == ["accuracy", "__call__"]
    assert isinstance(watch.functions[0], functools.partial)
    assert watch.functions[0].func is accuracy
    assert inspect.ismethod(watch.functions[1])
    assert watch.functions[1](["a", "b"]) == [0.9, 0.9]
    assert inspect.signature(watch.functions[0]) == inspect.signature(partial)


def test_another_process_gets_the_plain_function() -> None:
    function = _only(RewardWatch([accuracy]))
    assert pickle.loads(pickle.dumps(function)) is accuracy
    assert copy.deepcopy(function) is accuracy
    assert isinstance(pickle.loads(pickle.dumps(_only(RewardWatch([_Scorer(0.3)])))), _Scorer)


class _Weird:
    """A result that raises however it is looked at."""

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError(name)

    def __len__(self) -> int:
        raise RuntimeError

    def __float__(self) -> float:
        raise RuntimeError


def test_any_result_comes_back_unchanged() -> None:
    strange = [None, "text", _Weird(), [_Weird(), "x"], {"other": 1}, object(), [[1.0]], {1, 2}, b"x", [1j]]
    for result in strange:
        watch = RewardWatch([lambda: result])  # noqa: B023 - called before the loop goes on
        assert _only(watch)() is result
        evidence = watch.step()
        assert evidence.data["unread"]["<lambda>"] >= 1
        assert "foreshock/reward/<lambda>/mean" not in evidence.metrics


def test_an_iterator_is_not_consumed() -> None:
    def scores() -> Iterator[float]:
        yield from (1.0, 2.0)

    watch = RewardWatch([scores])
    assert list(_only(watch)()) == [1.0, 2.0]
    assert watch.step().data["unread"] == {"scores": 1}


class _OddError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


def test_exceptions_come_through_unchanged() -> None:
    error = _OddError(3)

    def broken() -> list[float]:
        raise error

    watch = RewardWatch([broken])
    for _ in range(3):
        with pytest.raises(_OddError) as caught:
            _only(watch)()
        assert caught.value is error
        assert caught.value.__cause__ is None
    evidence = watch.step()
    assert evidence.metrics["foreshock/reward/broken/errors"] == 3
    assert evidence.data["errors"] == {"broken": {"_OddError": 3}}
    assert _kinds(evidence.changes) == ["reward_error"]


def test_what_is_no_error_is_not_counted_as_one() -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    watch = RewardWatch([interrupted])
    with pytest.raises(KeyboardInterrupt):
        _only(watch)()
    assert watch.step().metrics == {}


def test_async_functions_and_objects_are_awaited_as_before() -> None:
    watch = RewardWatch([judged, _AsyncScorer(), functools.partial(judged, completions=["a", "b"])])
    first, second, third = watch.functions
    assert first.__module__ == __name__
    assert inspect.iscoroutinefunction(first)
    assert inspect.iscoroutinefunction(second.__call__)
    assert inspect.iscoroutinefunction(third.func)
    assert not inspect.iscoroutinefunction(_only(RewardWatch([_Scorer()])).__call__)

    async def together() -> list[Any]:
        return list(await asyncio.gather(first(completions=["a", "b"]), second(["a"]), third()))

    assert asyncio.run(together()) == [[1.0, None], [1.0], [1.0, None]]
    metrics = watch.step().metrics
    assert metrics["foreshock/reward/judged/unscored"] == 0.5
    assert metrics["foreshock/reward/_AsyncScorer/seconds"] >= 0.009
    assert metrics["foreshock/reward/judged_2/mean"] == 1.0


def test_async_exceptions_come_through_unchanged() -> None:
    async def broken() -> None:
        raise ValueError("no")

    watch = RewardWatch([broken])
    with pytest.raises(ValueError, match="no"):
        asyncio.run(_only(watch)())
    assert watch.step().metrics["foreshock/reward/broken/errors"] == 1


def test_models_and_their_names_are_passed_on_untouched() -> None:
    torch = pytest.importorskip("torch")
    model = torch.nn.Linear(3, 2)
    watch = RewardWatch([model, "org/reward-model", 5])
    assert watch.functions[0] is model
    assert watch.functions[1:] == ["org/reward-model", 5]
    assert watch.names == ["Linear", "reward-model", "int"]
    data = watch.step().data
    assert data["models"]["Linear"]["parameters"] == 8
    assert data["models"]["reward-model"] == {"name": "org/reward-model"}
    assert not RewardWatch([torch.nn.Linear(3, 2), "org/reward-model", 5], before=data).step().changes
    other = RewardWatch([torch.nn.Linear(3, 4), "org/reward-model", 5], before=data).step()
    assert _kinds(other.changes) == ["reward_model_changed"]


def test_it_costs_microseconds() -> None:
    scores = [1.0] * 512

    def quick(completions: list[str]) -> list[float]:
        return scores

    function = _only(RewardWatch([quick]))
    bare = min(timeit.repeat(lambda: quick([]), number=200, repeat=20))
    assert (min(timeit.repeat(lambda: function([]), number=200, repeat=20)) - bare) / 200 < 30e-6


def test_names_are_those_of_trl() -> None:
    utils = pytest.importorskip("trl.trainer.utils")
    functions: list[Any] = [accuracy, _Scorer(), functools.partial(accuracy, x=1), judged, _AsyncScorer()]
    watch = RewardWatch(functions)
    assert watch.names == ["accuracy", "_Scorer", "accuracy_2", "judged", "_AsyncScorer"]
    for original, function in zip(functions, watch.functions, strict=True):
        assert utils.get_callable_name(function) == utils.get_callable_name(original)
        assert utils.is_async_callable(function) == utils.is_async_callable(original)


# What is measured


def test_scores_of_a_step() -> None:
    results = iter([[1.0, None, 3.0], np.array([NAN, 5.0], np.float32), 7])
    watch = RewardWatch([lambda: next(results)], ["judge"])
    for _ in range(3):
        _only(watch)()
    scores = watch.scores()["judge"]
    assert [scores[0], *scores[1:3], *scores[4:]] == [1.0, None, 3.0, 5.0, 7.0]
    assert scores[3] is not None
    assert math.isnan(scores[3])
    metrics = watch.step().metrics
    assert metrics["foreshock/reward/judge/mean"] == 4.0
    assert metrics["foreshock/reward/judge/std"] == pytest.approx(np.std([1, 3, 5, 7], ddof=1))
    assert metrics["foreshock/reward/judge/unscored"] == pytest.approx(2 / 6)
    assert metrics["foreshock/reward/judge/errors"] == 0
    assert 0 < metrics["foreshock/reward/judge/seconds"] < 1
    assert watch.scores() == {"judge": []}
    assert watch.step().metrics == {}


def test_unscored_is_not_zero() -> None:
    results = iter([[0.0, 0.0], [None, None]])
    watch = RewardWatch([lambda: next(results)], ["judge"])
    _only(watch)()
    zero = watch.step().metrics
    _only(watch)()
    none = watch.step().metrics
    assert zero["foreshock/reward/judge/mean"] == 0
    assert zero["foreshock/reward/judge/unscored"] == 0
    assert "foreshock/reward/judge/mean" not in none
    assert none["foreshock/reward/judge/unscored"] == 1


@given(st.lists(st.one_of(st.none(), st.floats(), st.booleans(), st.integers(-(10**6), 10**6)), max_size=30))
def test_any_scores_are_counted(values: list[Any]) -> None:
    watch = RewardWatch([])
    watch.add("f", values)
    back = watch.scores()["f"]
    metrics = {name.rpartition("/")[2]: value for name, value in watch.step().metrics.items()}
    assert len(back) == len(values)
    missing = sum(value is None or value != value for value in values)
    if values:
        assert metrics["unscored"] == pytest.approx(missing / len(values))
        finite = [float(value) for value in values if value is not None and math.isfinite(value)]
        if finite and len(finite) == len(values) - missing:
            assert metrics["mean"] == pytest.approx(sum(finite) / len(finite), nan_ok=True)


def test_results_of_other_frameworks_are_read() -> None:
    results = iter([{"score": 0.5, "acc": True}, [{"score": 1.0}, {"score": 2.0}], {"rewards": np.ones(2)}])
    watch = RewardWatch([lambda: next(results)], ["f"])
    for _ in range(3):
        _only(watch)()
    assert watch.scores()["f"] == [0.5, 1.0, 2.0, 1.0, 1.0]


def test_torch_results_are_read() -> None:
    torch = pytest.importorskip("torch")
    results = iter([torch.tensor([0.5, 1.5], dtype=torch.bfloat16), [torch.tensor(2.0)]])
    watch = RewardWatch([lambda: next(results)], ["f"])
    _only(watch)(), _only(watch)()
    assert watch.scores()["f"] == [0.5, 1.5, 2.0]


def test_scores_from_elsewhere_and_calls_that_do_not_count() -> None:
    watch = RewardWatch([accuracy])
    _only(watch)([], ["4"])
    watch.clear()
    watch.add("model", [1.0, None], seconds=0.25)
    metrics = watch.step().metrics
    assert metrics == {
        "foreshock/reward/model/errors": 0,
        "foreshock/reward/model/unscored": 0.5,
        "foreshock/reward/model/mean": 1.0,
        "foreshock/reward/model/seconds": 0.25,
    }


def test_latency_is_measured() -> None:
    watch = RewardWatch([lambda: time.sleep(0.02)], ["slow"])
    _only(watch)()
    assert 0.019 < watch.step().metrics["foreshock/reward/slow/seconds"] < 1


# Errors


def _failing(message: str, **kwargs: Any) -> Change:
    def broken() -> None:
        raise TimeoutError(message)

    watch = RewardWatch([broken], **kwargs)
    with pytest.raises(TimeoutError):
        _only(watch)()
    (change,) = watch.step().changes
    return change


def test_the_first_error_of_a_kind_is_told() -> None:
    errors: Iterator[Exception] = iter([ValueError("a"), ValueError("b"), KeyError("c"), ValueError("d")])

    def broken() -> None:
        raise next(errors)

    watch = RewardWatch([broken])
    told = []
    for _ in range(2):
        for _ in range(2):
            with pytest.raises((ValueError, KeyError)):
                _only(watch)()
        told.append([change.text for change in watch.step().changes])
    assert told == [
        ["The reward function broken raised ValueError: a"],
        ["The reward function broken raised KeyError: 'c'"],
    ]


@pytest.mark.parametrize(
    "secret", ["sk-proj4aB9dE2fG7hJ1kL3mN", "Bearer abc", "password=hunter2", "api_key: x1"]
)
def test_messages_hold_no_keys(secret: str) -> None:
    change = _failing(f"401 for {secret} at host")
    assert secret.split("=")[-1].split()[-1] not in change.text
    assert "***" in change.text
    assert "401 for" in change.text


def test_messages_are_short_and_pass_through_the_hook() -> None:
    assert len(_failing("word " * 500).data["message"]) == 200
    assert _failing("first\nsecond").data["message"] == "first"
    assert _failing("cannot parse: my poem", redact=lambda t: t.replace("poem", "-")).data["message"] == (
        "cannot parse: my -"
    )
    assert _failing("my poem", redact=lambda t: str(1 / 0)).data["message"] == ""


# Code


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], Any]]:
    """Writes a module of a project and loads it, anew if it was loaded."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    names = set()
    stamps = itertools.count(1)

    def write(name: str, text: str, load: bool = True) -> Any:
        path = tmp_path / f"{name}.py"
        path.write_text(text)
        # A clock tick between two versions, as an editor would leave it.
        stamp = time.time() + next(stamps)
        os.utime(path, (stamp, stamp))
        names.add(name)
        importlib.invalidate_caches()
        if not load:
            return None
        module = sys.modules.get(name)
        return importlib.reload(module) if module else importlib.import_module(name)

    yield write
    for name in names:
        sys.modules.pop(name, None)


REWARD = (
    "import fs_scoring\ndef correct(completions):\n    return [fs_scoring.score(c) for c in completions]\n"
)
SCORE = "def score(text):\n    return float(text == '4')\n"
OTHER = "def score(text):\n    return float(text == '5')\n"


def test_a_module_that_is_edited_and_reloaded_is_noticed(project: Callable[..., Any]) -> None:
    project("fs_scoring", SCORE)
    watch = RewardWatch([project("fs_reward", REWARD).correct])
    for _ in range(3):
        assert not watch.step().changes
    project("fs_scoring", OTHER)
    evidence = watch.step()
    (change,) = evidence.changes
    assert change.kind == "reward_code_changed"
    assert change.text == "Reward code of correct changed: fs_scoring.score (fs_scoring.py)."
    assert change.data == {
        "rewards": ["correct"],
        "functions": ["fs_scoring.score"],
        "files": ["fs_scoring.py"],
    }
    assert set(evidence.data) == {"code", "modules"}
    assert not watch.step().changes


def test_a_file_that_is_edited_but_not_loaded_is_told_as_that(project: Callable[..., Any]) -> None:
    project("fs_scoring", SCORE)
    watch = RewardWatch([project("fs_reward", REWARD).correct])
    watch.step()
    project("fs_scoring", OTHER, load=False)
    (change,) = watch.step().changes
    assert change.kind == "reward_module_changed"
    assert "fs_scoring.py" in change.text
    assert "on disk" in change.text
    importlib.reload(sys.modules["fs_scoring"])
    assert _kinds(watch.step().changes) == ["reward_code_changed"]


def test_a_function_that_is_replaced_at_run_time_is_noticed(project: Callable[..., Any]) -> None:
    scoring = project("fs_scoring", SCORE)
    watch = RewardWatch([project("fs_reward", REWARD).correct])
    watch.step()
    scoring.score = lambda text: 1.0
    assert _kinds(watch.step().changes) == ["reward_code_changed"]


def test_an_edit_between_attempts_is_noticed(project: Callable[..., Any]) -> None:
    project("fs_scoring", SCORE)
    correct = project("fs_reward", REWARD).correct
    before = json.loads(json.dumps(RewardWatch([correct]).step().data))
    again = RewardWatch([correct], before=before)
    assert not again.step().changes
    project("fs_scoring", OTHER)
    (change,) = RewardWatch([correct], before=before).step().changes
    assert change.kind == "reward_code_changed"
    assert change.text.endswith("changed since the attempt before: fs_scoring.score (fs_scoring.py).")
    other_python = {**before, "python": "cpython-27"}
    (change,) = RewardWatch([correct], before=other_python).step().changes
    assert change.kind == "reward_module_changed"


def test_comments_docstrings_and_unrelated_functions_are_no_change_of_the_code(
    project: Callable[..., Any],
) -> None:
    project("fs_scoring", SCORE)
    watch = RewardWatch([project("fs_reward", REWARD).correct])
    watch.step()
    text = '# Comment.\ndef score(text):\n    """Right."""\n    return float(text == "4")\ndef more(): pass\n'
    project("fs_scoring", text)
    (change,) = watch.step().changes
    assert change.kind == "reward_module_changed"
    assert "but not the reward code" in change.text


def test_imports_of_imports_are_followed_but_installed_packages_are_not(project: Callable[..., Any]) -> None:
    project("fs_deep", "def parse(text):\n    return text.strip()\n")
    project(
        "fs_scoring",
        "from fs_deep import parse\nimport numpy, json\n" + SCORE.replace("text ==", "parse(text) =="),
    )
    watch = RewardWatch([project("fs_reward", REWARD).correct])
    data = watch.step().data
    assert set(data["modules"]) == {"fs_reward", "fs_scoring", "fs_deep"}
    assert set(data["code"]["correct"]) == {"fs_reward.correct", "fs_scoring.score", "fs_scoring.parse"}


def test_imports_within_a_function_are_followed_once_they_are_loaded(project: Callable[..., Any]) -> None:
    project("fs_scoring", SCORE, load=False)
    lazy = "def correct(texts):\n    from fs_scoring import score\n    return list(map(score, texts))\n"
    watch = RewardWatch([project("fs_reward", lazy).correct])
    assert set(watch.step().data["modules"]) == {"fs_reward"}
    _only(watch)(["4"])
    evidence = watch.step()
    assert not evidence.changes
    assert set(evidence.data["modules"]) == {"fs_reward", "fs_scoring"}
    project("fs_scoring", OTHER)
    assert _kinds(watch.step().changes) == ["reward_code_changed"]


def test_the_number_of_files_is_bounded(project: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_code_files, "_FILES", 3)
    for index in range(6):
        project(f"fs_chain{index}", f"import fs_chain{index - 1}\n" if index else "")
    module = project("fs_reward", "import fs_chain5\ndef correct(completions):\n    return []\n")
    assert len(RewardWatch([module.correct]).step().data["modules"]) == 3


def test_a_removed_or_broken_file_is_no_change(project: Callable[..., Any], tmp_path: Path) -> None:
    project("fs_scoring", SCORE)
    watch = RewardWatch([project("fs_reward", REWARD).correct])
    watch.step()
    project("fs_reward", "def (", load=False)
    assert _kinds(watch.step().changes) == ["reward_module_changed"]
    (tmp_path / "fs_scoring.py").unlink()
    assert not watch.step().changes


def test_code_of_objects_closures_and_partials_is_reached() -> None:
    def outer(inner: Callable[[str], float]) -> Callable[[list[str]], list[float]]:
        def scored(completions: list[str]) -> list[float]:
            return [inner(completion) for completion in completions]

        return scored

    def inner(text: str) -> float:
        return 1.0

    assert [path.rpartition(".")[2] for path in reached(outer(inner))] == ["scored", "scored<inner>"]
    assert f"{__name__}._Scorer.__call__" in reached(_Scorer())
    assert set(reached(functools.partial(accuracy, judge=_Scorer()))) >= {
        f"{__name__}.accuracy",
        f"{__name__}._Scorer.__call__",
    }
    cached = functools.lru_cache(inner)
    assert len(reached(cached)) == 1
    assert list(reached(json.loads)) == ["json.loads"]  # of an installed package: itself, nothing it calls
    assert reached(len) == {}


def test_the_hash_of_code_is_the_same_in_another_process() -> None:
    text = (
        "def f(x):\n    'doc'\n    return [y for y in x if y in {'a', 'b', 'c', 'd'} and y is not (1, 'e')]\n"
    )
    code = (
        "from foreshock.record._code import hash_of\n"
        f"space = {{}}\nexec({text!r}, space)\nprint(hash_of(space['f'].__code__))\n"
    )
    hashes = {
        subprocess.run(
            [sys.executable, "-W", "ignore", "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(hashes) == 1


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("lambda x: x + 1", "lambda x:   x + 1", True),
        ("lambda x: x + 1", "lambda x: x + 2", False),
        ("lambda x: x + 1", "lambda x: x + 1.0", False),
        ("lambda x: x == 'a'", "lambda x: x == 'b'", False),
        ("lambda x: 'a'", "lambda x: 'b'", False),
        ("lambda x: x.lower()", "lambda x: x.upper()", False),
        ("lambda x: [y for y in x if y > 1]", "lambda x: [y for y in x if y > 2]", False),
    ],
)
def test_hashes_tell_code_apart(one: str, other: str, same: bool) -> None:
    assert (hash_of(eval(one).__code__) == hash_of(eval(other).__code__)) is same


def test_a_returned_text_is_told_from_a_docstring() -> None:
    space: dict[str, Any] = {}
    exec(
        "def a():\n    'doc'\n    return 'x'\ndef b():\n    'other'\n    return 'x'\n"
        "def c():\n    return 'y'\ndef d():\n    return 'x'\n",
        space,
    )
    a, b, c, d = (hash_of(space[name].__code__) for name in "abcd")
    assert a == b
    assert c != d


def test_settings_are_compared_between_attempts() -> None:
    before = RewardWatch([_Scorer(0.5)]).step().data
    assert "sk-123" not in json.dumps(before)
    assert not RewardWatch([_Scorer(0.5)], before=before).step().changes
    (change,) = RewardWatch([_Scorer(0.7)], before=before).step().changes
    assert change.kind == "reward_settings_changed"
    assert "threshold of reward _Scorer changed from 0.5 to 0.7" in change.text
    (change,) = RewardWatch([_Scorer(0.5, "sk-456")], before=before).step().changes
    assert "sk-" not in change.text + json.dumps(dict(change.data))


def test_weights_and_the_list_of_functions_are_compared() -> None:
    watch = RewardWatch([accuracy, _Scorer()], weights=[1.0, 0.5])
    assert not watch.step().changes
    (change,) = watch.step(weights=[1.0, 0.2]).changes
    assert change.kind == "reward_weights_changed"
    assert change.text == "Reward weights changed: _Scorer from 0.5 to 0.2."
    before = RewardWatch([accuracy, _Scorer()], weights=[1.0, 0.5]).step().data
    again = RewardWatch([accuracy, judged], weights=[2.0, 0.5], before=before).step()
    assert _kinds(again.changes) == ["reward_functions_changed", "reward_weights_changed"]
    assert "_Scorer gone; judged new" in again.changes[0].text


def test_what_did_not_change_is_not_repeated() -> None:
    watch = RewardWatch([accuracy], weights=[1.0])
    assert set(watch.step().data) == {"names", "weights", "python", "code", "modules"}
    assert watch.step().data == {}


@pytest.mark.parametrize("before", [{"code": 5, "modules": [], "settings": 1, "models": 2, "names": 3}, {}])
def test_a_past_that_makes_no_sense_is_ignored(before: dict[str, Any]) -> None:
    assert not RewardWatch([accuracy, _Scorer(), "model"], before=before).step().changes


def test_names_are_given_or_made_different() -> None:
    watch = RewardWatch([accuracy, accuracy, lambda: []], ["a"])
    assert watch.names == ["a", "accuracy", "<lambda>"]
    assert RewardWatch([accuracy] * 3).names == ["accuracy", "accuracy_2", "accuracy_3"]


def test_another_function_under_the_same_name_is_changed_code() -> None:
    def first(completions: list[str]) -> list[float]:
        return [float(len(text)) for text in completions]

    def second(completions: list[str]) -> list[float]:
        return [2.0 + text.count("a") for text in completions]

    def step_of(function: Callable[..., Any], before: Mapping[str, Any] | None) -> Evidence:
        watch = RewardWatch([function], ["accuracy"], before=before)
        watch.functions[0](["a"])
        return watch.step()

    seen = step_of(first, None)
    assert step_of(first, seen.data).changes == ()
    (change,) = step_of(second, seen.data).changes
    assert change.kind == "reward_code_changed" and "second" in change.text
