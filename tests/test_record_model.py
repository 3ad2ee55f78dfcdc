"""What the model fingerprint tells of real modules, and that it neither disturbs nor cries wolf."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable
from typing import Any

import pytest

from foreshock.record._optimizer import memory
from foreshock.record._weights import SAMPLE, look, parts_of
from foreshock.record.evidence import Evidence
from foreshock.record.model import ModelFingerprint

torch = pytest.importorskip("torch")
Fault = Callable[[Any, dict[str, Any]], object]


def llama(**changes: Any) -> Any:
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    return transformers.LlamaForCausalLM(
        transformers.LlamaConfig(
            **{
                "vocab_size": 50, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 3,
                "num_attention_heads": 2, "num_key_value_heads": 2, "max_position_embeddings": 64,
                "tie_word_embeddings": True, **changes,
            }
        )
    )  # fmt: skip


def seen(fingerprint: ModelFingerprint, model: Any, step: int, optimizer: Any = None) -> Evidence:
    found = fingerprint.step(model, step, optimizer)
    assert found is not None
    return found


def kinds(found: Evidence) -> list[str]:
    return [change.kind for change in found.changes]


def train(
    model: Any,
    fingerprint: ModelFingerprint | None,
    steps: int,
    lr: float = 1e-3,
    *,
    make: Callable[..., Any] = torch.optim.AdamW,
    rate: Callable[[int], float] = lambda step: 1.0,
    fault: Fault | None = None,
    at: int = 0,
    first: int = 1,
) -> list[Evidence]:
    """A short real training: the next of the numbers modulo 50, counted in steps of one to three."""
    generator = torch.Generator().manual_seed(first)
    start = copy.deepcopy(model.state_dict())
    optimizer = make([p for p in model.parameters() if p.requires_grad], lr=lr)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
    found = []
    for step in range(first, first + steps):
        begin, by = (torch.randint(low, high, (8, 1), generator=generator) for low, high in ((0, 50), (1, 4)))
        tokens = (begin + by * torch.arange(12)) % 50
        model(input_ids=tokens, labels=tokens).loss.backward()
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        if fault and step == at:
            with torch.no_grad():
                fault(model, start)
        evidence = fingerprint.step(model, step, optimizer) if fingerprint else None
        found += [evidence] if evidence is not None else []
    return found


def told(found: list[Evidence]) -> list[str]:
    return [kind for each in found for kind in kinds(each)]


def merged(found: list[Evidence]) -> dict[str, Any]:
    """What the recorder knows after a crash: all lines together, through JSON."""
    data: dict[str, Any] = {}
    for each in found:
        data |= each.data
    return dict(json.loads(json.dumps(data)))


def test_counts_norms_and_types_of_a_real_model() -> None:
    model = llama()
    found = seen(ModelFingerprint(), model, 0)
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
    assert found.data["modules"]["Linear"] == 3 * 7 + 1
    assert found.changes == ()


def test_it_looks_every_few_steps_and_repeats_only_what_changed() -> None:
    model = llama()
    fingerprint = ModelFingerprint(every=5)
    found = [fingerprint.step(model, step) for step in range(1, 13)]
    assert [each is not None for each in found] == [step in (1, 5, 10) for step in range(1, 13)]
    assert found[4] is not None and set(found[4].data) == {"at", "layers", "optimizer", "points"}
    assert len(json.dumps(dict(found[4].data))) < 2000


def test_a_zeroed_layer_is_named_with_its_step() -> None:
    model = llama()
    fingerprint = ModelFingerprint(every=1)
    seen(fingerprint, model, 59)
    with torch.no_grad():
        for parameter in model.model.layers[2].parameters():
            parameter.zero_()
    found = seen(fingerprint, model, 60)
    assert kinds(found) == ["layer_norm_zero"]
    assert found.changes[0].text.startswith("The norm of layer 2 fell to 0 at step 60; it was ")
    assert found.changes[0].data["steps"] == 1  # since the look before
    assert kinds(seen(fingerprint, model, 61)) == []


def test_a_zeroed_part_of_a_layer_is_named() -> None:
    model, fingerprint = llama(), ModelFingerprint(every=1)
    seen(fingerprint, model, 1)
    with torch.no_grad():
        model.model.layers[0].mlp.up_proj.weight.zero_()
    found = seen(fingerprint, model, 2)
    assert kinds(found) == ["layer_norm_zero"]
    assert found.changes[0].text == "The norm of model.layers.0.mlp.up_proj.weight fell to 0 at step 2."


def test_a_layer_zeroed_between_two_attempts_is_named() -> None:
    model = llama()
    before = merged([seen(ModelFingerprint(), model, 7)])
    with torch.no_grad():
        for parameter in model.model.layers[0].parameters():
            parameter.zero_()
    assert kinds(seen(ModelFingerprint(before), model, 8)) == ["layer_norm_zero"]


def test_a_removed_layer_changes_the_structure() -> None:
    model = llama()
    fingerprint = ModelFingerprint(every=1)
    seen(fingerprint, model, 1)
    del model.model.layers[2]
    found = seen(fingerprint, model, 2)
    assert kinds(found) == ["model_structure_changed"]
    assert "without layer 2" in found.changes[0].text
    model.model.layers[1].mlp.act_fn = torch.nn.ReLU()
    found = seen(fingerprint, model, 3)
    assert kinds(found) == ["model_structure_changed"]
    assert "ReLU 0 to 1" in found.changes[0].text
    assert kinds(seen(fingerprint, model, 4)) == []


@pytest.mark.parametrize("between", [False, True])
def test_frozen_parts_and_types(between: bool) -> None:
    model = llama()
    first = ModelFingerprint(every=1)
    before = seen(first, model, 1)
    second = ModelFingerprint(before.data, every=1) if between else first
    for name, parameter in model.named_parameters():
        parameter.requires_grad = "layers.0" in name
    found = seen(second, model, 2)
    assert kinds(found) == ["trainable_share_changed"]
    assert "100.0%" in found.changes[0].text
    found = seen(second, model.to(torch.bfloat16), 3)
    assert kinds(found) == ["dtype_changed"]
    assert "100% bfloat16, were 100% float32" in found.changes[0].text


ADAMW, SGD = torch.optim.AdamW, lambda p, lr: torch.optim.SGD(p, lr=100 * lr, momentum=0.9)
HEALTHY = {
    "warm-up and cosine": lambda step: min(step / 20, 1) * (0.5 + 0.5 * math.cos(math.pi * step / 60)),
    "restarts": lambda step: 0.5 + 0.5 * math.cos(math.pi * (step % 20) / 20),
    "raised a hundredfold": lambda step: 0.01 if step < 30 else 1.0,
    "zero at first": lambda step: 0.0 if step < 30 else 1.0,
}


@pytest.mark.parametrize("schedule", HEALTHY)
@pytest.mark.parametrize("lr", [1e-5, 1e-3, 1e-2])
@pytest.mark.parametrize("make", [ADAMW, SGD], ids=["adamw", "sgd"])
def test_a_healthy_training_raises_nothing(schedule: str, lr: float, make: Callable[..., Any]) -> None:
    if make is SGD and lr == 1e-2:
        pytest.skip("diverges")
    found = train(llama(), ModelFingerprint(every=2), 60, lr, make=make, rate=HEALTHY[schedule])
    assert told(found) == []
    assert found[-1].metrics["foreshock/optimizer/state_norm"] > 0
    if make is ADAMW:
        assert found[-1].data["optimizer"]["steps"] == 60


def test_a_healthy_training_in_half_precision_raises_nothing() -> None:
    for lr in (1e-6, 1e-4):
        assert told(train(llama().to(torch.bfloat16), ModelFingerprint(every=2), 60, lr)) == []


@pytest.mark.parametrize("optimizer", [True, False], ids=["with optimiser", "without"])
def test_looking_changes_nothing_in_the_training(optimizer: bool) -> None:
    watched, alone = llama(attention_dropout=0.1), llama(attention_dropout=0.1)
    torch.manual_seed(5)
    fingerprint = ModelFingerprint(every=1)
    train(watched, fingerprint, 15, fault=None if optimizer else lambda m, s: fingerprint.step(m, 99))
    random_after = torch.rand(3)
    torch.manual_seed(5)
    train(alone, None, 15)
    assert torch.equal(torch.rand(3), random_after)
    for a, b in zip(watched.parameters(), alone.parameters(), strict=True):
        assert torch.equal(a, b) and a._version == b._version


def noise(share: float, layer: int | None = None) -> Fault:
    def fault(model: Any, start: dict[str, Any]) -> None:
        generator = torch.Generator().manual_seed(3)
        for parameter in (model if layer is None else model.model.layers[layer]).parameters():
            if parameter.dim() == 2:
                parameter.add_(torch.randn(parameter.shape, generator=generator) * share * parameter.std())

    return fault


def prune(model: Any, start: dict[str, Any]) -> None:
    for parameter in model.model.layers[1].parameters():
        parameter[torch.rand(parameter.shape, generator=torch.Generator().manual_seed(3)) < 0.3] = 0


def swap(model: Any, start: dict[str, Any]) -> None:
    one, other = (copy.deepcopy(model.model.layers[i].state_dict()) for i in (0, 2))
    model.model.layers[0].load_state_dict(other)
    model.model.layers[2].load_state_dict(one)


@pytest.mark.parametrize("lr", [1e-6, 1e-4])
@pytest.mark.parametrize(
    ("fault", "layers"),
    [
        (noise(0.3, layer=1), ["model.layers.1"]),
        (prune, ["model.layers.1"]),
        (swap, ["model.layers.0", "model.layers.2"]),
    ],
    ids=["noise", "pruned", "swapped"],
)
def test_weights_that_no_training_step_moves_so_far(fault: Fault, layers: list[str], lr: float) -> None:
    """The fault comes three steps before the look, so the training goes on over it."""
    found = train(llama(), ModelFingerprint(every=5), 50, lr, fault=fault, at=37)
    assert told(found) == ["weights_jumped"]
    (change,) = found[8].changes
    assert sorted(change.data["layers"]) == layers
    assert change.data["steps"] == 5
    assert "by step 40" in change.text


def test_noise_on_all_weights_is_one_event() -> None:
    found = train(llama(), ModelFingerprint(every=5), 50, 1e-5, fault=noise(0.2), at=37)
    (change,) = [change for each in found for change in each.changes]
    assert change.kind == "weights_jumped" and change.data["jumped"] == 4 and change.data["of"] == 5


@pytest.mark.parametrize("lr", [1e-5, 1e-3])
def test_weights_of_the_start_are_recognised(lr: float) -> None:
    found = train(llama(), ModelFingerprint(every=5), 70, lr, fault=lambda m, s: m.load_state_dict(s), at=53)
    assert told(found) == ["weights_restored"]
    assert "again at step 55: what was learnt by step 50 is undone" in found[11].changes[0].text


@pytest.mark.parametrize(
    ("resumes", "lr"),
    [
        *(
            (place, lr)
            for place in ("where it was", "from a checkpoint", "from the start")
            for lr in (1e-5, 1e-3)
        ),
        ("elsewhere", 1e-5),  # with 1e-3 the training itself has moved as far as that
    ],
)
def test_the_weights_of_a_resumed_training(resumes: str, lr: float) -> None:
    model = llama()
    start = copy.deepcopy(model)
    found = train(model, ModelFingerprint(every=5), 30, lr)
    saved = copy.deepcopy(model)
    fingerprint = ModelFingerprint(merged(found), every=5)
    later = train(model, fingerprint, 30, lr, first=31)
    assert told(later[1:]) == []
    assert told(later[:1]) == ["optimizer_state_lost"]  # this training makes a new one
    before = merged([*found, *later])
    torch.manual_seed(7)
    weights, step = {
        "where it was": (model, 61),
        "from a checkpoint": (saved, 31),
        "from the start": (start, 61),
        "elsewhere": (start.__class__(start.config), 61),
    }[resumes]
    expected = {"from the start": ["weights_restored"], "elsewhere": ["weights_replaced"]}.get(resumes, [])
    assert kinds(seen(ModelFingerprint(before, every=5), weights, step)) == expected


def test_a_run_that_starts_over_in_its_folder_is_not_told() -> None:
    model = llama()
    start = copy.deepcopy(model)
    before = merged(train(model, ModelFingerprint(every=5), 40))
    assert told(train(start, ModelFingerprint(before, every=5), 10)) == []


def test_a_lost_optimiser_state_is_told_within_and_between_attempts() -> None:
    model, fingerprint = llama(), ModelFingerprint(every=1)
    data = merged(train(model, fingerprint, 10))
    fresh = torch.optim.AdamW(model.parameters())
    assert kinds(seen(fingerprint, model, 11, fresh)) == ["optimizer_state_lost"]
    assert kinds(seen(ModelFingerprint(data), model, 11, fresh)) == ["optimizer_state_lost"]
    assert kinds(seen(ModelFingerprint(data), model, 1, fresh)) == []  # started over: nothing was lost
    other = torch.optim.SGD(model.parameters(), lr=1e-3)
    assert kinds(seen(ModelFingerprint(data), model, 11, other)) == ["optimizer_changed"]


def test_a_state_lost_long_before_the_look_is_told_by_its_counter() -> None:
    def lose(model: Any, start: dict[str, Any]) -> None:
        optimizer.state.clear()

    model = llama()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    found = train(model, ModelFingerprint(every=10), 60, make=lambda *_, **__: optimizer, fault=lose, at=42)
    assert told(found) == ["optimizer_state_lost"]
    assert "it has taken 8 steps, had taken 40" in found[5].changes[0].text


def test_a_counter_that_goes_back_with_its_checkpoint_is_no_loss() -> None:
    model = llama()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    early: list[Any] = []

    def save(model: Any, start: dict[str, Any]) -> None:
        early.append(copy.deepcopy(optimizer.state_dict()))

    found = train(model, ModelFingerprint(every=10), 60, make=lambda *_, **__: optimizer, fault=save, at=30)
    optimizer.load_state_dict(early[0])
    assert kinds(seen(ModelFingerprint(merged(found)), model, 30, optimizer)) == []


def test_weights_that_are_no_number_are_told_once() -> None:
    model, fingerprint = llama(), ModelFingerprint(every=1)
    seen(fingerprint, model, 1)
    with torch.no_grad():
        model.model.norm.weight.fill_(float("nan"))
    found = seen(fingerprint, model, 2)
    assert kinds(found) == ["layer_norm_not_finite"]
    assert math.isnan(found.metrics["foreshock/model/norm"])
    assert kinds(seen(fingerprint, model, 3)) == []


class Adapted(torch.nn.Module):  # type: ignore[misc, name-defined]
    """A frozen linear layer with a trained low-rank one beside it, as PEFT makes them."""

    def __init__(self, base: Any) -> None:
        super().__init__()
        self.base_layer = base.requires_grad_(False)
        self.lora_A = torch.nn.Linear(base.in_features, 2, bias=False)
        self.lora_B = torch.nn.Linear(2, base.out_features, bias=False)
        torch.nn.init.zeros_(self.lora_B.weight)

    def forward(self, x: Any) -> Any:
        """The sum of both."""
        return self.base_layer(x) + self.lora_B(self.lora_A(x))


def with_adapters() -> Any:
    model = llama().requires_grad_(False)
    for layer in model.model.layers:
        layer.mlp.up_proj = Adapted(layer.mlp.up_proj)
    return model


def test_adapters_are_told_apart_from_the_frozen_weights_beside_them() -> None:
    def reset(model: Any, start: dict[str, Any]) -> None:
        model.model.layers[1].mlp.up_proj.lora_A.reset_parameters()

    def requantise(model: Any, start: dict[str, Any]) -> None:
        model.model.layers[1].mlp.up_proj.base_layer.weight.mul_(1.5)

    model = with_adapters()
    assert told(train(model, ModelFingerprint(every=5), 50, 1e-3)) == []
    found = train(with_adapters(), ModelFingerprint(every=5), 50, 1e-3, fault=reset, at=38)
    assert told(found) == ["weights_jumped"]
    assert list(found[8].changes[0].data["layers"]) == ["model.layers.1"]
    assert found[0].metrics["foreshock/model/trainable_share"] < 0.1
    found = train(with_adapters(), ModelFingerprint(every=5), 50, 1e-3, fault=requantise, at=38)
    assert told(found) == ["weights_jumped"]
    assert "the frozen part of layer 1 jumped" in found[8].changes[0].text
    assert "and had not moved before" in found[8].changes[0].text


def test_wrappers_and_tied_weights_change_nothing() -> None:
    model = llama()
    plain = seen(ModelFingerprint(), model, 1).data
    assert seen(ModelFingerprint(), torch.nn.DataParallel(model), 1).data["structure"] == plain["structure"]
    names = [part.name for part in parts_of(model)]
    assert "lm_head.weight" not in names and len(set(names)) == len(names)
    assert plain["parameters"] == sum(p.numel() for p in set(model.parameters()))


def test_parameters_that_are_not_here_are_counted_but_not_looked_at() -> None:
    with torch.device("meta"):
        empty = torch.nn.Linear(4, 4)
    found = seen(ModelFingerprint(), empty, 1)
    assert found.data["layers"] == {} and found.metrics["foreshock/model/parameters"] == 20
    assert list(found.data["sizes"]) == ["weight", "bias"]
    partitioned = torch.nn.Linear(4, 4)  # as ZeRO-3 leaves it
    for parameter in partitioned.parameters():
        parameter.ds_shape, parameter.data = parameter.shape, torch.empty(0)
    found = seen(ModelFingerprint(), partitioned, 1)
    assert found.metrics["foreshock/model/parameters"] == 20 and "foreshock/model/norm" not in found.metrics
    quantised = torch.nn.Linear(4, 4, bias=False)
    quantised.weight = torch.nn.Parameter(torch.zeros(4, 4, dtype=torch.uint8), requires_grad=False)
    assert seen(ModelFingerprint(), quantised, 1).data["layers"] == {}


def test_of_a_sharded_parameter_the_part_that_is_here_is_looked_at() -> None:
    distributed = pytest.importorskip("torch.distributed")
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor import Shard, distribute_tensor

    distributed.init_process_group("gloo", store=distributed.HashStore(), rank=0, world_size=1)
    try:
        mesh = init_device_mesh("cpu", (1,))
        model = torch.nn.Linear(8, 4, bias=False)
        expected = model.weight.norm().item()
        model.weight = torch.nn.Parameter(distribute_tensor(model.weight.detach(), mesh, [Shard(0)]))
        optimizer = torch.optim.AdamW(model.parameters())
        model.weight.sum().backward()
        optimizer.step()
        found = seen(ModelFingerprint(), model, 1, optimizer)
    finally:
        distributed.destroy_process_group()
    assert found.metrics["foreshock/model/norm"] == pytest.approx(expected, rel=0.01)
    assert found.metrics["foreshock/optimizer/state_norm"] > 0


def test_other_shards_after_a_resume_are_not_compared() -> None:
    model = torch.nn.Linear(8, 4)
    before = merged([seen(ModelFingerprint(), model, 5)])
    shard = torch.nn.Linear(8, 4)
    for parameter in shard.parameters():  # half of it is here, and it happens to be 0
        parameter.ds_shape, parameter.data = parameter.shape, torch.zeros(parameter.numel() // 2)
    assert kinds(seen(ModelFingerprint(before), shard, 6)) == []


def test_layouts_that_are_not_contiguous_and_scalars() -> None:
    model = torch.nn.Module()
    model.a = torch.nn.Parameter(torch.arange(600.0).reshape(20, 30).t())
    model.b = torch.nn.Parameter(torch.tensor(3.0))
    model.c = torch.nn.Parameter(torch.arange(1000.0, dtype=torch.float64))
    found = look(parts_of(model))
    assert found.norms == pytest.approx([p.detach().norm().item() for p in model.parameters()], rel=1e-5)
    assert found.lengths == [20, 1, pytest.approx(SAMPLE, abs=5)]
    first, scalar, last = found.samples.split(found.lengths)
    assert first.tolist() == model.a[0].tolist() and scalar.tolist() == [3.0]
    assert set(last.tolist()) <= set(range(1000))


def test_optimisers_of_many_kinds() -> None:
    model = torch.nn.Linear(4, 4)
    for kind in (
        "SGD",
        "Adam",
        "AdamW",
        "RMSprop",
        "Adagrad",
        "Adadelta",
        "Adamax",
        "NAdam",
        "RAdam",
        "Rprop",
    ):
        optimizer = getattr(torch.optim, kind)(model.parameters(), lr=0.01)
        model(torch.ones(1, 4)).sum().backward()
        optimizer.step()
        fingerprint = ModelFingerprint(every=1)
        wrapped = type("Accelerated", (), {"optimizer": optimizer})()
        for step, one in ((1, optimizer), (2, wrapped)):
            found = seen(fingerprint, model, step, one)
            assert kinds(found) == [] and found.metrics["foreshock/optimizer/learning_rate"] == 0.01
            assert found.data["optimizer"]["class"] == kind


def test_how_far_adam_can_move_a_weight() -> None:
    """The bound holds for the worst gradients that we know: none for long, then all alike."""
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.Adam([weight], lr=1.0)
    farthest = 0.0
    for step in range(3000):
        before = weight.item()
        weight.grad = torch.tensor([1e-12 if step < 2900 else 2.0 ** (step - 2900) if step < 2920 else 1e6])
        optimizer.step()
        farthest = max(farthest, abs(weight.item() - before))
    reach = memory(optimizer).reach
    assert 1.5 < farthest <= reach == pytest.approx(7.27, abs=0.01)
    assert memory(torch.optim.SGD([weight], lr=1.0)).reach == math.inf
