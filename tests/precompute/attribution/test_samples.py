"""Which samples run together, and what is drawn for them."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from shapebias.precompute.attribution.enlarging import bilinear, covering, enlarged, gaussian, windows
from shapebias.precompute.attribution.samples import blocks, draw_pictures

COUNTS = st.integers(1, 40)


@given(COUNTS, COUNTS, COUNTS)
def test_each_sample_of_each_image_is_in_one_batch(images: int, samples: int, most: int) -> None:
    seen = torch.zeros(images, samples, dtype=torch.int64)
    sizes = []
    for of_images, part in blocks(images, samples, most):
        seen[of_images, part] += 1
        sizes.append((of_images.stop - of_images.start) * (part.stop - part.start))
    assert (seen == 1).all()
    assert max(sizes) <= most
    if samples > most:  # parts of one image, all about as large
        assert max(sizes) - min(sizes) <= 1


@given(st.lists(st.integers(1, 4), min_size=1, max_size=4))
def test_what_is_drawn_does_not_depend_on_how_many_are_drawn_at_once(parts: list[int]) -> None:
    like = torch.zeros(1, 3, 5, 7)
    one, other = torch.Generator().manual_seed(3), torch.Generator().manual_seed(3)
    whole = draw_pictures(torch.randn, [one], sum(parts), like)
    pieces = [draw_pictures(torch.randn, [other], count, like) for count in parts]
    torch.testing.assert_close(torch.cat(pieces), whole, rtol=0, atol=0)


def test_matrices_enlarge_as_pytorch_does() -> None:
    picture = torch.rand(2, 1, 5, 4)
    ours = enlarged(picture, bilinear(5, 17), bilinear(4, 9))
    torch.testing.assert_close(ours, torch.nn.functional.interpolate(picture, (17, 9), mode="bilinear"))


def test_a_blur_leaves_constants_as_they_are() -> None:
    torch.testing.assert_close(gaussian(2.5, 9).sum(1), torch.ones(9))
    torch.testing.assert_close(gaussian(1e-3, 9), torch.eye(9))


def test_windows_begin_at_each_row() -> None:
    matrix = torch.rand(7, 3)
    for offset, window in enumerate(windows(matrix, 5)):
        torch.testing.assert_close(window, matrix[offset : offset + 5])


def test_the_last_patch_is_cut_off_at_the_border() -> None:
    assert covering(7, 3, 2).T.tolist() == [[1, 1, 1, 0, 0, 0, 0], [0, 0, 1, 1, 1, 0, 0], [0, 0, 0, 0, 1, 1, 1]]
    assert covering(6, 4, 4).T.tolist() == [[1, 1, 1, 1, 0, 0], [0, 0, 0, 0, 1, 1]]
    assert covering(3, 3, 2).T.tolist() == [[1, 1, 1]]
