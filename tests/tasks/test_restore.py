from __future__ import annotations

import math
from typing import get_args

import pytest
import torch
from sample_files import DISPLAY_P3, SRGB_CURVE, matrix_profile
from torch import nn

from dirnet.isp.camera import degrade
from dirnet.isp.params import ISPParams, clean_settings
from dirnet.nets.model import DiR
from dirnet.nets.tone import Tone, contact_sheet
from dirnet.pictures.picture import Picture
from dirnet.pictures.space import space_of
from dirnet.suites.draw import draw
from dirnet.tasks import restore as module
from dirnet.tasks.base import Batch
from dirnet.tasks.restore import (
    Restoration,
    ToneMode,
    charbonnier,
    find_tone,
    refine,
    restore,
    restore_in_place,
    share_left,
    tone_loss,
)

MODES: tuple[ToneMode, ...] = get_args(ToneMode)


def shaken() -> DiR:
    """A model whose every parameter is off its beginning, zero-initialised layers too."""
    model = DiR("tiny").eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(1)
    for parameter in model.parameters():
        parameter.add_(0.02 * torch.randn(parameter.shape, generator=generator))
    return model


@pytest.fixture(scope="module")
def model() -> DiR:
    return shaken()


@pytest.fixture(scope="module")
def untrained() -> DiR:
    return DiR("tiny").eval().requires_grad_(False)


SIZES = [(1, 1), (1, 30), (7, 5), (16, 16), (31, 33), (520, 40), (17, 600)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("tone", MODES)
def test_an_untrained_model_gives_its_input_back_exactly(untrained: DiR, size: tuple[int, int], tone: ToneMode) -> None:
    image = torch.rand(1, 3, *size)
    image[..., 0, 0] = torch.tensor([0.0, 1.0, 0.0])
    assert torch.equal(restore(untrained, image, tone=tone), image)
    assert torch.equal(restore(untrained, image, tone=tone, tile=64), image)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("tone", MODES)
def test_any_size_comes_back_at_its_size_within_0_and_1(model: DiR, size: tuple[int, int], tone: ToneMode) -> None:
    restored = restore(model, torch.rand(1, 3, *size).round(), tone=tone)
    assert restored.shape == (1, 3, *size)
    assert restored.isfinite().all()
    assert restored.min() >= 0
    assert restored.max() <= 1


@pytest.mark.parametrize("size", [(24, 420), (410, 37), (19, 700), (530, 25), (216, 205)])
@pytest.mark.parametrize("tone", MODES)
def test_pieces_and_whole_give_the_same_picture(model: DiR, size: tuple[int, int], tone: ToneMode) -> None:
    image = 0.2 + 0.6 * torch.rand(1, 3, *size)
    whole = restore(model, image, tone=tone)
    assert (whole - image).abs().mean() > 0.003
    torch.testing.assert_close(restore(model, image, tone=tone, tile=64), whole, atol=1e-4, rtol=0)


def test_a_large_picture_is_worked_in_pieces_by_itself(model: DiR, monkeypatch: pytest.MonkeyPatch) -> None:
    image = 0.2 + 0.6 * torch.rand(1, 3, 24, 420)
    whole = restore(model, image)
    monkeypatch.setattr(module, "WHOLE_PIXELS", 24 * 420 - 1)
    monkeypatch.setattr(module, "TILE", 96)
    seen: list[int] = []
    inner = module.refine
    monkeypatch.setattr(module, "refine", lambda m, part, s: seen.append(part.shape[3]) or inner(m, part, s))
    torch.testing.assert_close(restore(model, image), whole, atol=1e-4, rtol=0)
    assert len(seen) == 5
    assert max(seen) <= 96 + 2 * module.MARGIN


def test_a_batch_is_its_pictures_one_by_one(model: DiR, monkeypatch: pytest.MonkeyPatch) -> None:
    images = 0.2 + 0.6 * torch.rand(2, 3, 20, 36)
    together = restore(model, images, tone="repair")
    for image, restored in zip(images, together, strict=True):
        torch.testing.assert_close(restore(model, image[None], tone="repair")[0], restored, atol=1e-5, rtol=0)
    monkeypatch.setattr(module, "WHOLE_PIXELS", 20 * 36 - 1)  # pictures too large to be worked at once
    torch.testing.assert_close(restore(model, images, tone="repair"), together, atol=1e-4, rtol=0)


class Says(nn.Module):
    """A tone head that says the same numbers of every picture."""

    def __init__(self, numbers: Tone) -> None:
        super().__init__()
        self.numbers = numbers

    def forward(self, sheet: torch.Tensor) -> Tone:
        return self.numbers


NUMBERS = Tone(torch.full((1, 3), 0.3), torch.tensor([-0.1]), torch.tensor([0.01]), torch.tensor([0.1]))


def test_keep_leaves_the_tone_as_it_is_and_repair_mends_it() -> None:
    untrained = DiR("tiny").requires_grad_(False)
    untrained.tone = Says(NUMBERS)  # type: ignore[assignment]
    image = 0.02 + 0.7 * torch.rand(1, 3, 16, 16)
    torch.testing.assert_close(restore(untrained, image, tone="keep"), image, atol=1e-4, rtol=0)
    expected = NUMBERS.repair(image).clamp(0, 1)
    torch.testing.assert_close(restore(untrained, image, tone="repair"), expected, atol=1e-4, rtol=0)


def test_the_tone_is_mended_once_the_detail_is() -> None:
    model = shaken()
    model.tone = Says(NUMBERS)  # type: ignore[assignment]
    image = 0.3 + 0.3 * torch.rand(1, 3, 16, 16)
    refined, representation = refine(model, image)
    assert torch.equal(refined, image + model.decode(representation, (16, 16)))
    assert torch.equal(restore(model, image, tone="keep"), refined.clamp(0, 1))
    assert torch.equal(restore(model, image, tone="repair"), NUMBERS.repair(refined).clamp(0, 1))


def test_the_tone_of_a_large_picture_comes_from_all_of_it(model: DiR) -> None:
    image = torch.rand(1, 3, 20, 1200)
    dark = image.clone()
    dark[..., 160:200] *= 0.1  # a stretch between the windows of the montage
    shown, hidden = find_tone(model, image), find_tone(model, dark)
    assert (shown.log_gains - hidden.log_gains).abs().max() > 1e-5


@pytest.mark.parametrize("tone", MODES)
@pytest.mark.parametrize("tile", [None, 64])
def test_strength_is_the_share_of_the_change_and_0_is_exactly_the_picture(
    model: DiR, tone: ToneMode, tile: int | None
) -> None:
    image = 0.3 + 0.4 * torch.rand(1, 3, 40, 150)
    whole, half, none = (restore(model, image, tone=tone, tile=tile, strength=share) for share in (1, 0.5, 0))
    assert torch.equal(none, image)
    inside = (whole > 0.01) & (whole < 0.99)  # not clipped
    torch.testing.assert_close(half[inside], ((image + whole) / 2)[inside])


def test_what_lies_beyond_0_and_1_is_kept_from_the_networks_and_passed_by(model: DiR) -> None:
    image = 0.2 + 0.6 * torch.rand(1, 3, 24, 40)
    beyond = image.clone()
    beyond[..., 10:14, :], beyond[..., 20:24, :] = 3.0, -0.5
    restored = restore(model, beyond)
    assert restored[..., 10:14, :].max() > 2.5
    assert restored[..., 10:14, :].max() <= 3
    assert restored[..., 20:24, :].min() < -0.3
    assert restored[..., 20:24, :].min() >= -0.5
    clipped = restore(model, beyond.clamp(0, 1))
    torch.testing.assert_close(restored[..., :10, :], clipped[..., :10, :], atol=1e-6, rtol=0)


@pytest.mark.parametrize("tile", [None, 64])
def test_a_picture_with_a_profile_is_shown_to_the_networks_as_srgb_and_keeps_its_gamut(
    model: DiR, tile: int | None
) -> None:
    space = space_of(matrix_profile(DISPLAY_P3, SRGB_CURVE))
    assert space is not None
    srgb = 0.3 + 0.4 * torch.rand(1, 3, 40, 150)
    wide = space.from_srgb(srgb)
    plain, restored = restore(model, srgb, tile=tile), restore(model, wide, tile=tile, space=space)
    within = ((plain > 0) & (plain < 1)).all(1, keepdim=True).expand_as(plain)  # sRGB is cut there, the wider is not
    assert within.float().mean() > 0.9
    torch.testing.assert_close(restored[within], space.from_srgb(plain)[within], atol=1e-4, rtol=0)
    assert (restored - restore(model, wide, tile=tile)).abs().max() > 1e-3  # the profile matters
    green = torch.tensor([0.02, 0.98, 0.02]).view(1, 3, 1, 1) + 0.01 * torch.rand(1, 3, 24, 24)  # sRGB has none of it
    kept = restore(model, green, space=space)
    as_srgb = space.to_srgb(kept).mean((0, 2, 3))
    assert as_srgb[0] < -0.05
    assert restore(DiR("tiny").eval(), green, space=space).equal(green)


def test_a_picture_is_restored_in_its_own_pixels(model: DiR, chelsea: torch.Tensor) -> None:
    pixels = chelsea[0, :, :100, :110].permute(1, 2, 0).numpy().copy()
    picture = Picture(pixels, icc=matrix_profile(DISPLAY_P3, SRGB_CURVE))
    image = torch.from_numpy(pixels.transpose(2, 0, 1)[None].copy())
    restore_in_place(model, picture, tile=64)
    assert picture.pixels is pixels
    expected = restore(model, image, tile=64, space=space_of(picture.icc))
    torch.testing.assert_close(torch.from_numpy(pixels).permute(2, 0, 1)[None], expected, atol=1e-6, rtol=0)


def test_charbonnier_is_an_absolute_difference_that_is_smooth_at_0() -> None:
    a = torch.rand(1, 3, 8, 8, requires_grad=True)
    at_zero = charbonnier(a, a.detach())
    assert float(at_zero.detach()) == pytest.approx(0, abs=1e-9)
    assert not torch.autograd.grad(at_zero, a)[0].any()
    assert float(charbonnier(a + 0.5, a).detach()) == pytest.approx(0.5, abs=2e-3)
    assert float(charbonnier(a + 1e-3, a).detach()) == pytest.approx(1e-3 * (math.sqrt(2) - 1), rel=1e-2)


def batch_of(image: torch.Tensor, settings: list[dict]) -> Batch:
    params = ISPParams.from_settings(settings)
    clean = image[..., 100:132, 200:232].expand(len(settings), -1, -1, -1)
    spoiled = degrade(clean, params, exact_jpeg=False)
    return Batch(spoiled, clean, degrade(clean, params.tone_only()), spoiled)


def test_share_left_counts_every_picture_alike() -> None:
    ideal = torch.rand(2, 3, 16, 16)
    spoiled = ideal + torch.tensor([0.3, 0.1]).view(2, 1, 1, 1)
    halved = ideal + torch.tensor([0.15, 0.05]).view(2, 1, 1, 1)
    assert float(share_left(halved, spoiled, ideal, floor=0)) == pytest.approx(0.25, rel=1e-4)
    assert float(share_left(spoiled, spoiled, ideal, floor=0.01)) == pytest.approx((0.9 + 0.5) / 2, rel=1e-4)
    assert float(share_left(ideal, ideal, ideal)) == 0  # clean pictures are no division by zero


def test_what_is_hidden_from_the_networks_is_not_hidden_from_the_loss(model: DiR, chelsea: torch.Tensor) -> None:
    batch = batch_of(chelsea, [draw("seen", 3, name) for name in "ab"])
    batch = batch._replace(shown=torch.full_like(batch.degraded, 0.5))
    losses, _, found, degraded, ideal = Restoration().loss(model, batch)
    seen = model(batch.shown)
    refined = batch.degraded + model.decode(seen, (32, 32))
    assert found is not None
    assert torch.equal(found, seen.refined)
    assert degraded is batch.degraded
    assert ideal is batch.ideal
    assert losses["detail"] == share_left(refined, batch.degraded, batch.ideal)


def test_nothing_to_learn_from_clean_pictures(untrained: DiR, chelsea: torch.Tensor) -> None:
    losses = Restoration().loss(untrained, batch_of(chelsea, [clean_settings()] * 2)).losses
    assert losses.keys() == {"detail"}
    assert losses["detail"] < 1e-5


def test_what_is_wrong_in_tone_alone_is_the_tone_heads_matter(untrained: DiR, chelsea: torch.Tensor) -> None:
    wrong = {"gamma_ratio": 1.3, "exposure": 0.7}
    batch = batch_of(chelsea, [wrong])
    losses, *_, ideal = Restoration().loss(untrained, batch)
    torch.testing.assert_close(ideal, batch.degraded)
    assert losses["detail"] < 1e-5
    sheet = contact_sheet(chelsea)
    clean, params = tone_loss(untrained, sheet, sheet, ISPParams.clean()), ISPParams.from_settings([wrong])
    assert tone_loss(untrained, sheet, degrade(sheet, params), params) > clean + 0.2


def test_what_is_wrong_in_detail_alone_is_the_refinements_matter(untrained: DiR, chelsea: torch.Tensor) -> None:
    noisy = {"shot_noise": 3e-2, "read_noise": 1e-5, "jpeg_quality": 50, "demosaic": "bilinear"}
    batch = batch_of(chelsea, [noisy])
    losses, *_, ideal = Restoration().loss(untrained, batch)
    assert losses["detail"] > 0.5
    torch.testing.assert_close(ideal, batch.clean, atol=1e-5, rtol=0)


def test_the_tone_loss_is_least_for_the_right_tone(untrained: DiR, chelsea: torch.Tensor) -> None:
    params = ISPParams.from_settings([draw("seen", 5, name) for name in "abcd"])
    sheets = contact_sheet(chelsea).expand(4, -1, -1, -1)
    values = []
    model = DiR("tiny").eval()
    for share in (0.0, 0.5, 1.0):
        model.tone = Says(Tone(*(share * number for number in Tone.against(params))))  # type: ignore[assignment]
        values.append(float(tone_loss(model, sheets, degrade(sheets, params), params).detach()))
    assert values[0] > values[1] > values[2]


def test_the_detail_does_not_teach_the_tone_head(chelsea: torch.Tensor) -> None:
    model = shaken().requires_grad_(True)
    losses, _, refined, *_ = Restoration().loss(model, batch_of(chelsea, [draw("seen", 4, "a"), draw("seen", 5, "b")]))
    assert refined is not None
    assert refined.shape == (2, 16, 16, 16)
    gradients = torch.autograd.grad(losses["detail"], list(model.parameters()), allow_unused=True)
    taught = {id(p) for p, g in zip(model.parameters(), gradients, strict=True) if g is not None and g.any()}
    for part in (model.encoder, model.aligner, model.decoder):
        assert taught & {id(parameter) for parameter in part.parameters()}
    assert not taught & {id(parameter) for parameter in model.tone.parameters()}


def test_the_detail_goes_down_on_one_batch(chelsea: torch.Tensor) -> None:
    model = DiR("tiny")
    model.reference.requires_grad_(False)
    batch = batch_of(chelsea, [draw("seen", 5, name) for name in "abcd"])
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=2e-3)
    rows: list[float] = []
    for _ in range(40):
        losses = Restoration().loss(model, batch).losses
        optimizer.zero_grad()
        losses["detail"].backward()
        optimizer.step()
        rows.append(float(losses["detail"].detach()))
    assert rows[-1] < 0.8 * rows[0]
