"""No secret on disk, and nothing masked that is none."""

from __future__ import annotations

import os
import random
import re
import string
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import foreshock
from foreshock.record.secrets import is_secret_name, mask_arguments, mask_mapping, mask_text

SECRETS = [
    "hf_" + "AbCdEfGhIjKlMnOpQrStUvWxYz012345",
    "sk-proj-" + "a8Fk29dkLs02mfKq81Zp",
    "sk-ant-api03-" + "x" * 30,
    "ghp_" + "16C7e42F292c6912E7710c838347Ae178B4a",
    "github_pat_" + "11ABCDEFG0abcdefghij_1234567890",
    "glpat-" + "abcdefghij1234567890",
    "AKIA" + "IOSFODNN7EXAMPLE",
    "AIza" + "SyA1234567890abcdefghijklmnopqrstu",
    "xoxb-" + "123456789012-abcdefABCDEF",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U",
    "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY1a"[:40].replace("/", "q"),
    "-----BEGIN RSA PRIVATE KEY-----\nMIIEow\nabc\n-----END RSA PRIVATE KEY-----",
    "-----BEGIN PGP PRIVATE KEY BLOCK-----\nlQdGBF\n-----END PGP PRIVATE KEY BLOCK-----",
    "gsk_" + "a1b2c3d4e5" * 4,
    "nvapi-" + "abc-123_" * 5,
    "r8_" + "k3jd9s8f7h2k4l5m" * 2,
    "ya29." + "a0AfH6SMBabc123",
    "SG." + "abcdefghij123456.ABCDEFGHIJ123456",
    "wandb_v1_" + "a1b2c3d4e5f6" * 3,
    "q9Xw/Zk3vB7nM+L2pR8tY5uJ1hG4fD6sA0cE/iOy",  # AWS: 40 characters, slashes among them
    "hooks.slack.com/services/T00000000/B00000000/xXxXxXxX",
]
HARMLESS = [
    "819941f0c3b2a9d4e5f60718293a4b5c6d7e8f90",  # a commit
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "/data/checkpoints/Qwen2.5-Math-7B-Instruct-GRPO/checkpoint-1200/model.safetensors",
    "Qwen/Qwen2.5-Math-7B-Instruct",
    "DeepSeek-R1-Distill-Qwen-1.5B",
    "deepseek-ai/DeepSeek-R1-Distill-Llama-70B",
    "GRPOConfigWithAVeryLongClassNameInCamelCase",
    "transformers.models.llama.modeling_llama.LlamaForCausalLM",
    "<|im_start|>system\nYou are a helpful assistant. Think step by step.<|im_end|>",
    "2026-11-23T01:33:30.123456+00:00",
    "https://huggingface.co/datasets/openai/gsm8k/tree/main",
    "1e-06",
    "cosine_with_min_lr",
    "s3://bucket/runs/2026-11-23/seed-17",
    "ssh://git@github.com/org/repo.git",
    "FlashAttention2ForwardKernelSm90Fp16",
    "DeepSeekR1DistillQwen15BInstructV2Final2026",
    "/root/.cache/hub/models--Qwen--Qwen2.5-0.5B/snapshots/7ae557604adf67be50417f59c2c2f167def9a775/config.json",
    "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "cu12-torch2.6-cxx11abiFALSE-cp310-cp310-linux_x86_64",
    "KeyError: 'prompt'",
    "token classification-model-name",
    "Basic understanding of the sk-learn pipeline",
    "reward_key=score_of_step_12",
    "tokens: 12000000, tokens per second: 1234",
    "https://host/search?q=token&page=2",
]


@pytest.mark.parametrize("secret", SECRETS)
def test_what_looks_like_a_key_is_masked_wherever_it_stands(secret: str) -> None:
    for text in (secret, f"could not log in with {secret}!", f'{{"x": "{secret}"}}'):
        assert secret not in mask_text(text)
        assert "***" in mask_text(text)
    assert mask_mapping({"anything": {"deep": [secret]}}) == {"anything": {"deep": ["***"]}}
    assert secret not in " ".join(mask_arguments(["train.py", f"--x={secret}", secret]))


@pytest.mark.parametrize("text", HARMLESS)
def test_what_only_resembles_a_key_is_kept(text: str) -> None:
    assert mask_text(text) == text
    assert mask_mapping({"value": text}) == {"value": text}
    assert mask_arguments(["train.py", text, f"--value={text}"]) == ["train.py", text, f"--value={text}"]


@pytest.mark.parametrize(
    "name",
    "hub_token HF_TOKEN hf-token wandb_api_key WANDB_API_KEY apiKey openai.api_key password db_password "
    "client_secret aws_secret_access_key token accessToken --auth-token credentials logger.token db_pass "
    "Authorization X-Api-Key Cookie".split(),
)
def test_names_of_secrets(name: str) -> None:
    assert is_secret_name(name)
    assert mask_mapping({name: "correct horse"}) == {name: "***"}


@pytest.mark.parametrize(
    "name",
    "pad_token eos_token max_tokens tokenizer num_tokens token_level_loss stop_token_ids bos_token_id "
    "image_token reward_key prompt_key key keys_to_ignore tokenizer_name monkey secretary_task "
    "think_end_token loss_type attn_key_size pass_at_1 pass_rate first_pass bypass num_key_value_heads "
    "authorization_mode".split(),
)
def test_names_that_only_sound_like_it(name: str) -> None:
    assert not is_secret_name(name)
    assert mask_mapping({name: "some value"}) == {name: "some value"}


def test_numbers_and_switches_are_kept_under_any_name() -> None:
    settings = {"hub_token": None, "use_auth_token": True, "api_key": "", "password": 3, "token": "None"}
    assert mask_mapping(settings) == settings
    assert mask_mapping({"api_key": 123456, "max_tokens": 123456}) == {"api_key": "***", "max_tokens": 123456}


def test_command_lines() -> None:
    argv = [
        "train.py", "--hub-token", "plain words", "--lr", "1e-6", "--password=hunter2", "trainer.api_key=abc",
        "--token", "--bf16", "https://user:pass@host/path", "Authorization: Bearer abcdefghijklmnop",
    ]  # fmt: skip
    assert mask_arguments(argv) == [
        "train.py", "--hub-token", "***", "--lr", "1e-6", "--password=***", "trainer.api_key=***",
        "--token", "--bf16", "https://***@host/path", "Authorization: *** ***",
    ]  # fmt: skip


@pytest.mark.parametrize("length", [24, 32, 40, 64])
def test_of_long_random_strings_at_least_97_percent_are_masked(length: int) -> None:
    generator = random.Random(length)
    kept = 0
    for _ in range(1000):
        secret = "".join(generator.choices(string.ascii_letters + string.digits, k=length))
        kept += mask_text(f"x {secret} y") != "x *** y"
    assert kept <= 30


def test_names_that_programmers_give_are_kept() -> None:
    """All names that transformers, torch and trl define, and the files of their code."""
    names: set[str] = set()
    for library in ("torch", "transformers", "trl"):
        module = pytest.importorskip(library)
        folder = Path(str(module.__file__)).parent
        names |= set(dir(module))
        names |= {str(path) for path in folder.glob("*/*.py")}
        for path in list(folder.glob("*/*.py"))[:150]:
            names |= set(re.findall(r"[A-Za-z_][A-Za-z0-9_.]{23,}", path.read_text(errors="replace")))
    wrong = [name for name in names if mask_text(name) != name or mask_mapping({"x": name}) != {"x": name}]
    assert len(names) > 5000
    assert len(wrong) <= 0.001 * len(names), wrong


def test_settings_of_real_trainers_are_kept() -> None:
    trl = pytest.importorskip("trl")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        config = trl.GRPOConfig(output_dir="out", report_to=[], use_cpu=True, bf16=False).to_dict()
    config["hub_token"] = None  # TRL has a mask of its own for it
    masked = mask_mapping(config)
    assert {key: value for key, value in masked.items() if value == "***"} == {}
    assert not [value for value in masked.values() if "***" in str(value)]


def test_what_follows_a_name_in_a_text_is_masked() -> None:
    for text, expected in {
        '{"password": "correct horse", "lr": 1}': '{"password": "***", "lr": 1}',
        "{'api_key': 'hunter22', 'b': 2}": "{'api_key': '***', 'b': 2}",
        "python t.py --api-key hunter22 --lr 1e-6": "python t.py --api-key *** --lr 1e-6",
        "cannot fetch https://h/x?access_token=abc123&page=2": "cannot fetch https://h/x?access_token=***&page=2",
        "https://h/x?sv=20&sig=AbC%2Fd123": "https://h/x?sv=20&sig=***",
        "wandb login 0123456789abcdef0123456789abcdef01234567": "wandb login ***",
        "mongodb+srv://u:p/w@cluster.net": "mongodb+srv://***@cluster.net",
        "HF_TOKEN=hunter22 python t.py": "HF_TOKEN=*** python t.py",
        "the token is wrong, use max_tokens=5": "the token is wrong, use max_tokens=5",
    }.items():
        assert mask_text(text) == expected


@pytest.mark.parametrize(
    "text", ["a" * 200_000, "a." * 100_000, "a=" * 100_000, '"' * 200_000, "x " * 100_000]
)
def test_no_text_takes_long(text: str) -> None:
    start = time.perf_counter()
    mask_text(text)
    assert time.perf_counter() - start < 5


@given(st.text(alphabet=string.printable, max_size=60), st.sampled_from(SECRETS), st.text(max_size=20))
def test_a_key_is_found_in_any_text(before: str, secret: str, after: str) -> None:
    assert secret not in mask_text(f"{before} {secret} {after}")


@given(st.text(max_size=200))
def test_masking_twice_changes_nothing_more(text: str) -> None:
    once = mask_text(text)
    assert mask_text(once) == once


@given(st.from_regex(r"[0-9a-f]{7,64}", fullmatch=True))
def test_hashes_are_kept(digest: str) -> None:
    for text in (digest, f"commit {digest}", f"model@{digest}", f"snapshots/{digest}/x"):
        assert mask_text(text) == text
    assert mask_mapping({"revision": digest}) == {"revision": digest}


@given(
    st.dictionaries(
        st.text(max_size=8), st.recursive(st.text() | st.floats() | st.none(), st.lists), max_size=5
    )
)
def test_any_settings_come_through(settings: dict[str, object]) -> None:
    masked = mask_mapping(settings)
    assert list(masked) == [str(key) for key in settings]


def test_a_recording_holds_no_secret_of_its_surroundings(tmp_path: Path) -> None:
    """From the environment, the command line, the config, facts, and an exception, through to the files."""
    code = """
import os, sys, foreshock
try:
    with foreshock.Recorder(sys.argv[1], config={"hub_token": "plain-secret-2", "url": "http://me:plain-secret-3@h/"},
                            wandb_api_key="plain-secret-5") as run:
        run.log({"reward": 1.0, "note": "password=plain-secret-8"})
        run.event("note", "see plain", token="plain-secret-6")
        run.describe(password="plain-secret-7")
        raise RuntimeError("login failed: password=plain-secret-4")
except RuntimeError:
    pass
"""
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            code,
            str(tmp_path / "run"),
            "--api-key",
            "plain-secret-1",
            "ghp_" + "A1b2" * 9,
        ],
        env={
            **os.environ,
            "PYTHONPATH": str(Path(foreshock.__file__).resolve().parents[1]),
            "MY_VARIABLE": "plain-secret-0",
            "HF_TOKEN": "hf_" + "Zz9" * 12,
        },
        capture_output=True,
        text=True,
        check=True,
    )
    assert not done.stderr
    written = b"".join(path.read_bytes() for path in (tmp_path / "run").iterdir()).decode()
    for leak in [*(f"plain-secret-{i}" for i in range(9)), "A1b2A1b2", "Zz9Zz9"]:
        assert leak not in written, leak
    assert '"command"' in written and "--api-key" in written
