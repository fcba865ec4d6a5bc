"""Properties of all methods: draws follow from seeds, constant scores are no evidence, errors are one line."""

import numpy as np
import pytest
import torch
from skimage.filters import sobel_h, sobel_v
from torch import Tensor

from tests.support.attribution import Linear, Plain, explained, pictures, subject_of


def test_controls_know_nothing_of_the_network() -> None:
    images = pictures(3, 9)
    for name in ("random", "center", "edges"):
        ours, others = (explained(subject_of(Linear(9, classes), 9), name, images).maps for classes in (4, 5))
        assert ours.shape == (3, 9, 9)
        torch.testing.assert_close(ours, others, rtol=0, atol=0)


def test_the_centre_is_1_and_corners_are_0() -> None:
    maps = explained(subject_of(Linear(9), 9), "center", pictures(1, 9)).maps[0]
    assert maps[4, 4] == 1
    torch.testing.assert_close(maps[[0, 0, 8, 8], [0, 8, 0, 8]], torch.zeros(4))
    torch.testing.assert_close(maps[4, 0], torch.tensor(1 - 0.5**0.5))


def test_edges_are_those_of_scikit_image() -> None:
    images = pictures(2, 12)
    maps = explained(subject_of(Linear(12), 12), "edges", images).maps
    for image, ours in zip(images.double().numpy(), maps.numpy(), strict=True):
        grey = np.tensordot((0.299, 0.587, 0.114), image, 1)
        wanted = 4 * np.hypot(sobel_h(grey), sobel_v(grey))  # its kernels are normalised, and its border is left out
        np.testing.assert_allclose(ours[1:-1, 1:-1], wanted[1:-1, 1:-1], atol=1e-5)


def test_random_maps_follow_from_the_seed_of_the_image() -> None:
    subject, images = subject_of(Linear(8), 8), pictures(3, 8)
    maps = explained(subject, "random", images, seed=5).maps
    torch.testing.assert_close(explained(subject, "random", images[:1], seed=7).maps[0], maps[2], rtol=0, atol=0)
    assert (maps[0] != maps[1]).any()


def test_constant_maps_are_no_evidence_and_broken_scores_no_map() -> None:
    def scores(images: Tensor) -> Tensor:
        """Scores: the first image's do not depend on the position, the last one's are NaN."""
        factor = torch.ones(len(images), 1)
        factor[-1] = torch.nan
        return images.mean((2, 3)) * factor

    maps = explained(subject_of(Plain(scores), 8), "gradient", pictures(3, 8)).maps
    assert (maps[:2] == 0).all()
    assert maps[2].isnan().all()


@pytest.mark.parametrize("most", [1, 2, 7])
def test_the_gradient_of_a_linear_network_is_its_weights(most: int) -> None:
    network = Linear(8)
    maps = explained(subject_of(network, 8, most=most), "gradient", pictures(5, 8)).maps
    std = torch.tensor([0.2, 0.25, 0.3]).view(3, 1, 1)
    torch.testing.assert_close(maps, (network.weights / std).sum(1).detach()[torch.tensor([0, 1, 2, 0, 1])])
