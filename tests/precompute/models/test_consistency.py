"""Networks that are no function of each image: random ones, ones that depend on the batch, ones that give NaN."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from shapebias.precompute.models.consistency import consistency_notes, damaged_weights, forward_alone


class TwoConvolutions(nn.Module):
    """Two convolutions with a function between them; `last` changes the scores."""

    def __init__(
        self, between: Callable[[Tensor], Tensor], last: Callable[[Tensor], Any] = lambda scores: scores
    ) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv1, self.conv2, self.head = nn.Conv2d(3, 8, 3, 2), nn.Conv2d(8, 12, 3, 2), nn.Linear(12, 10)
        self.norm = nn.BatchNorm2d(12, track_running_stats=False)
        self.between, self.last = between, last

    def forward(self, x: Tensor) -> Any:
        maps = functional.relu(self.conv2(self.between(functional.relu(self.conv1(x)))))
        return self.last(self.head(maps.mean((2, 3))))


def notes_of(network: nn.Module) -> list[str]:
    """Return what is said of a network, as a run asks it."""
    network.eval()
    torch.manual_seed(1)
    images = torch.stack([torch.rand(3, 32, 32) * 0.5, torch.rand(3, 32, 32) * 0.5 + 0.5])
    with torch.inference_mode():
        result = network(images)
    return consistency_notes(network, images, result, forward_alone(network, images[:1], result))


@pytest.mark.parametrize(
    "between",
    [lambda x: x, lambda x: functional.dropout(x, 0.5, training=False), lambda x: x / x.amax((1, 2, 3), True)],
)
def test_a_network_that_treats_images_alone_gets_no_note(between: Callable[[Tensor], Tensor]) -> None:
    assert notes_of(TwoConvolutions(between)) == []


@pytest.mark.parametrize(
    ("between", "where"),
    [
        (lambda x: functional.dropout(x, 0.5), "from dropout on"),
        (lambda x: functional.dropout2d(x, 0.5), "from feature_dropout on"),
        (lambda x: x + torch.rand_like(x), "from rand_like on"),
        (lambda x: x + torch.randn(x.shape[1:]), "from add on"),
        (lambda x: x * torch.bernoulli(torch.full_like(x, 0.5)), "from bernoulli on"),
    ],
)
def test_a_random_network_is_named_with_the_module(between: Callable[[Tensor], Tensor], where: str) -> None:
    (note,) = notes_of(TwoConvolutions(between))
    assert note.startswith("its outputs are random")
    assert where in note


@pytest.mark.parametrize(
    ("between", "where"),
    [
        (lambda x: functional.batch_norm(x, None, None, training=True), "from batch_norm on"),
        (lambda x: x - x.mean(0, keepdim=True), "from sub on"),
        (lambda x: x / x.max(), "from div on"),
        (lambda x: x + x.flip(0), "from flip on"),
    ],
)
def test_a_network_that_mixes_images_is_named_with_the_module(between: Callable[[Tensor], Tensor], where: str) -> None:
    (note,) = notes_of(TwoConvolutions(between))
    assert note.startswith("its outputs for an image depend on the other images of the batch")
    assert where in note


def test_norms_that_stay_in_training_are_found_in_their_module() -> None:
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8, track_running_stats=False), nn.Flatten(), nn.LazyLinear(3)
    )
    network(torch.rand(2, 3, 32, 32))
    (note,) = notes_of(network)
    assert "from batch_norm in 1 on" in note


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_damaged_weights_are_named(value: float) -> None:
    network = TwoConvolutions(lambda x: x)
    network.conv2.weight.data[3, 2, 1, 1] = value
    assert damaged_weights(network) == ["1 (conv2.weight …) of its weights hold NaN or infinite values"]
    if value != value:
        assert notes_of(network) == ["its outputs hold NaN, from conv2d in conv2 on"]


def test_nan_that_a_forward_makes_is_found_where_it_arises() -> None:
    assert notes_of(TwoConvolutions(lambda x: torch.log(x - 1e6))) == ["its outputs hold NaN, from log on"]
    assert notes_of(TwoConvolutions(lambda x: x, lambda scores: (scores - 1e6).sqrt())) == [
        "its outputs hold NaN, from sqrt on"
    ]


def test_every_output_is_looked_at() -> None:
    (note,) = notes_of(
        TwoConvolutions(lambda x: x, lambda scores: {"logits": scores, "noise": scores + torch.rand(10)})
    )
    assert "random" in note


def test_a_network_that_takes_no_single_image_is_compared_in_twos() -> None:
    class Strict(TwoConvolutions):
        def forward(self, x: Tensor) -> Any:
            if len(x) == 1:
                raise ValueError("a batch, please")
            return super().forward(x)

    assert notes_of(Strict(lambda x: x)) == []
    (note,) = notes_of(Strict(lambda x: functional.dropout(x, 0.5)))
    assert "random" in note
    (note,) = notes_of(Strict(lambda x: x / x.max()))
    assert "depend on the other images" in note


@pytest.mark.parametrize(("last", "takes"), [(torch.squeeze, False), (torch.clone, True), (lambda x: x[:, None], True)])
def test_what_a_network_returns_for_one_image_must_have_an_axis_of_images(
    last: Callable[[Tensor], Tensor], takes: bool
) -> None:
    network = TwoConvolutions(lambda x: x, last).eval()
    with torch.inference_mode():
        result = network(torch.rand(2, 3, 32, 32))
    assert (forward_alone(network, torch.rand(1, 3, 32, 32), result) is not None) is takes
