"""The share of time that a GPU was busy, from the times of its kernels."""

from hypothesis import given
from hypothesis import strategies as st

from benchmarks.gpu.profiling import covered, profiled

INTERVALS = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 12)).map(lambda pair: (pair[0], sum(pair))))


@given(INTERVALS)
def test_intervals_cover_what_a_grid_counts(intervals: list[tuple[int, int]]) -> None:
    cells = {cell for start, end in intervals for cell in range(start, end)}
    assert covered([(float(start), float(end)) for start, end in intervals]) == len(cells)


def test_the_operation_that_takes_longest_on_the_cpu() -> None:
    import torch

    matrix = torch.rand(300, 300)
    facts = profiled(lambda: matrix @ matrix, on_cuda=False)
    assert next(iter(facts["longest"])) == "aten::mm"
    assert (facts["waits"], facts["launches"], facts["GPU busy"]) == (0, 0, None)
