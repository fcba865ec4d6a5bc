"""The line that says how the time was spent."""

from shapebias.precompute.spending import Spending


def test_the_largest_share_comes_first() -> None:
    spending = Spending(loading=2.0, images=0.01, networks=30.04, statistics=4.25, writing=1.0)
    assert spending.text() == "time: networks 30.0 s, statistics 4.2 s, loading 2.0 s, merging and writing 1.0 s"
    assert Spending().text() == "time: less than 0.1 s"
