from __future__ import annotations

import pytest
import torch

from dirnet.errors import UsageError
from dirnet.nets.model import MONTAGE_SIDE, PRESETS, DiR, Statistics, montage
from dirnet.nets.tone import contact_sheet
from dirnet.tasks.restore import MARGIN


def shaken(preset: str) -> DiR:
    """A model whose every parameter is off its beginning, zero-initialised layers too."""
    model = DiR(preset).eval()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.02 * torch.randn(parameter.shape, generator=generator))
    return model


@pytest.fixture(scope="module")
def model() -> DiR:
    return shaken("tiny")


def parameters(preset: str) -> int:
    model = DiR(preset)
    parts = (model.encoder, model.aligner, model.reference, model.decoder)
    return sum(parameter.numel() for part in parts for parameter in part.parameters())


def test_presets_keep_to_their_budgets() -> None:
    assert parameters("tiny") < parameters("small") <= 0.8e6 < parameters("base") <= 2.8e6


def test_an_unknown_preset_is_a_sentence_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"huge.*tiny, small, base"):
        DiR("huge")


@pytest.mark.parametrize("preset", [name for name, sizes in PRESETS.items() if sizes.reference_width])
@pytest.mark.parametrize(("height", "width"), [(1, 1), (7, 5), (33, 18)])
def test_representations_are_half_the_padded_size(preset: str, height: int, width: int) -> None:
    model = DiR(preset)
    image = torch.rand(2, 3, height, width)
    with torch.no_grad():
        representation = model(image)
        change = model.decode(representation, (height, width))
    cells = tuple(max(16, side + -side % 8) // 2 for side in (height, width))
    sizes = PRESETS[preset]
    assert representation.baseline.shape == (2, sizes.width, *cells)
    assert representation.pilot.shape == representation.refined.shape == (2, sizes.reference_width, *cells)
    assert change.shape == image.shape
    assert torch.equal(representation.refined, representation.pilot)
    assert not change.any()
    assert not any(number.any() for number in model.tone(contact_sheet(image.new_ones(2, 3, 40, 50))))


def test_the_change_is_what_the_decoder_makes_of_the_refinement(model: DiR) -> None:
    with torch.no_grad():
        representation = model(torch.rand(1, 3, 20, 30))
        change = model.decode(representation, (20, 30))
        expected = model.decoder(representation.refined) - model.decoder(representation.pilot)
    assert change.is_contiguous()
    assert torch.equal(change, expected[..., :20, :30])
    assert change.abs().max() > 1e-4


def test_a_batch_is_its_pictures_one_by_one(model: DiR) -> None:
    images = torch.rand(3, 3, 24, 40)
    with torch.no_grad():
        together, alone = model(images), model(images[1:2])
    for whole, one in zip(together, alone, strict=True):
        torch.testing.assert_close(whole[1:2], one, atol=1e-5, rtol=1e-5)


def test_refined_again_the_aligner_is_given_what_it_made_before() -> None:
    once, twice = shaken("tiny"), DiR("tiny-twice").eval()
    twice.load_state_dict(once.state_dict())
    image = torch.rand(1, 3, 24, 40)
    with torch.no_grad():
        first, second = once(image), twice(image)
        again, _ = once.aligner(first.baseline, first.refined)
    assert torch.equal(second.pilot, first.pilot)
    assert torch.equal(second.refined, again)
    assert (again - first.refined).abs().max() > 1e-3


@pytest.mark.parametrize("preset", ["tiny", "tiny-twice"])
@pytest.mark.parametrize("size", [(24, 40), (13, 30)])
def test_statistics_of_a_small_picture_are_those_it_goes_by_itself(preset: str, size: tuple[int, int]) -> None:
    model, image = shaken(preset), torch.rand(1, 3, *size)
    with torch.no_grad():
        for handed, own in zip(model(image, model.statistics(image)), model(image), strict=True):
            assert torch.equal(handed, own)


def test_gradients_reach_every_part() -> None:
    model = shaken("tiny")
    image, sheet = torch.rand(1, 3, 24, 24), contact_sheet(torch.rand(1, 3, 90, 80))
    (model.decode(model(image), (24, 24)).sum() + sum(number.sum() for number in model.tone(sheet))).backward()
    cancel = ("decoder.body.1.1.second.bias", "decoder.body.2.bias")  # the same on both sides of the difference
    for name, parameter in model.named_parameters():
        if name not in cancel:
            assert parameter.grad is not None, name
            assert parameter.grad.abs().max() > 0, name


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("axis", [2, 3])
def test_the_margin_of_tiles_covers_what_every_preset_sees(preset: str, axis: int) -> None:
    """Gradient of one 8-pixel group of outputs with the global statistics held: zero from MARGIN on, and before it."""
    model = shaken(preset)
    sizes = PRESETS[preset]
    long, at = 384, 192
    image = torch.rand(1, 3, *((long, 16) if axis == 2 else (16, long)))
    both = sizes.width + sizes.reference_width
    fixed = Statistics(torch.rand(1, 6 * sizes.width), (torch.rand(1, 2 * both),) * sizes.refinements)
    image.requires_grad_()
    change = model.decode(model(image, fixed), (image.shape[2], image.shape[3]))
    (gradient,) = torch.autograd.grad(change.narrow(axis, at, 8).square().sum(), image)
    seen = gradient.abs().sum((0, 1, 5 - axis)).nonzero().squeeze(1)
    reach = max(at - int(seen.min()), int(seen.max()) - (at + 7))
    assert 32 < reach <= MARGIN


def test_a_montage_of_a_small_picture_is_the_picture() -> None:
    image = torch.rand(1, 3, MONTAGE_SIDE, 30)
    assert torch.equal(montage(image), image)


@pytest.mark.parametrize("side", [513, 520, 640, 777, 4000])
@pytest.mark.parametrize("axis", [2, 3])
def test_a_montage_shows_four_windows_from_end_to_end(side: int, axis: int) -> None:
    image = torch.arange(side).view(1, 1, side, 1).expand(1, 3, side, 2)
    image = image if axis == 2 else image.transpose(2, 3)
    shown = montage(image)[0, 0].select(2 - axis + 1, 0)
    assert len(shown) == MONTAGE_SIDE
    windows = shown.view(4, -1)
    assert (windows.diff(dim=1) == 1).all()  # each at full resolution
    assert (windows[:, 0] % 8 == 0).all()
    assert (windows[1:, 0] > windows[:-1, -1]).all()  # none shows a pixel twice
    assert windows[0, 0] == 0
    assert windows[-1, -1] > side - 1 - 8
