"""Learning rates rise and fall as said, and each parameter has one optimiser."""

from __future__ import annotations

from typing import Literal

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.toy import tiny_model
from translator.config import TrainConfig
from translator.optimization import apply_gradients, build_optimizers, move_average, rate_factor, set_rate

SCHEDULES: tuple[Literal["linear", "cosine", "inverse_sqrt"], ...] = ("linear", "cosine", "inverse_sqrt")
schedules = st.sampled_from(SCHEDULES)
warmups = st.floats(0.002, 0.9)


@given(schedules, warmups)
def test_ends_of_the_schedule(schedule: Literal["linear", "cosine", "inverse_sqrt"], warmup: float) -> None:
    config = TrainConfig(warmup=warmup, schedule=schedule)
    assert rate_factor(0.0, config) == 0.0
    assert rate_factor(warmup, config) == pytest.approx(1.0)
    assert rate_factor(warmup / 2, config) == pytest.approx(0.5)
    last = rate_factor(1.0, config)
    assert last == pytest.approx(0.0, abs=1e-9) if schedule != "inverse_sqrt" else 0 < last < 1
    assert rate_factor(1.5, config) <= last  # a budget may be overstepped a little


@given(schedules, warmups, st.floats(0, 1), st.floats(0, 1))
def test_the_rate_climbs_to_its_peak_and_falls_without_a_jump(
    schedule: Literal["linear", "cosine", "inverse_sqrt"], warmup: float, a: float, b: float
) -> None:
    config = TrainConfig(warmup=warmup, schedule=schedule)
    a, b = sorted((a, b))
    at_a, at_b = rate_factor(a, config), rate_factor(b, config)
    assert 0 <= at_a <= 1 and 0 <= at_b <= 1
    if b <= warmup:
        assert at_a <= at_b + 1e-9
    if a >= warmup:
        assert at_a >= at_b - 1e-9
    for point in (a, b, warmup):
        step = 1e-9
        assert abs(rate_factor(point + step, config) - rate_factor(point, config)) < 1e-5


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_no_warm_up_begins_at_the_peak(schedule: Literal["linear", "cosine", "inverse_sqrt"]) -> None:
    assert rate_factor(0.0, TrainConfig(warmup=0.0, schedule=schedule)) == pytest.approx(1.0)


@pytest.mark.parametrize("kind", ["adamw", "muon"])
@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("faster", [True, False])
def test_each_parameter_has_one_place(kind: Literal["adamw", "muon"], tied: bool, faster: bool) -> None:
    model = tiny_model(tie_embeddings=tied)
    config = TrainConfig(
        optimizer=kind, weight_decay=0.1, learning_rate=0.5, muon_learning_rate=0.25,
        embedding_learning_rate=0.75 if faster else 0,
    )  # fmt: skip
    optimizers = build_optimizers(model, config)
    placed = [id(p) for o in optimizers for group in o.param_groups for p in group["params"]]
    assert sorted(placed) == sorted(id(p) for p in model.parameters())

    for optimizer in optimizers:
        for group in optimizer.param_groups:
            vectors = [p.ndim < 2 for p in group["params"]]
            assert all(vectors) or not any(vectors)
            assert group["weight_decay"] == (0.0 if any(vectors) else 0.1)

    peaks = {id(p): group["peak"] for o in optimizers for group in o.param_groups for p in group["params"]}
    for name, p in model.named_parameters():
        if "embedding" in name or name == "output.weight":
            assert peaks[id(p)] == (0.75 if faster else 0.5), name
        else:
            assert peaks[id(p)] == (0.25 if kind == "muon" and p.ndim == 2 else 0.5), name

    in_muon = {
        id(p) for o in optimizers if isinstance(o, torch.optim.Muon) for g in o.param_groups for p in g["params"]
    }
    matrices = {
        id(p) for n, p in model.named_parameters() if n.startswith(("encoder.", "decoder.")) and p.ndim == 2
    }
    assert in_muon == (matrices if kind == "muon" else set())

    set_rate(optimizers, 0.5)
    assert {g["lr"] / g["peak"] for o in optimizers for g in o.param_groups} == {0.5}
    set_rate(optimizers, 1.0)
    assert {g["lr"] / g["peak"] for o in optimizers for g in o.param_groups} == {1.0}


@pytest.mark.parametrize("kind", ["adamw", "muon"])
def test_a_step_moves_every_parameter_and_finds_lower_ground(kind: Literal["adamw", "muon"]) -> None:
    model = tiny_model()
    optimizers = build_optimizers(model, TrainConfig(optimizer=kind, learning_rate=1e-3, muon_learning_rate=1e-3))
    source, target = torch.tensor([[5, 6, 3]]), torch.tensor([[2, 7, 8]])
    before = [p.detach().clone() for p in model.parameters()]
    losses = []
    for _ in range(5):
        loss = torch.nn.functional.cross_entropy(model(source, target)[0], torch.tensor([7, 8, 3]))
        losses.append(loss.item())
        loss.backward()  # type: ignore[no-untyped-call]
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
    assert losses[-1] < losses[0]
    still = [n for (n, p), b in zip(model.named_parameters(), before, strict=True) if torch.equal(p, b)]
    assert all("key.bias" in name for name in still), still  # softmax does not feel a key's bias


@pytest.mark.parametrize("kind", ["adamw", "muon"])
def test_gradients_that_are_no_numbers_change_nothing(kind: Literal["adamw", "muon"]) -> None:
    """Neither weights nor what the optimisers remember: the steps after are as if the bad one had not been."""
    models = [tiny_model(), tiny_model()]
    runs = [build_optimizers(model, TrainConfig(optimizer=kind)) for model in models]
    for step in range(4):
        for bad in (False, True) if step == 2 else (False,):
            for model, optimizers in zip(models, runs, strict=True):
                torch.manual_seed(step)
                for parameter in model.parameters():
                    parameter.grad = torch.randn_like(parameter)
                if bad and model is models[0]:
                    continue
                if bad:
                    next(model.parameters()).grad[0] = torch.nan  # type: ignore[index]
                apply_gradients(optimizers, torch.tensor(not bad))
                assert all(parameter.grad is None for parameter in model.parameters())
    torch.testing.assert_close(models[0].state_dict(), models[1].state_dict(), rtol=0, atol=0)


def test_a_moving_average_forgets_where_it_began() -> None:
    average, model = tiny_model(seed=1), tiny_model(seed=2)
    start = average.output.weight.clone()
    move_average(average, model, decay=0.75, step=1000)
    torch.testing.assert_close(average.output.weight, 0.75 * start + 0.25 * model.output.weight)
    for step in range(200):
        move_average(average, model, decay=0.75, step=step)
    torch.testing.assert_close(average.state_dict(), model.state_dict())
    assert average.output.weight is average.target_embedding.tokens.weight
