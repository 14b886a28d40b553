from __future__ import annotations

import pytest
import torch

from dirnet.nets.model import DiR
from dirnet.nets.weights import Loaded


@pytest.fixture(scope="module")
def weights() -> Loaded:
    """A model that does something, and the same every time."""
    model = DiR("tiny").eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(1)
    for parameter in model.parameters():
        parameter.add_(0.02 * torch.randn(parameter.shape, generator=generator))
    return Loaded(model, "shaken", "0" * 64, {})
