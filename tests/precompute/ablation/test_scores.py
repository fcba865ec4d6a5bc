"""`precompute --passes ablation`: scores in the store, runs that go on where they were stopped, wishes that make no
sense."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from shapebias.core.errors import UsageError
from shapebias.core.store.opening import open_store
from shapebias.precompute.ablation import scores as unit_scores
from shapebias.precompute.ablation.cache import Ablated, AblationCache, digest
from shapebias.precompute.settings import Settings, parse_passes

Make = Callable[..., Path]


def scores(path: Path) -> dict[str, list[float]]:
    store = open_store(path)
    names = ("shape_score", "texture_score", "accuracy_drop")
    return {
        f"{layer} {name}": store.metric("demo-r", layer, name).tolist()
        for layer in store.layers("demo-r")
        for name in names
    }


@pytest.mark.slow
def test_an_interrupted_run_goes_on_where_it_was(
    make_store: Make, ablation_settings: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = scores(make_store(tmp_path / "whole.zarr", ablate_accuracy=True, **ablation_settings))
    assert len(whole) == 6
    assert any(any(values) for values in whole.values())
    path, measured = tmp_path / "again.zarr", []
    measure = unit_scores.shape_and_texture_scores

    def stopped(ablation, *arguments, **options):  # type: ignore[no-untyped-def]
        if len(measured) == 1:
            raise KeyboardInterrupt
        measured.append(ablation.layer.name)
        return measure(ablation, *arguments, **options)

    monkeypatch.setattr(unit_scores, "shape_and_texture_scores", stopped)
    with pytest.raises(KeyboardInterrupt):
        make_store(path, ablate_accuracy=True, **ablation_settings)
    kept = sorted((tmp_path / "again.zarr.partial/ablation").iterdir())
    assert len(kept) == 2  # of the first layer: its cues and its accuracy
    kept[0].write_bytes(b"no archive")
    monkeypatch.setattr(unit_scores, "shape_and_texture_scores", measure)
    calls = []
    monkeypatch.setattr(unit_scores.AblationCache, "put", lambda _, facts, scores: calls.append(facts))
    assert scores(make_store(path, ablate_accuracy=True, **ablation_settings)) == whole
    assert len(calls) == 3  # the second layer's two, and the damaged one
    assert sorted(tmp_path.glob("again.zarr*")) == [path]


def test_scores_are_kept_by_all_they_depend_on(tmp_path: Path) -> None:
    cache = AblationCache(tmp_path / "a.zarr")
    ablated = Ablated({"shape_score": np.arange(3, dtype=np.float32)}, "a reason", "3%", ["a note"])
    cache.put({"layer": 1}, ablated)
    assert cache.get({"layer": 2}, 3) is None
    assert cache.get({"layer": 1}, 4) is None
    again = cache.get({"layer": 1}, 3)
    assert again is not None
    assert again.scores["shape_score"].tolist() == [0, 1, 2]
    assert (again.why_whole, again.in_float32, again.notes) == ("a reason", "3%", ["a note"])


def test_a_digest_is_of_values_shapes_and_names() -> None:
    numbers = np.arange(4, dtype=np.int32)
    different = [digest(numbers), digest(numbers.reshape(2, 2)), digest(numbers.astype(np.int64)), digest([b"a", b"b"])]
    assert len({*different, digest([b"ab"])}) == 5
    assert digest(numbers.copy()) == digest(numbers)


def test_ablation_is_asked_for_by_name() -> None:
    assert "ablation" not in parse_passes("all")
    assert set(parse_passes("all,ablation")) == {*parse_passes("all"), "ablation"}
    assert parse_passes("none") == ()
    with pytest.raises(UsageError, match="no pass nonsense"):
        parse_passes("all,nonsense")


def test_wishes_that_make_no_sense() -> None:
    with pytest.raises(UsageError, match="needs cue-conflict images"):
        Settings(models=[], images="", store=Path("none.zarr"), passes=("ablation",))
    with pytest.raises(UsageError, match="add --passes ablation"):
        Settings(models=[], images="", store=Path("none.zarr"), ablate_accuracy=True)
