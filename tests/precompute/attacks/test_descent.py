"""The attack: closed forms on a linear model, its ball, torchattacks, and accuracy under it."""

import itertools
import math
from collections.abc import Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from shapebias.core.errors import UsageError
from shapebias.precompute.attacks.attack import Attack
from shapebias.precompute.attacks.descent import Normalised, attack_images, project, robust_accuracy
from shapebias.precompute.device import BF16, CPU, Device


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """Tiny tensors on a busy machine: threads would wait for one another."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class LinearMargin(nn.Module):
    """Two classes: the score of class 1 is <w, x>, that of class 0 is 0."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)

    def forward(self, images: Tensor) -> Tensor:
        score = (images * self.weight).sum((1, 2, 3))
        return torch.stack([torch.zeros_like(score), score], 1)


def small_network(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    body = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.5))
    return nn.Sequential(body, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(32, 3))


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("norm", ["l2", "linf"])
@pytest.mark.parametrize("random_start", [False, True])
def test_the_worst_change_of_a_linear_model_is_found(norm: str, random_start: bool) -> None:
    weight = torch.randn(3, 8, 8, generator=torch.Generator().manual_seed(1))
    images = 0.5 + 0.1 * (random(4, 3, 8, 8) - 0.5)  # far from 0 and 1
    labels = torch.tensor([0, 1, 0, 1])
    epsilon = 0.3
    worst = weight / weight.norm() if norm == "l2" else weight.sign()
    sign = torch.where(labels == 0, 1.0, -1.0)[:, None, None, None]
    generator = torch.Generator().manual_seed(3)
    attacked = attack_images(
        Attack(norm, epsilon, 60, 0.1, random_start=random_start), LinearMargin(weight), images, labels, generator
    )
    torch.testing.assert_close(attacked, images + sign * epsilon * worst, atol=2e-3, rtol=0)


def test_one_step_is_the_gradient_step() -> None:
    weight = torch.randn(3, 4, 4, generator=torch.Generator().manual_seed(1))
    images = torch.full((1, 3, 4, 4), 0.5)
    attacked = attack_images(
        Attack("l2", 1.0, 1, 0.25, random_start=False), LinearMargin(weight), images, torch.tensor([0])
    )
    torch.testing.assert_close(attacked, images + 0.25 * weight / weight.norm())


@given(
    norm=st.sampled_from(["l2", "linf"]),
    epsilon=st.floats(0, 20),
    step_size=st.floats(0, 20),
    random_start=st.booleans(),
    seed=st.integers(0, 1000),
    saturated=st.booleans(),
)
@settings(max_examples=30, deadline=None)
def test_it_never_leaves_the_ball_nor_the_range(
    norm: str, epsilon: float, step_size: float, random_start: bool, seed: int, saturated: bool
) -> None:
    images = random(3, 3, 6, 6, seed=seed)
    images = images.round() if saturated else images
    labels = torch.tensor([0, 1, 2])
    generator = torch.Generator().manual_seed(seed)
    attack = Attack(norm, epsilon, 2, step_size, random_start=random_start)
    attacked = attack_images(attack, small_network(seed), images, labels, generator)
    assert attacked.min() >= 0
    assert attacked.max() <= 1
    change = (attacked - images).flatten(1)
    lengths = change.norm(dim=1) if norm == "l2" else change.abs().amax(1)
    assert (lengths <= epsilon * (1 + 1e-5) + 1e-6).all()
    assert not attacked.requires_grad


@given(norm=st.sampled_from(["l2", "linf"]), epsilon=st.floats(1e-3, 10), scale=st.floats(1e-6, 1e6))
@settings(deadline=None)
def test_a_projection_is_nearest_and_keeps_what_is_inside(norm: str, epsilon: float, scale: float) -> None:
    change = (random(4, 3, 5, 5) - 0.5) * scale
    projected = project(change, norm, epsilon)
    torch.testing.assert_close(project(projected, norm, epsilon), projected, rtol=1e-5, atol=1e-6)
    lengths = change.flatten(1).norm(dim=1) if norm == "l2" else change.flatten(1).abs().amax(1)
    inside = lengths <= epsilon
    assert torch.equal(projected[inside], change[inside])
    if norm == "l2":  # along the ray to the centre
        cosine = torch.cosine_similarity(projected.flatten(1), change.flatten(1))
        torch.testing.assert_close(cosine, torch.ones(4), atol=1e-4, rtol=0)


def test_a_random_start_is_uniform_in_the_ball() -> None:
    images = torch.full((4000, 1, 1, 3), 0.5)
    zero = LinearMargin(torch.zeros(1, 1, 3))  # no gradient: nothing moves
    generator = torch.Generator().manual_seed(0)
    labels = torch.zeros(4000, dtype=torch.long)
    l2 = (attack_images(Attack("l2", 0.4, 1, 0.1), zero, images, labels, generator) - images).flatten(1).norm(dim=1)
    assert abs((l2 < 0.2).float().mean() - 1 / 8) < 0.02  # half the radius holds an eighth of a ball's volume
    linf = attack_images(Attack("linf", 0.4, 1, 0.1), zero, images, labels, generator) - images
    assert abs((linf.abs() < 0.2).float().mean() - 1 / 2) < 0.02


def test_the_network_is_left_as_it_was() -> None:
    network = small_network().train()
    network[0][1].eval()
    network[3].bias.requires_grad_(False)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    images, labels = random(4, 3, 8, 8), torch.zeros(4, dtype=torch.long)
    attack_images(Attack("l2", 1.0, 2, 0.5), network, images, labels)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert network.training
    assert not network[0][1].training
    assert network[0][3].training
    assert [name for name, parameter in network.named_parameters() if not parameter.requires_grad] == ["3.bias"]
    assert all(parameter.grad is None for parameter in network.parameters())


def test_the_generator_decides_the_start() -> None:
    images, labels = random(4, 3, 8, 8), torch.zeros(4, dtype=torch.long)
    last = images.to(memory_format=torch.channels_last)
    attack = Attack("l2", 1.0, 1, 0.0)
    runs = [
        attack_images(attack, small_network(), batch, labels, torch.Generator().manual_seed(seed))
        for batch, seed in ((images, 1), (last, 1), (images, 2))
    ]
    assert torch.equal(runs[0], runs[1])
    assert not torch.equal(runs[0], runs[2])


def test_normalised_is_the_network_on_normalised_images() -> None:
    network, images = small_network().eval(), random(2, 3, 8, 8)
    mean, std = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)
    expected = network((images - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None])
    torch.testing.assert_close(Normalised(network, mean, std)(images), expected)
    half = Normalised(network, mean, std, Device(CPU.device, BF16))(images)
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, expected, atol=0.05, rtol=0.05)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"epsilon": -1.0}, "epsilon must be at least 0"),
        ({"epsilon": float("nan")}, "epsilon"),
        ({"norm": "l1"}, "l2 or linf"),
        ({"steps": 0}, "at least 1 step"),
        ({"step_size": -0.1}, "step size"),
    ],
)
def test_values_that_make_no_sense(change: dict[str, object], said: str) -> None:
    facts: dict[str, object] = {"norm": "l2", "epsilon": 1.0, "steps": 2, "step_size": 0.5}
    with pytest.raises(UsageError, match=said):
        Attack(**facts | change)  # type: ignore[arg-type]


def test_the_usual_attacks_are_the_published_ones() -> None:
    paper = Attack.usual("l2", 224)
    assert (paper.epsilon, paper.steps, paper.step_size) == (3, 7, 0.5)
    assert Attack.usual("linf", 32, 8 / 255).step_size == pytest.approx(2 / 255)
    assert Attack.usual("l2", 64).epsilon == pytest.approx(3 * 64 / 224)


# --- accuracy under attack -------------------------------------------------------------------------------------------


def test_robust_accuracy_of_a_linear_model_is_its_margin() -> None:
    """An image of class 1 with score s survives l2 attacks of less than s / |w|."""
    weight = torch.randn(3, 8, 8, generator=torch.Generator().manual_seed(1))
    unit = weight / weight.norm()
    centre = torch.full((3, 8, 8), 0.5)
    centre = centre - (centre * unit).sum() * unit  # score 0
    margins = torch.tensor([-0.1, 0.05, 0.15, 0.25, 0.35])
    images = centre + margins[:, None, None, None] * unit
    batches = [(images[:2], torch.ones(2, dtype=torch.long)), (images[2:], torch.ones(3, dtype=torch.long))]
    attacks = [Attack.reaching("l2", epsilon, 30) for epsilon in (0.3, 0.0, 0.1, 0.2)]
    robust = robust_accuracy(LinearMargin(weight), batches, attacks)
    assert robust == pytest.approx([0.2, 0.8, 0.6, 0.4])
    assert math.isnan(robust_accuracy(LinearMargin(weight), [], attacks[:1])[0])


@pytest.fixture(scope="module")
def learned() -> tuple[nn.Module, Tensor, Tensor]:
    """A small network that tells the direction of noisy stripes."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(150) % 3
    wave = torch.sin(torch.arange(16) * 1.6)
    patterns = torch.stack([wave.expand(16, 16), wave[:, None].expand(16, 16), torch.zeros(16, 16)])
    images = 0.5 + 0.15 * patterns[labels][:, None] + 0.1 * torch.randn(150, 3, 16, 16, generator=generator)
    images = images.clamp(0, 1)
    network = small_network()
    network[0][3].p = 0
    optimizer = torch.optim.Adam(network.parameters(), 0.03)
    for _ in range(40):
        loss = nn.functional.cross_entropy(network(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return network.eval(), images, labels


def test_accuracies_never_rise_with_epsilon(learned: tuple[nn.Module, Tensor, Tensor]) -> None:
    network, images, labels = learned
    attacks = [Attack.reaching("linf", epsilon, 7) for epsilon in (0, 0.01, 0.03, 0.1)]
    robust = robust_accuracy(network, [(images, labels)], attacks)
    assert robust[0] > 0.6
    assert all(a >= b for a, b in itertools.pairwise(robust))
    assert robust[-1] < robust[0]


@pytest.mark.parametrize(("norm", "epsilon"), [("l2", 0.4), ("l2", 0.8), ("linf", 0.02), ("linf", 0.04)])
def test_it_is_as_strong_as_torchattacks(learned: tuple[nn.Module, Tensor, Tensor], norm: str, epsilon: float) -> None:
    torchattacks = pytest.importorskip("torchattacks")
    network, images, labels = learned
    step = epsilon / 4
    if norm == "l2":
        other = torchattacks.PGDL2(network, eps=epsilon, alpha=step, steps=10, random_start=True)
    else:
        other = torchattacks.PGD(network, eps=epsilon, alpha=step, steps=10, random_start=True)
    torch.manual_seed(0)
    theirs = (network(other(images, labels)).argmax(1) == labels).float().mean().item()
    generator = torch.Generator().manual_seed(0)
    ours = robust_accuracy(network, [(images, labels)], [Attack(norm, epsilon, 10, step)], generator)[0]
    assert ours == pytest.approx(theirs, abs=0.02)
