"""Names with braces, as in a shell."""

import pytest

from shapebias.core.errors import UsageError
from shapebias.precompute.images.sources.patterns import expand


def test_numbers_that_count_down_are_one_line() -> None:
    with pytest.raises(UsageError, match="counts down from 10 to 8"):
        expand("train-{10..08}.tar")
    assert expand("{08..08}.tar") == ["08.tar"]
