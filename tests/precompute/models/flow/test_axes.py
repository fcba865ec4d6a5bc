"""The algebra of axes, and the maps that a layout finds in tensors whose elements were moved."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from shapebias.precompute.models.flow.axes import (
    CHANNELS,
    COLUMNS,
    GROUPS,
    IMAGES,
    POSITIONS,
    ROWS,
    TOKENS,
    UNKNOWN,
    Axes,
    Factor,
    axis,
    cut,
    join_tokens,
    regroup,
    resized,
    rolled,
    size_of,
)
from shapebias.precompute.models.flow.maps import CHANNELS_FIRST, Layout, layout_by_hand, layout_of
from shapebias.precompute.models.flow.propagation import follow_axes
from shapebias.precompute.models.flow.recording import record


def plain(images: int, channels: int, rows: int, columns: int) -> Axes:
    """Return the axes of a tensor [images, channels, rows, columns]."""
    sizes = (images, channels, rows, columns)
    return tuple(axis(label, size) for label, size in zip((IMAGES, CHANNELS, ROWS, COLUMNS), sizes, strict=True))


# --- regrouping ------------------------------------------------------------------------------------------------------

sizes = st.sampled_from([1, 2, 3, 4, 6, 8, 12])


@st.composite
def views(draw: st.DrawFn) -> tuple[Axes, tuple[int, ...]]:
    """Return axes, and a shape that splits every one of them at random and joins neighbours at random."""
    axes = plain(*(draw(sizes) for _ in range(4)))
    parts: list[int] = []
    for factors in axes:
        rest = size_of(factors)
        while rest > 1:
            part = draw(st.sampled_from([divisor for divisor in range(2, rest + 1) if rest % divisor == 0]))
            parts.append(part)
            rest //= part
    shape: list[int] = []
    for part in parts:
        if shape and draw(st.booleans()):
            shape[-1] *= part
        else:
            shape.append(part)
    return axes, tuple(shape)


@given(views())
def test_a_view_and_the_view_back_leave_axes_as_they_were(view: tuple[Axes, tuple[int, ...]]) -> None:
    axes, shape = view
    regrouped = regroup(axes, shape)
    assert regrouped is not None
    assert tuple(map(size_of, regrouped)) == shape
    assert regroup(regrouped, tuple(map(size_of, axes))) == axes


@given(views())
def test_neighbouring_parts_of_an_axis_become_one(view: tuple[Axes, tuple[int, ...]]) -> None:
    for factors in regroup(*view) or ():
        for factor, following in itertools.pairwise(factors):
            assert (factor.label, factor.stride) != (following.label, following.stride * following.size)


@pytest.mark.parametrize("shape", [(4, 5, 6), (7,), (2, 3, 4, 5, 2), (8, 15)])
def test_a_view_that_cuts_an_axis_where_it_cannot_be_is_unknown(shape: tuple[int, ...]) -> None:
    assert regroup(plain(2, 3, 4, 5)[1:], shape) is None


def test_tokens_are_never_split() -> None:
    tokens = join_tokens(axis(POSITIONS, 8), 1, 1)
    assert regroup((tokens,), (5, 2)) is None
    assert regroup((axis(IMAGES, 2), tokens), (20,)) == ((*axis(IMAGES, 2), *tokens),)


# --- single axes -----------------------------------------------------------------------------------------------------


def test_cutting_other_tokens_off_leaves_the_positions() -> None:
    inner = (Factor(ROWS, 3), Factor(COLUMNS, 4))
    tokens = join_tokens(inner, 1, 2)
    assert size_of(tokens) == 15
    assert cut(tokens, 1, 13) == inner
    assert cut(tokens, 0, 13) == join_tokens(inner, 1, 0)
    assert cut(tokens, 0, 1) == ()
    assert cut(tokens, 13, 15) == axis(UNKNOWN, 2)
    assert cut(tokens, 0, 5) == axis(UNKNOWN, 5)
    assert cut(tokens, 1, 13, 2) == axis(UNKNOWN, 6)


def test_a_pooled_side_of_windows_keeps_its_place_among_them() -> None:
    major, minor = Factor(ROWS, 4, stride=8), Factor(ROWS, 8)
    assert resized((minor,), 4) == (Factor(ROWS, 4, stride=2),)
    pooled = ((*axis(IMAGES, 2), major), resized((minor,), 4), axis(COLUMNS, 5), axis(CHANNELS, 3))
    layout = layout_of(pooled, 2)
    assert layout is not None
    assert layout.shape == (2, 3, 16, 5)
    assert layout_of(((*axis(IMAGES, 2), major), resized((minor,), 3), axis(CHANNELS, 3)), 2) is None


def test_resizing_keeps_what_an_axis_steps_along() -> None:
    assert resized(axis(CHANNELS, 8), 20) == axis(CHANNELS, 20)
    assert resized((Factor(ROWS, 3), Factor(COLUMNS, 4)), 6) == axis(POSITIONS, 6)
    assert resized((Factor(ROWS, 3), Factor(CHANNELS, 4)), 6) == axis(UNKNOWN, 6)
    assert resized(join_tokens(axis(POSITIONS, 8), 1, 0), 3) == axis(UNKNOWN, 3)
    assert resized(rolled(axis(ROWS, 8), 3), 4) == axis(UNKNOWN, 4)


def test_rolling_there_and_back_changes_nothing() -> None:
    rows = axis(ROWS, 8)
    assert rolled(rows, 3) == (Factor(ROWS, 8, shift=3, whole=8),)
    assert rolled(rolled(rows, 3), -3) == rows
    assert rolled(axis(CHANNELS, 8), 3) == axis(CHANNELS, 8)
    assert rolled((Factor(ROWS, 2), Factor(COLUMNS, 4)), 3) == axis(UNKNOWN, 8)


# --- layouts ---------------------------------------------------------------------------------------------------------

IMAGE = torch.arange(2 * 4 * 4 * 4).view(2, 4, 4, 4).float()  # all sides alike: nothing can be told by sizes


class Program(nn.Module):
    """Moves the elements of its input, step by step."""

    def __init__(self, steps: list[tuple[object, ...]]) -> None:
        super().__init__()
        self.steps = steps

    def __repr__(self) -> str:
        return f"Program({self.steps})"

    def forward(self, x: Tensor) -> Tensor:
        for name, *arguments in self.steps:
            x = getattr(x, str(name))(*arguments)
        return x


@st.composite
def programs(draw: st.DrawFn) -> Program:
    """Return up to eight views and rolls of a tensor such as IMAGE, in an order that works."""
    steps: list[tuple[object, ...]] = []
    shape = list(IMAGE.shape)
    for _ in range(draw(st.integers(1, 8))):
        kind = draw(st.sampled_from(["split", "join", "permute", "permute", "roll", "unsqueeze"]))
        axis = draw(st.integers(0, len(shape) - 1))
        if kind == "split" and shape[axis] > 2 and len(shape) < 8:
            shape[axis : axis + 1] = [2, shape[axis] // 2]
            steps.append(("reshape", *shape))
        elif kind == "join" and axis + 1 < len(shape):
            shape[axis : axis + 2] = [shape[axis] * shape[axis + 1]]
            steps.append(("reshape", *shape))
        elif kind == "permute":
            order = draw(st.permutations(range(len(shape))))
            shape = [shape[position] for position in order]
            steps.append(("permute", *order))
        elif kind == "roll":
            steps.append(("roll", draw(st.integers(-3, 3)), axis))
        elif kind == "unsqueeze" and len(shape) < 7:
            shape.insert(axis, 1)
            steps.append(("unsqueeze", axis))
    return Program(steps)


def layout_after(program: nn.Module, images: Tensor) -> tuple[Layout | None, Tensor]:
    """Return the layout of what a program makes of images, and that."""
    result, recording = record(program, images)
    values = [operation.output for operation in recording.operations]
    axes = follow_axes(recording)[values[-1]] if values else plain(*images.shape)
    return layout_of(axes, len(images)), result


@given(programs())
@settings(max_examples=300, deadline=None)
def test_maps_are_the_image_however_its_elements_were_moved(program: Program) -> None:
    layout, moved = layout_after(program, IMAGE)
    if layout is None:
        return
    maps = layout.maps(moved)
    image, channel, row, column = np.unravel_index(maps.numpy().astype(int), IMAGE.shape)
    assert (image == np.arange(2)[:, None, None, None]).all()
    _, units, height, width = maps.shape
    assert units * height * width == 64
    if units == 4:  # else rows or columns became channels, as space-to-depth makes them
        assert (channel == channel[:1, :, :1, :1]).all()
        assert sorted(channel[0, :, 0, 0]) == [0, 1, 2, 3]
    if height == 4:
        assert (row == np.arange(4)[:, None]).all()
    if width == 4:
        assert (column == np.arange(4)).all()
    if units == 4 and (height, width) == (1, 16):
        assert (row * 4 + column == np.arange(16)).all()


@given(programs())
@settings(max_examples=100, deadline=None)
def test_restored_maps_are_the_tensor_that_they_came_from(program: Program) -> None:
    layout, moved = layout_after(program, IMAGE)
    if layout is None:
        return
    assert torch.equal(layout.restore(layout.maps(moved).clone(), moved), moved)
    changed = layout.restore(layout.maps(moved) + 1000, moved)
    assert torch.equal(changed, moved + 1000)


@given(st.permutations(range(4)), st.permutations(range(6)))
@settings(max_examples=50, deadline=None)
def test_views_without_rolls_are_always_understood(first: list[int], order: list[int]) -> None:
    """Two permutations around a split of rows and columns into windows: nothing is mixed, so nothing is refused."""
    sizes = [2, 4, 4, 4]
    split: list[int] = []
    for position in first:
        split += [2, 2] if position in (2, 3) else [sizes[position]]
    layout, moved = layout_after(Program([("permute", *first), ("reshape", *split), ("permute", *order)]), IMAGE)
    assert layout is not None
    assert torch.equal(layout.maps(moved), IMAGE)


def test_the_maps_of_shifted_windows_are_those_of_numpy() -> None:
    """Swin's windows, put back by hand."""
    images = torch.rand(3, 5, 8, 12)
    program = Program(
        [
            ("permute", 0, 2, 3, 1),
            ("roll", (-2, -3), (1, 2)),
            ("reshape", 3, 2, 4, 3, 4, 5),
            ("permute", 0, 1, 3, 2, 4, 5),
            ("reshape", 3 * 6, 16, 5),
        ]
    )
    layout, moved = layout_after(program, images)
    assert layout is not None
    by_hand = moved.numpy().reshape(3, 2, 3, 4, 4, 5).transpose(0, 5, 1, 3, 2, 4).reshape(3, 5, 8, 12)
    by_hand = np.roll(by_hand, (2, 3), (2, 3))
    np.testing.assert_array_equal(layout.maps(moved).numpy(), by_hand)
    np.testing.assert_array_equal(by_hand, images.numpy())


def test_layouts_of_one_batch_hold_for_another() -> None:
    windows = Program([("unfold", 2, 4, 4), ("unfold", 3, 4, 4), ("permute", 0, 2, 3, 1, 4, 5), ("flatten", 0, 2)])
    layout, _ = layout_after(windows, torch.rand(2, 3, 8, 8))
    assert layout is not None
    images = torch.rand(5, 3, 8, 8)
    assert torch.equal(layout.maps(windows(images)), images)
    sequences = Program([("flatten", 2), ("permute", 2, 0, 1)])  # as nn.MultiheadAttention works
    layout, _ = layout_after(sequences, torch.rand(2, 3, 8, 8))
    assert layout is not None
    assert torch.equal(layout.maps(sequences(images)), images)


def test_tokens_around_positions_are_left_out_and_stay_as_they_are() -> None:
    axes = (axis(IMAGES, 2), join_tokens((Factor(ROWS, 2), Factor(COLUMNS, 3)), 1, 2), axis(CHANNELS, 5))
    layout = layout_of(axes, 2)
    assert layout is not None
    tensor = torch.rand(4, 9, 5)
    maps = layout.maps(tensor)
    np.testing.assert_array_equal(maps.numpy(), tensor.numpy()[:, 1:7].reshape(4, 2, 3, 5).transpose(0, 3, 1, 2))
    zeroed = layout.restore(torch.zeros_like(maps), tensor)
    assert (zeroed[:, 1:7] == 0).all()
    assert torch.equal(zeroed[:, [0, 7, 8]], tensor[:, [0, 7, 8]])


def test_images_and_tokens_in_one_axis_are_told_apart() -> None:
    tokens = join_tokens(axis(POSITIONS, 6), 1, 0)
    layout = layout_of((axis(IMAGES, 2) + tokens, axis(CHANNELS, 5)), 2)
    assert layout is not None
    tensor = torch.rand(3, 7, 5)
    assert torch.equal(layout.maps(tensor.view(21, 5)), tensor[:, 1:].transpose(1, 2)[:, :, None])


@pytest.mark.parametrize(
    "axes",
    [
        (axis(IMAGES, 2), axis(UNKNOWN, 3), axis(ROWS, 4), axis(COLUMNS, 4)),
        (axis(IMAGES, 4), axis(CHANNELS, 3), axis(ROWS, 4), axis(COLUMNS, 4)),
        (axis(CHANNELS, 3), axis(ROWS, 4), axis(COLUMNS, 4)),
        (axis(IMAGES, 2), axis(GROUPS, 3), axis(CHANNELS, 4)),
        (axis(IMAGES, 2), axis(CHANNELS, 3), axis(ROWS, 4), axis(ROWS, 4)),
        (axis(IMAGES, 2), axis(CHANNELS, 3), axis(ROWS, 4), axis(POSITIONS, 4)),
        (axis(IMAGES, 2), axis(CHANNELS, 3), (Factor(ROWS, 4, stride=8), Factor(COLUMNS, 4), Factor(ROWS, 4))),
        (
            axis(IMAGES, 2),
            axis(CHANNELS, 3),
            (Factor(ROWS, 4, stride=2, shift=1, whole=8), Factor(COLUMNS, 4), Factor(ROWS, 2)),
        ),
    ],
)
def test_an_ambiguous_axis_has_no_layout(axes: Axes) -> None:
    assert layout_of(axes, 2) is None


def test_plain_maps_are_not_touched() -> None:
    assert layout_of(plain(2, 3, 4, 5), 2) is CHANNELS_FIRST
    shuffled = (axis(IMAGES, 2), (Factor(CHANNELS, 3), Factor(CHANNELS, 4, stride=3)), axis(ROWS, 4), axis(COLUMNS, 5))
    assert layout_of(shuffled, 2) is CHANNELS_FIRST
    upside = (axis(IMAGES, 2), axis(CHANNELS, 3), axis(COLUMNS, 4), axis(ROWS, 5))
    transposed = layout_of(upside, 2)
    assert transposed is not None
    tensor = torch.rand(2, 3, 4, 5)
    assert torch.equal(transposed.maps(tensor), tensor.transpose(2, 3))


def test_a_tensor_of_another_size_than_traced_is_an_error() -> None:
    windows = (axis(IMAGES, 2), (Factor(ROWS, 2), Factor(COLUMNS, 3)), axis(CHANNELS, 5))
    layout = layout_of(windows, 2)
    assert layout is not None
    with pytest.raises(ValueError, match="not of the size"):
        layout.maps(torch.rand(2, 8, 5))


@pytest.mark.parametrize(("shape", "channels"), [((2, 4, 5, 3), -1), ((2, 3, 4, 5), 1), ((2, 6, 3), 2), ((2, 7), 1)])
def test_channels_by_hand(shape: tuple[int, ...], channels: int) -> None:
    layout = layout_by_hand(shape, channels)
    assert layout is not None
    tensor = torch.rand(shape)
    maps = layout.maps(tensor)
    assert maps.ndim == 4
    expected = np.moveaxis(tensor.numpy(), channels, 1).reshape(2, shape[channels], -1)
    np.testing.assert_array_equal(maps.flatten(2).numpy(), expected)


@pytest.mark.parametrize(
    ("shape", "channels"), [((2, 3), 0), ((2, 3, 4), 3), ((2, 3, 4), -3), ((2,), 0), ((2,) * 5, 1)]
)
def test_channels_by_hand_that_are_not_there(shape: tuple[int, ...], channels: int) -> None:
    assert layout_by_hand(shape, channels) is None


def test_token_is_the_only_label_with_positions_inside() -> None:
    (factor,) = join_tokens(axis(POSITIONS, 4), 1, 0)
    assert (factor.label, factor.size, factor.inner) == (TOKENS, 5, axis(POSITIONS, 4))
    assert join_tokens(axis(POSITIONS, 4), 0, 0) == axis(POSITIONS, 4)
