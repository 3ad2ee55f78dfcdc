"""What a run runs on: found without waiting, compared with the attempt before, told as an event."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import foreshock
from foreshock.record import Recorder
from foreshock.record.environment import config, environment, generation, tokenizer


def git(folder: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@b", *arguments],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one commit, in which the script of this process seems to lie."""
    git(tmp_path, "init", "-q", "-b", "main")
    (tmp_path / "train.py").write_text("lr = 1\n")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "first")
    monkeypatch.setattr(sys, "argv", [str(tmp_path / "train.py"), "--lr", "1"])
    return tmp_path


def test_commit_branch_and_uncommitted_changes(repository: Path) -> None:
    first = environment()
    assert first.data["git"] == {
        "commit": git(repository, "rev-parse", "HEAD"),
        "branch": "main",
        "dirty": None,
    }
    assert first.data["command"] == [str(repository / "train.py"), "--lr", "1"]
    assert first.changes == ()
    assert environment(first.data).changes == ()
    (repository / "train.py").write_text("lr = 2\n")
    second = environment(first.data)
    assert [change.kind for change in second.changes] == ["git_changed"]
    assert "Uncommitted changes" in second.changes[0].text
    git(repository, "commit", "-qam", "second")
    (change,) = environment(second.data).changes
    assert change.text.startswith(f"The code is at commit {git(repository, 'rev-parse', 'HEAD')[:10]}")


def test_outside_a_repository_or_without_git_there_is_just_no_git(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", [str(tmp_path / "none.py")])
    monkeypatch.chdir(tmp_path)
    assert "git" not in environment().data
    monkeypatch.setenv("PATH", "")
    assert "git" not in environment().data


def test_a_git_that_hangs_is_not_waited_for(
    repository: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fake = tmp_path / "bin"
    fake.mkdir()
    (fake / "git").write_text("#!/bin/sh\nexec sleep 30\n")
    (fake / "git").chmod(0o755)
    monkeypatch.setenv("PATH", str(fake), prepend=":")
    assert "git" not in environment().data


def test_versions_and_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "8")
    found = environment()
    assert found.data["world_size"] == 8
    assert found.data["packages"]["numpy"]
    before = {
        **found.data,
        "packages": {**found.data["packages"], "numpy": "0.1", "gone": "1.0"},
        "world_size": 4,
        "python": "2.7",
    }
    changes = {change.kind: change for change in environment(before).changes}
    assert set(changes) == {"packages_changed", "world_size_changed"}
    assert set(changes["packages_changed"].data["changed"]) == {"numpy", "gone", "python"}
    assert "numpy 0.1 to" in changes["packages_changed"].text
    assert changes["world_size_changed"].text == "The number of processes changed from 4 to 8."


def test_the_settings_that_differ_at_a_resume_are_told_and_secrets_are_not(tmp_path: Path) -> None:
    first = {
        "lr": 1e-6,
        "optim": {"name": "adamw", "betas": (0.9, 0.99)},
        "hub_token": "one",
        "run_name": "a",
    }
    optim = {"name": "adamw", "betas": [0.9, 0.99]}
    second = {"lr": 5e-6, "optim": optim, "hub_token": "two", "run_name": "b", "beta": 0.1}
    with Recorder(tmp_path, config=first, environment=False, strict=True) as run:
        run.log({"reward": 1.0}, step=1)
    with Recorder(tmp_path, config=second, environment=False, strict=True) as run:
        run.log({"reward": 1.0}, step=2)
    read = foreshock.open_run(tmp_path)
    (event,) = [event for event in read.events if event.kind == "config_changed"]
    assert (event.step, event.payload["text"]) == (
        2,
        "Settings changed: lr 1e-06 to 5e-06, beta (not set) to 0.1.",
    )
    assert event.payload["changed"] == {"lr": [1e-6, 5e-6], "beta": ["(not set)", 0.1]}
    assert read.facts["config"]["lr"] == 5e-6
    assert read.facts["config"]["hub_token"] == "***"


def test_what_json_cannot_hold_is_a_setting_too() -> None:
    class Scheduler:
        pass

    found = config(
        None, {"scheduler": Scheduler(), "nan": float("nan"), "path": Path("/x"), "kinds": {"b", "a"}}
    )
    assert json.loads(json.dumps(found.data))["config"]["kinds"] == ["a", "b"]
    assert (
        config(
            found.data, {"scheduler": Scheduler(), "nan": float("nan"), "path": "/x", "kinds": {"a", "b"}}
        ).changes
        == ()
    )


def test_generation_settings() -> None:
    first = generation(None, {"temperature": 1.0, "top_p": 1.0})
    assert first.changes == ()
    (change,) = generation(first.data, {"temperature": 1.4, "top_p": 1.0}).changes
    assert (change.kind, change.text) == (
        "generation_settings_changed",
        "Generation settings changed: temperature 1.0 to 1.4.",
    )


class Tokenizer:
    """A stand-in with what a Hugging Face tokenizer offers."""

    def __init__(self, words: list[str], template: str | None = None, eos: str = "</s>") -> None:
        self.words, self.chat_template = words, template
        self.special_tokens_map = {"eos_token": eos}

    def get_vocab(self) -> dict[str, int]:  # noqa: D102
        return {word: place for place, word in enumerate(self.words)}

    def __len__(self) -> int:
        return len(self.words)


@pytest.mark.parametrize(
    ("other", "kinds"),
    [
        (Tokenizer(["a", "b"], "T"), []),
        (Tokenizer(["b", "a"], "T"), ["tokenizer_changed"]),
        (Tokenizer(["a", "b"], "T", eos="<eos>"), ["tokenizer_changed"]),
        (Tokenizer(["a", "b"], "U"), ["chat_template_changed"]),
        (Tokenizer(["a", "b"], None), ["chat_template_changed"]),
    ],
)
def test_tokenizer_and_chat_template(other: Any, kinds: list[str]) -> None:
    first = tokenizer(None, Tokenizer(["a", "b"], "T"))
    assert first.changes == () and first.data["size"] == 2
    assert [change.kind for change in tokenizer(first.data, other).changes] == kinds


def test_a_real_tokenizer(tmp_path: Path) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    transformers = pytest.importorskip("transformers")

    def made(words: list[str]) -> Any:
        model = tokenizers.models.WordLevel({word: place for place, word in enumerate(words)}, unk_token="a")
        return transformers.PreTrainedTokenizerFast(
            tokenizer_object=tokenizers.Tokenizer(model), eos_token="b"
        )

    first = tokenizer(None, made(["a", "b", "c"]))
    assert tokenizer(first.data, made(["a", "b", "c"])).changes == ()
    (change,) = tokenizer(first.data, made(["a", "c", "b"])).changes
    assert change.text == "The tokenizer changed: its vocabulary."
