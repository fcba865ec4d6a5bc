"""Sixty wrappings of a checkpoint: each is read, or refused with its cause, as the table in docs/models.md says."""

from pathlib import Path

import pytest
import torch

from shapebias.core.errors import ShapebiasError
from shapebias.precompute.models.preprocessing import IMAGENET_MEAN
from tests.support.checkpoint_wrappings import MEAN, STD, WRAPPINGS, Wrapping, load_wrapped, states, table_row

DOCS = Path(__file__).parents[4] / "docs/models.md"


def test_there_are_sixty() -> None:
    assert len({wrapping.name for wrapping in WRAPPINGS}) == len(WRAPPINGS) >= 60


@pytest.mark.parametrize("wrapping", WRAPPINGS, ids=lambda wrapping: wrapping.name)
def test_a_wrapping_is_read_or_refused_with_its_cause(wrapping: Wrapping, tmp_path: Path) -> None:
    result = load_wrapped(wrapping, tmp_path)
    assert table_row(wrapping, result, tmp_path) in DOCS.read_text().splitlines()
    if isinstance(result, ShapebiasError):
        assert wrapping.reads is None
        assert wrapping.said in str(result)
        assert "\n" not in str(result)
        return
    assert [wrapping.said in note for note in result.notes].count(True) == bool(wrapping.said)
    assert len(result.notes) == 0 or wrapping.said
    weights = dict(result.network.state_dict())
    raw, average = states()
    expected = average if wrapping.reads == "ema" else raw
    if wrapping.reads == "nan":
        expected = {**raw, "fc.bias": raw["fc.bias"] * float("nan")}
    tolerance = 1e-2 if wrapping.reads == "near" else 0.0
    for name, value in expected.items():
        if wrapping.reads == "body" and name.startswith("fc."):
            continue
        if wrapping.options == ",weights=ema" and "parameters alone" in wrapping.name and "running_" in name:
            value = raw[name]
        torch.testing.assert_close(
            weights[f"{wrapping.inside}{name}"], value, rtol=tolerance, atol=tolerance, equal_nan=True
        )
    assert result.decides == (wrapping.reads != "body")
    preprocessing = result.preprocessing
    assert preprocessing.mean == pytest.approx(MEAN if wrapping.normalised else IMAGENET_MEAN, abs=1e-6)
    assert not wrapping.normalised or preprocessing.std == pytest.approx(STD, abs=1e-6)
