"""The class scores in what networks return: tensors, dictionaries, tuples, objects."""

from collections import OrderedDict, namedtuple
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from shapebias.core.errors import UsageError
from shapebias.precompute.models.outputs import find_scores, return_scores

SCORES = torch.rand(2, 10)
FEATURES = torch.rand(2, 16)
MAPS = torch.rand(2, 10, 7, 7)

Pair = namedtuple("Pair", "features logits")


class ModelOutput(OrderedDict):
    """As Hugging Face's: a dictionary whose items are attributes too."""

    def __getattr__(self, name: str) -> Any:
        if name not in self:
            raise AttributeError(name)
        return self[name]


@dataclass
class Output:
    """As Hugging Face's in spirit."""

    loss: Tensor | None = None
    logits: Tensor | None = None
    hidden_states: tuple[Tensor, ...] = ()


@pytest.mark.parametrize(
    ("result", "name"),
    [
        (SCORES, ""),
        (SCORES[:, :, None, None], ""),
        ((SCORES,), "0"),
        ([FEATURES, SCORES], "1"),
        ((torch.tensor(0.5), SCORES), "1"),
        ((SCORES, None, "text", 3), "0"),
        ({"embedding": SCORES + 1, "logits": SCORES}, "logits"),
        ({"out": SCORES, "aux": SCORES + 1}, "out"),
        ({"pred": SCORES, "embedding": FEATURES}, "pred"),
        ({"maps": MAPS, "anything": SCORES}, "anything"),
        ({"aux": {"emb": FEATURES}, "head": {"scores": SCORES}}, "head.scores"),
        ({"a": FEATURES, "b": SCORES}, "b"),
        (Pair(FEATURES, SCORES), "logits"),
        (Output(torch.tensor(1.0), SCORES, (MAPS, FEATURES)), "logits"),
        (ModelOutput(last_hidden_state=torch.rand(2, 5, 10), logits=SCORES), "logits"),
        ({"class_logits": SCORES, "out": SCORES + 1}, "class_logits"),
    ],
)
def test_scores_are_found_by_their_name_and_size(result: Any, name: str) -> None:
    leaf = find_scores("Net", result, 10, None)
    assert leaf is not None
    assert leaf.name == name
    assert leaf.scores is not None
    assert torch.equal(leaf.scores, SCORES)


@pytest.mark.parametrize("classes", [16, None, 7])
def test_logits_are_scores_whatever_the_images_classes_are(classes: int | None) -> None:
    leaf = find_scores("Net", Pair(FEATURES, SCORES), classes, None)
    assert leaf is not None
    assert leaf.name == "logits"


@pytest.mark.parametrize(
    ("result", "classes"),
    [
        ((SCORES, SCORES + 1), 10),
        ((SCORES, FEATURES), None),
        ({"a": SCORES, "b": SCORES}, 10),
        ({"out": SCORES, "pred": SCORES}, 10),
        ({"out": FEATURES, "distribution": SCORES}, 10),  # the name says one, the number of classes the other
        ({"coarse_logits": FEATURES, "fine_logits": SCORES}, None),
    ],
)
def test_two_candidates_are_one_line_that_asks(result: Any, classes: int | None) -> None:
    with pytest.raises(UsageError, match=r"output=NAME behind its source") as error:
        find_scores("Net", result, classes, None)
    assert str(error.value).count("[N, 1") == 2
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("result", "wanted"),
    [
        ((FEATURES, SCORES), "1"),
        ({"head": {"pred": SCORES}, "out": FEATURES}, "pred"),
        (Pair(SCORES, FEATURES), "features"),
    ],
)
def test_what_the_user_says_is_taken(result: Any, wanted: str) -> None:
    leaf = find_scores("Net", result, None, wanted)
    assert leaf is not None
    assert leaf.scores is SCORES or torch.equal(leaf.tensor, SCORES)


@pytest.mark.parametrize("wanted", ["2", "logits", "maps"])
def test_what_is_not_there_is_one_line_with_what_is(wanted: str) -> None:
    with pytest.raises(UsageError, match=r"maps \[N, 10, 7, 7\]"):
        find_scores("Net", {"maps": MAPS, "0": SCORES}, None, wanted)


@pytest.mark.parametrize("result", [MAPS, torch.rand(2), torch.tensor([1, 2]), None, "text", {}, {"maps": MAPS}])
def test_networks_without_scores_have_none(result: Any) -> None:
    assert find_scores("Net", result, 10, None) is None


class Returns(nn.Module):
    def __init__(self, result: Any) -> None:
        super().__init__()
        self.result = result

    def forward(self, _: Tensor) -> Any:
        return self.result


@pytest.mark.parametrize(
    "result", [SCORES, SCORES[:, :, None, None], {"x": [MAPS, SCORES]}, Output(logits=SCORES), Pair(MAPS, SCORES)]
)
def test_a_network_then_returns_its_scores_alone(result: Any) -> None:
    network = Returns(result)
    leaf = find_scores("Net", network(SCORES), 10, None)
    assert leaf is not None
    return_scores(network, leaf)
    assert torch.equal(network(SCORES), SCORES)
