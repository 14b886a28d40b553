from __future__ import annotations

import numpy as np
import pytest
import torch

from dirnet.isp.edges import mirror


@pytest.mark.parametrize("size", [(1, 1), (1, 6), (2, 3), (5, 9)])
@pytest.mark.parametrize("pad", [(0, 0, 0, 0), (1, 2, 2, 1), (0, 0, 4, 3), (11, 13, 17, 7)])
def test_as_numpy_reflects(size: tuple[int, int], pad: tuple[int, int, int, int]) -> None:
    image = torch.rand(2, 3, *size)
    top, bottom, left, right = pad
    expected = np.pad(image.numpy(), ((0, 0), (0, 0), (top, bottom), (left, right)), mode="reflect")
    np.testing.assert_array_equal(mirror(image, *pad), expected)
