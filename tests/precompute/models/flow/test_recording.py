"""A recorded forward: every operation, in place or not, and the value of a tensor at every moment."""

import weakref
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from shapebias.precompute.models.flow.recording import Operation, Recording, Value, record


class FunctionNetwork(nn.Module):
    """Runs a function of its input."""

    def __init__(self, function: Callable[[Tensor], object]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> object:
        return self.function(x)


def recorded(function: Callable[[Tensor], object]) -> Recording:
    return record(FunctionNetwork(function), torch.rand(2, 3, 8, 8))[1]


def path_of(recording: Recording) -> list[str]:
    """Return the operations that what the network returned comes from, back to its input; where several join, along
    the first operand."""
    made = [value for operation in recording.operations for value in operation.outputs]
    made += [value for before in list(made) for user in before.consumers for value in user.outputs]
    value = next(value for value in made if value.returned)
    names: list[str] = []
    while value.producer is not None:
        names.append(value.producer.name)
        value = value.producer.inputs[0]
    assert value.depends
    return names[::-1]


def in_place(x: Tensor) -> Tensor:
    y = x * 2
    y.relu_()
    y += 1
    return y


def through_a_view(x: Tensor) -> Tensor:
    y = x * 2
    y[:, :1].relu_()
    return y


def view_of_a_changed_tensor(x: Tensor) -> Tensor:
    y = x * 2
    part = y[:, :1]
    y.relu_()
    return part + 0


def the_same_view_again(x: Tensor) -> Tensor:
    y = x * 2
    y.view(2, -1).relu_()
    return y.view(2, -1)


def into_a_buffer(x: Tensor) -> Tensor:
    out = torch.empty(2, 3, 8, 8)
    torch.clamp(x, min=0, out=out)
    return out


def data(x: Tensor) -> Tensor:
    y = x * 2
    y.data.relu_()
    return y


def keywords(x: Tensor) -> Tensor:
    return functional.relu(input=torch.add(input=x, other=1))


class Double(torch.autograd.Function):
    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:  # type: ignore[override]  # torch's takes anything
        return x.mul(2).relu_()


class ReluInPlace(torch.autograd.Function):
    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:  # type: ignore[override]  # torch's takes anything
        return x.relu_()


@torch.jit.script
def scripted(x: Tensor) -> Tensor:
    y = x * 2
    y = torch.relu_(y)
    return y + 1


def lists(x: Tensor) -> Tensor:
    return torch.cat([part.relu() for part in x.chunk(3, 1)], 1)


PATHS = [
    (in_place, ["mul", "relu", "add"]),
    (through_a_view, ["mul", "write"]),
    (view_of_a_changed_tensor, ["mul", "slice", "write", "add"]),
    (the_same_view_again, ["mul", "view", "relu", "view", "view"]),
    (into_a_buffer, ["clamp"]),
    (data, ["mul", "detach", "relu"]),
    (keywords, ["add", "relu"]),
    (Double.apply, ["mul", "relu"]),
    (lambda x: ReluInPlace.apply(x * 2), ["mul", "relu", "view_as"]),
    (scripted, ["mul", "relu", "add"]),
    (lists, ["chunk", "relu", "cat"]),
    (lambda x: functional.dropout(x, 0.5, training=False).contiguous() + 0, ["add"]),
    (lambda x: (x + 1, x * 2), ["add"]),
    (lambda x: {"scores": x + 1}, ["add"]),
]


@pytest.mark.parametrize(("function", "path"), PATHS, ids=[str(number) for number in range(len(PATHS))])
def test_the_way_from_the_input_to_the_result(function: Callable[[Tensor], object], path: list[str]) -> None:
    assert path_of(recorded(function)) == path


def test_a_buffer_depends_on_the_image_once_a_part_of_it_is_written() -> None:
    def forward(x: Tensor) -> Tensor:
        out = torch.zeros(2, 3, 8, 8)
        out[:, 1:] = x[:, 1:]
        return out

    copy = next(operation for operation in recorded(forward).operations if operation.name == "copy")
    (write,) = [user for user in copy.output.consumers if user.name == "write"]
    assert write.output.returned
    assert write.output.depends
    assert [value.depends for value in write.inputs] == [False, True]


def test_a_value_read_before_a_write_does_not_depend_on_the_write() -> None:
    def forward(x: Tensor) -> Tensor:
        y = x * 2
        before = y + 0
        y.relu_()
        return before + y

    recording = recorded(forward)
    doubled = next(operation.output for operation in recording.operations if operation.name == "mul")
    assert [user.name for user in doubled.consumers] == ["add", "relu"]
    last = recording.operations[-1]
    assert [value.producer.name for value in last.inputs if value.producer] == ["add", "relu"]


def test_writing_a_part_does_not_touch_the_other_parts_of_a_tensor_only_its_whole() -> None:
    def forward(x: Tensor) -> Tensor:
        y = x * 2
        left, right = y[..., :4], y[..., 4:]
        left.relu_()
        return right + left

    recording = recorded(forward)
    last = recording.operations[-1]
    makers = [value.producer for value in last.inputs]
    assert [maker.name for maker in makers if maker] == ["write", "relu"]


@pytest.mark.parametrize("make", [torch.zeros_like, torch.ones_like, lambda x: x.new_zeros(x.shape), torch.rand_like])
def test_a_tensor_with_only_the_shape_of_an_image_does_not_depend_on_the_image(
    make: Callable[[Tensor], Tensor],
) -> None:
    recording = recorded(lambda x: x + make(x))
    constant = next(operation for operation in recording.operations if operation.name != "add").output
    assert not constant.depends
    assert recording.operations[-1].output.depends


def test_parameters_have_their_names_and_constants_none() -> None:
    linear = nn.Linear(8, 4)
    network = nn.Sequential(nn.Sequential(linear))
    _, recording = record(network, torch.rand(2, 3, 8, 8))
    (operation,) = recording.operations
    assert [value.parameter for value in operation.inputs] == ["", "0.0.weight", "0.0.bias"]
    assert [value.depends for value in operation.inputs] == [True, False, False]
    assert operation.argument(1, "weight").parameter == "0.0.weight"
    assert operation.argument(9, "absent", "default") == "default"


def test_operations_know_the_module_and_the_call_that_ran_them() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.block = nn.Sequential(nn.Conv2d(3, 3, 1), nn.ReLU())

        def forward(self, x: Tensor) -> Tensor:
            return self.block(self.block(x)).abs()

    _, recording = record(Twice(), torch.rand(2, 3, 8, 8))
    ran = [
        (operation.name, operation.module, operation.call, operation.occurrence) for operation in recording.operations
    ]
    assert ran == [
        ("conv2d", "block.0", 0, 0),
        ("relu", "block.1", 0, 0),
        ("conv2d", "block.0", 1, 1),
        ("relu", "block.1", 1, 1),
        ("abs", "", 0, 0),
    ]
    first, second = recording.calls_of("block")
    assert (first.number, first.first, first.last) == (0, 0, 2)
    assert (second.number, second.first, second.last) == (1, 2, 4)
    assert first.output is recording.operations[1].output
    assert second.output is recording.operations[3].output


def test_a_module_that_hands_its_input_on_returns_the_same_value() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Identity(), nn.Dropout(), nn.ReLU()).eval()
    _, recording = record(network, torch.rand(2, 3, 8, 8))
    outputs = [recording.calls_of(str(index))[0].output for index in range(4)]
    assert outputs[0] is outputs[1] is outputs[2]
    assert [operation.name for operation in recording.operations] == ["conv2d", "relu"]


def test_no_tensor_of_a_forward_is_kept_longer_than_the_network_keeps_it() -> None:
    alive: list[int] = []
    made: list[weakref.ref[Tensor]] = []

    def forward(x: Tensor) -> Tensor:
        for _ in range(5):
            x = torch.relu(x * 2)
            made.append(weakref.ref(x))
            alive.append(sum(reference() is not None for reference in made))
        return x

    recording = recorded(forward)
    assert alive == [1, 1, 1, 1, 1]
    assert len(recording.operations) == 10


def test_tensors_that_take_the_place_of_others_are_not_taken_for_them() -> None:
    """Memory and names of tensors are used again as soon as they are free."""

    def forward(x: Tensor) -> Tensor:
        y = x
        for step in range(200):
            y = (torch.rand(2, 3, 8, 8) if step % 2 else x) + 1
        return y.neg()

    recording = recorded(forward)
    sums = [operation for operation in recording.operations if operation.name == "add"]
    assert [operation.output.depends for operation in sums] == [True, False] * 100
    assert not recording.operations[-1].output.depends


def test_a_value_describes_itself() -> None:
    recording = recorded(lambda x: x + 1)
    assert repr(recording.operations[0].output) == "Value([2, 3, 8, 8], of add)"
    assert repr(recording.operations[0].inputs[0]) == "Value([2, 3, 8, 8], of outside)"
    assert isinstance(recording.operations[0], Operation)
    assert isinstance(recording.operations[0].output, Value)


@pytest.mark.parametrize("seed", range(3))
def test_digests_of_two_forwards_agree_where_nothing_is_random(seed: int) -> None:
    torch.manual_seed(seed)
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 5)).eval()
    images = torch.rand(2, 3, 8, 8)
    one, same = (record(network, images, digests=True)[1] for _ in range(2))
    assert [operation.digest for operation in one.operations] == [operation.digest for operation in same.operations]
    swapped = record(network, images.flip(0), digests=True)[1]
    for operation, other in zip(one.operations, swapped.operations, strict=True):
        assert len(operation.digest) == 2
        torch.testing.assert_close(operation.digest, other.digest[::-1], rtol=1e-4, atol=1e-4)
