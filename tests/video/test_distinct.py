"""`distinct` is `np.unique`, without what that imports."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mmreason.video.backends.packets import find_distinct


@given(st.lists(st.integers(-5, 5), max_size=30))
def test_as_numpy_does(values: list[int]) -> None:
    array = np.asarray(values, np.int64)
    expected = np.unique(array, return_index=True, return_counts=True)
    for ours, theirs in zip(find_distinct(array), expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)
