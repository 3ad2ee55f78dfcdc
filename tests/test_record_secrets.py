"""No secret on disk, and nothing masked that is none."""

from __future__ import annotations

import os
import random
import string
import subprocess
import sys
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
    "client_secret aws_secret_access_key token accessToken --auth-token credentials".split(),
)
def test_names_of_secrets(name: str) -> None:
    assert is_secret_name(name)
    assert mask_mapping({name: "correct horse"}) == {name: "***"}


@pytest.mark.parametrize(
    "name",
    "pad_token eos_token max_tokens tokenizer num_tokens token_level_loss stop_token_ids bos_token_id "
    "image_token reward_key prompt_key key keys_to_ignore tokenizer_name monkey secretary_task "
    "think_end_token loss_type attn_key_size".split(),
)
def test_names_that_only_sound_like_it(name: str) -> None:
    assert not is_secret_name(name)
    assert mask_mapping({name: "some value"}) == {name: "some value"}


def test_numbers_and_switches_are_kept_under_any_name() -> None:
    settings = {"hub_token": None, "use_auth_token": True, "api_key": "", "password": 3, "token": "None"}
    assert mask_mapping(settings) == settings


def test_command_lines() -> None:
    argv = [
        "train.py", "--hub-token", "plain words", "--lr", "1e-6", "--password=hunter2", "trainer.api_key=abc",
        "--token", "--bf16", "https://user:pass@host/path", "Authorization: Bearer abcdefghijklmnop",
    ]  # fmt: skip
    assert mask_arguments(argv) == [
        "train.py", "--hub-token", "***", "--lr", "1e-6", "--password=***", "trainer.api_key=***",
        "--token", "--bf16", "https://***@host/path", "Authorization: *** ***",
    ]  # fmt: skip


@given(st.integers(0, 2**32), st.integers(32, 64))
def test_long_random_strings_are_masked(seed: int, length: int) -> None:
    generator = random.Random(seed)
    secret = "".join(generator.choice(string.ascii_letters + string.digits) for _ in range(length))
    kinds = {str.islower, str.isupper, str.isdigit}
    if all(sum(map(kind, secret)) >= 4 for kind in kinds):
        assert mask_text(f"x {secret} y") == "x *** y"


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
        run.log({"reward": 1.0})
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
    for leak in [*(f"plain-secret-{i}" for i in range(8)), "A1b2A1b2", "Zz9Zz9"]:
        assert leak not in written, leak
    assert '"command"' in written and "--api-key" in written
