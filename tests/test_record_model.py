"""What the model fingerprint tells of real modules, and that it neither disturbs nor cries wolf."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from foreshock.record.evidence import Evidence
from foreshock.record.model import ModelFingerprint

torch = pytest.importorskip("torch")


def llama() -> Any:
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    return transformers.LlamaForCausalLM(
        transformers.LlamaConfig(
            vocab_size=50, hidden_size=16, intermediate_size=32, num_hidden_layers=3, num_attention_heads=2,
            num_key_value_heads=2, max_position_embeddings=64, tie_word_embeddings=True,
        )
    )  # fmt: skip


def look(fingerprint: ModelFingerprint, model: Any, step: int, optimizer: Any = None) -> Evidence:
    found = fingerprint.step(model, step, optimizer)
    assert found is not None
    return found


def kinds(found: Evidence) -> list[str]:
    return [change.kind for change in found.changes]


def test_counts_norms_and_types_of_a_real_model() -> None:
    model = llama()
    found = look(ModelFingerprint(), model, 0)
    total = sum(p.numel() for p in model.parameters())
    assert found.metrics["foreshock/model/parameters"] == total
    assert found.metrics["foreshock/model/trainable_share"] == 1.0
    norm = torch.linalg.vector_norm(torch.cat([p.detach().flatten() for p in model.parameters()])).item()
    assert found.metrics["foreshock/model/norm"] == pytest.approx(norm, rel=1e-4)
    assert set(found.data["layers"]) == {
        "model.embed_tokens", "model.layers.0", "model.layers.1", "model.layers.2", "model.norm",
    }  # fmt: skip
    own = [p.detach().flatten() for p in model.model.layers[1].parameters()]
    expected = torch.linalg.vector_norm(torch.cat(own)).item()
    assert found.data["layers"]["model.layers.1"] == pytest.approx(expected, rel=1e-4)
    assert found.data["dtypes"] == {"float32": total}
    assert found.changes == ()


def test_it_looks_every_few_steps_and_repeats_only_what_changed() -> None:
    model = llama()
    fingerprint = ModelFingerprint(every=5)
    found = [fingerprint.step(model, step) for step in range(1, 11)]
    assert [each is not None for each in found] == [step in (1, 5, 10) for step in range(1, 11)]
    assert found[4] is not None and set(found[4].data) == {"layers", "optimizer"}


def test_a_zeroed_layer_is_named_with_its_step() -> None:
    model = llama()
    fingerprint = ModelFingerprint(every=1)
    look(fingerprint, model, 59)
    with torch.no_grad():
        for parameter in model.model.layers[2].parameters():
            parameter.zero_()
    found = look(fingerprint, model, 60)
    assert kinds(found) == ["layer_norm_zero"]
    assert found.changes[0].text.startswith("The norm of layer 2 fell to 0 at step 60; it was ")
    assert found.changes[0].data["steps"] == 1  # since the look before


def test_a_removed_layer_changes_the_structure() -> None:
    model = llama()
    fingerprint = ModelFingerprint(every=1)
    look(fingerprint, model, 1)
    del model.model.layers[2]
    found = look(fingerprint, model, 2)
    assert kinds(found) == ["model_structure_changed"]
    assert "without layer 2" in found.changes[0].text


@pytest.mark.parametrize("between", [False, True])
def test_frozen_parts_and_types(between: bool) -> None:
    model = llama()
    first = ModelFingerprint(every=1)
    seen = look(first, model, 1)
    second = ModelFingerprint(seen.data, every=1) if between else first
    for name, parameter in model.named_parameters():
        parameter.requires_grad = "layers.0" in name
    found = look(second, model, 2)
    assert kinds(found) == ["trainable_share_changed"]
    assert "100.0%" in found.changes[0].text
    found = look(second, model.to(torch.bfloat16), 3)
    assert kinds(found) == ["dtype_changed"]
    assert "100% bfloat16, were 100% float32" in found.changes[0].text


def train(model: Any, fingerprint: ModelFingerprint | None, steps: int, lr: float = 1e-3) -> list[Evidence]:
    """A short real training on random tokens, with warm-up and decay."""
    generator = torch.Generator().manual_seed(1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / 20, 1.0) * (1 - step / (2 * steps))
    )
    found = []
    for step in range(1, steps + 1):
        tokens = torch.randint(0, 50, (4, 12), generator=generator)
        model(input_ids=tokens, labels=tokens).loss.backward()
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        evidence = fingerprint.step(model, step, optimizer) if fingerprint else None
        found += [evidence] if evidence is not None else []
    return found


@pytest.mark.parametrize("lr", [1e-5, 1e-3, 1e-2])
def test_a_healthy_training_with_warm_up_raises_nothing(lr: float) -> None:
    found = train(llama(), ModelFingerprint(every=2), 50, lr)
    assert [kinds(each) for each in found] == [[]] * len(found)
    assert found[-1].metrics["foreshock/optimizer/state_norm"] > 0
    assert found[-1].data["optimizer"]["steps"] == 50


def test_looking_changes_nothing_in_the_training() -> None:
    watched, alone = llama(), llama()
    train(watched, ModelFingerprint(every=1), 15)
    train(alone, None, 15)
    for a, b in zip(watched.parameters(), alone.parameters(), strict=True):
        assert torch.equal(a, b)


def test_noise_on_the_weights_is_a_jump() -> None:
    model, fingerprint = llama(), ModelFingerprint(every=2)
    train(model, fingerprint, 40)
    with torch.no_grad():
        for parameter in model.model.layers[1].parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    found = look(fingerprint, model, 42)
    assert kinds(found) == ["layer_norm_jumped"]
    assert "layer 1" in found.changes[0].text and list(found.changes[0].data["layers"]) == ["model.layers.1"]


def test_a_lost_optimiser_state_is_told_within_and_between_attempts() -> None:
    model, fingerprint = llama(), ModelFingerprint(every=1)
    seen = train(model, fingerprint, 10)
    data = {**seen[0].data, **seen[-1].data}
    fresh = torch.optim.AdamW(model.parameters())
    assert kinds(look(fingerprint, model, 11, fresh)) == ["optimizer_state_lost"]
    assert kinds(look(ModelFingerprint(data), model, 11, fresh)) == ["optimizer_state_lost"]
    assert kinds(look(ModelFingerprint(data), model, 1, fresh)) == []  # started over: nothing was lost


def test_weights_that_are_no_number_are_told_once() -> None:
    model, fingerprint = llama(), ModelFingerprint(every=1)
    look(fingerprint, model, 1)
    with torch.no_grad():
        model.model.norm.weight.fill_(float("nan"))
    assert kinds(look(fingerprint, model, 2)) == ["layer_norm_not_finite"]
    assert kinds(look(fingerprint, model, 3)) == []


def test_meta_tensors_wrappers_and_half_precision_do_not_disturb() -> None:
    with torch.device("meta"):
        empty = torch.nn.Linear(4, 4)
    found = look(ModelFingerprint(), empty, 1)
    assert found.data["layers"] == {} and found.metrics["foreshock/model/parameters"] == 20
    found = look(ModelFingerprint(), copy.deepcopy(llama()).to(torch.bfloat16), 1)
    assert found.data["layers"]["model.norm"] == pytest.approx(4.0)
    found = look(ModelFingerprint(), torch.nn.DataParallel(torch.nn.Linear(4, 4)), 1)
    assert list(found.data["sizes"]) == ["weight", "bias"]
