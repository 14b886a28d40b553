from __future__ import annotations

import torch
import torch.nn.functional as F

from dirnet.nets.reference import ReferenceDecoder, ReferenceEncoder


def test_shapes_there_and_back() -> None:
    encoder, decoder = ReferenceEncoder(8, 5), ReferenceDecoder(8, 5)
    features = encoder(torch.rand(2, 3, 18, 30))
    assert features.shape == (2, 5, 9, 15)
    assert decoder(features).shape == (2, 3, 18, 30)


def test_it_is_narrower_than_the_pixels_it_folds_or_learns_through_noise() -> None:
    """Twelve numbers fold into a cell; what may copy them all is held in check by latent noise in stage 2 alone."""
    x = torch.rand(1, 3, 8, 8)
    folded = F.pixel_unshuffle(x, 2)
    assert torch.equal(F.pixel_shuffle(folded, 2), x)
    encoder = ReferenceEncoder(8, 5)
    torch.testing.assert_close(encoder(x), encoder.body(folded))


def test_they_learn_to_give_a_picture_back(astronaut: torch.Tensor) -> None:
    pictures = astronaut.unfold(2, 32, 160).unfold(3, 32, 160).flatten(2, 3)[0].transpose(0, 1).contiguous()
    encoder, decoder = ReferenceEncoder(16, 16), ReferenceDecoder(16, 16)
    optimizer = torch.optim.AdamW([*encoder.parameters(), *decoder.parameters()], lr=3e-3)
    errors = []
    for _ in range(40):
        error = (decoder(encoder(pictures)) - pictures).abs().mean()
        optimizer.zero_grad()
        error.backward()
        optimizer.step()
        errors.append(error.item())
    assert errors[-1] < 0.4 * errors[0]
