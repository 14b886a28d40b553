from __future__ import annotations

import pytest
import torch

from dirnet.isp.camera import degrade
from dirnet.isp.params import ISPParams, clean_settings
from dirnet.isp.tone import srgb_decode
from dirnet.nets.tone import (
    SHEET_WINDOW,
    SHEET_WINDOWS,
    STATISTICS,
    Standardise,
    Tone,
    ToneHead,
    contact_sheet,
    statistics,
)
from dirnet.suites.draw import draw

SIDE = SHEET_WINDOW * SHEET_WINDOWS
LUMA = torch.tensor([0.2126, 0.7152, 0.0722]).view(3, 1, 1)


def tone(gains: tuple[float, ...] = (1, 1, 1), gamma: float = 1, black: float = 0, saturation: float = 1) -> Tone:
    """A Tone for one picture, by its plain numbers."""
    numbers = (torch.tensor([gains]).log(), *(torch.tensor([x]).log() for x in (gamma, saturation)))
    return Tone(numbers[0], numbers[1], torch.tensor([float(black)]), numbers[2])


NONE = tone()
EVERYTHING = tone(gains=(1.2, 0.9, 1.1), gamma=1.15, black=0.01, saturation=0.8)
SINGLE = {
    "gains": tone(gains=(1.5, 1.0, 0.6)),
    "gamma": tone(gamma=0.7),
    "black": tone(black=0.02),
    "saturation": tone(saturation=1.4),
    "everything": EVERYTHING,
}


@pytest.mark.parametrize("level", [-0.2, 0.0, 1e-5, 0.5, 1.0, 1.3])
def test_zero_numbers_change_nothing_at_all(level: float) -> None:
    image = torch.full((1, 3, 4, 4), level) + torch.rand(1, 3, 4, 4) / 50
    assert torch.equal(NONE.repair(image), image)


def test_each_number_does_what_its_name_says() -> None:
    image = 0.3 + 0.5 * torch.rand(1, 3, 8, 8)
    close = {"atol": 2e-5, "rtol": 0}
    linear = srgb_decode(image)
    gained = srgb_decode(SINGLE["gains"].repair(image))
    torch.testing.assert_close(gained, linear * torch.tensor([1.5, 1.0, 0.6]).view(3, 1, 1), **close)
    torch.testing.assert_close(SINGLE["gamma"].repair(image), image**0.7, **close)
    torch.testing.assert_close(srgb_decode(SINGLE["black"].repair(image)), linear - 0.02, **close)
    grey = (linear * LUMA).sum(1, keepdim=True)
    torch.testing.assert_close(srgb_decode(SINGLE["saturation"].repair(image)), grey + 1.4 * (linear - grey), **close)


def test_each_picture_of_a_batch_has_its_own_numbers() -> None:
    images = 0.3 + 0.5 * torch.rand(2, 3, 8, 8)
    together = Tone(*(torch.cat(pair) for pair in zip(NONE, EVERYTHING, strict=True)))
    assert torch.equal(together.repair(images)[:1], images[:1])
    torch.testing.assert_close(together.repair(images)[1:], EVERYTHING.repair(images[1:]))


def camera(**errors: object) -> ISPParams:
    """A camera whose own colours are those of sRGB, so that gains mean the same on both sides."""
    identity = torch.eye(3).tolist()
    settings = clean_settings() | {"ccm": identity, "ccm_used": identity} | errors
    return ISPParams.from_settings([settings])


@pytest.mark.parametrize(
    ("errors", "cure"),
    [
        ({"gamma_ratio": 1.2}, tone(gamma=1 / 1.2)),
        ({"gamma_ratio": 0.8}, tone(gamma=1 / 0.8)),
        ({"exposure": 0.75}, tone(gains=(1 / 0.75,) * 3)),
        ({"white_balance_ratio": [0.9, 1.0, 0.8]}, tone(gains=(1 / 0.9, 1.0, 1 / 0.8))),
        ({"gamma_ratio": 1.1, "exposure": 0.8}, tone(gamma=1 / 1.1, gains=(1 / 0.8,) * 3)),
    ],
)
def test_the_right_numbers_bring_back_what_a_wrong_camera_did(
    errors: dict[str, object], cure: Tone, chelsea: torch.Tensor
) -> None:
    clean = chelsea[..., 100:164, 100:164]
    spoiled = degrade(clean, camera(**errors))
    assert (spoiled - clean).abs().max() > 0.03
    torch.testing.assert_close(cure.repair(spoiled), clean, atol=1e-4, rtol=0)


@pytest.mark.parametrize("severity", [1, 3, 5])
def test_the_tone_against_drawn_settings_undoes_nearly_all_of_them(severity: int, coffee: torch.Tensor) -> None:
    """What is left is cut highlights and the part of a wrong colour matrix that no saturation mends."""
    rows = [draw("seen", severity, str(i)) for i in range(8)]
    params = ISPParams.from_settings(rows).tone_only()
    clean = coffee[..., :96, :96].expand(8, -1, -1, -1)
    spoiled = degrade(clean, params)
    mended = Tone.against(params).repair(spoiled).clamp(0, 1)
    before, after = (((x - clean) ** 2).mean((1, 2, 3)) for x in (spoiled, mended))
    assert (after < before).all()
    assert after.mean() < before.mean() / 4


def test_the_tone_against_a_clean_camera_is_nothing() -> None:
    torch.testing.assert_close(Tone.against(ISPParams.clean(2)).numbers(), torch.zeros(2, 6), atol=1e-6, rtol=0)


def test_gradients_are_finite_everywhere() -> None:
    image = torch.tensor([-0.1, 0.0, 1e-6, 0.5, 1.0, 1.2]).view(1, 1, 1, 6).repeat(1, 3, 1, 1).requires_grad_()
    numbers = Tone(*(number.clone().requires_grad_() for number in EVERYTHING))
    for gradient in torch.autograd.grad(numbers.repair(image).sum(), (image, *numbers)):
        assert gradient.isfinite().all()


@pytest.mark.parametrize(("height", "width"), [(16, 16), (17, 40), (128, 128), (131, 400), (1000, 24), (2048, 3000)])
def test_a_contact_sheet_shows_windows_from_all_over_the_picture(height: int, width: int) -> None:
    at = torch.arange(height * width).view(1, 1, height, width)
    n, size = SHEET_WINDOWS, SHEET_WINDOW
    sheet = contact_sheet(at)
    assert sheet.shape == (1, 1, SIDE, SIDE)
    windows = sheet[0, 0].unfold(0, size, size).unfold(1, size, size)
    for side, first in ((height, windows[:, 0, 0, 0] // width), (width, windows[0, :, 0, 0] % width)):
        assert (first % 16 == 0).all()  # as the blocks of a JPEG of halved chroma do
        assert first[0] == 0
        assert side - size - 16 < first[-1] <= side - size
        assert (first.diff() - (side - size) / (n - 1)).abs().max() < 16
    within = torch.arange(size)[:, None] * width + torch.arange(size)  # each at full resolution
    assert torch.equal(windows - windows[..., :1, :1], within.expand(n, n, size, size))


def test_showing_and_tone_commute() -> None:
    image = 0.3 + 0.5 * torch.rand(1, 3, 90, 70)
    torch.testing.assert_close(contact_sheet(EVERYTHING.repair(image)), EVERYTHING.repair(contact_sheet(image)))


def shaken_head(by: float) -> ToneHead:
    head = ToneHead().eval()
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.add_(by * torch.randn_like(parameter))
    return head


def test_the_head_starts_at_nothing() -> None:
    assert not any(number.any() for number in ToneHead()(torch.rand(3, 3, SIDE, SIDE)))


def test_the_heads_numbers_have_bounds() -> None:
    numbers = shaken_head(3.0)(torch.rand(4, 3, SIDE, SIDE))
    assert [tuple(number.shape) for number in numbers] == [(4, 3), (4,), (4,), (4,)]
    for number, bound in zip(numbers, (1.0, 0.7, 0.1, 0.7), strict=True):
        assert number.abs().max() <= bound
    assert numbers.log_gains.abs().max() > 0.9


def test_the_head_sees_colour_and_the_finest_texture() -> None:
    head, sheet = shaken_head(0.1), 0.5 * torch.rand(1, 3, SIDE, SIDE)
    numbers = torch.cat([number.flatten() for number in head(sheet)])
    for other in (sheet * 0.9, sheet.flatten(2).sort(2).values.view_as(sheet)):  # darker; the same colours, no noise
        assert (torch.cat([number.flatten() for number in head(other)]) - numbers).abs().max() > 1e-3


def test_a_sheet_of_one_picture_does_not_depend_on_the_others() -> None:
    head, sheets = shaken_head(0.1), torch.rand(3, 3, SIDE, SIDE)
    torch.testing.assert_close(head(sheets).numbers()[1:2], head(sheets[1:2]).numbers(), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
def test_statistics_of_constant_pictures_are_numbers(level: float) -> None:
    table = statistics(torch.full((2, 3, SIDE, SIDE), level))
    assert table.shape == (2, STATISTICS)
    assert table.isfinite().all()
    assert (table[0, :105] == level).all()  # every quantile


def test_statistics_tell_grain_blocks_and_cut_highlights(chelsea: torch.Tensor) -> None:
    """The statistic that is meant to tell each thing apart moves, and by more than the sheet's colours do."""
    clean = statistics(contact_sheet(chelsea))[0]
    noisy = statistics(contact_sheet(chelsea + 0.03 * torch.randn(chelsea.shape)))[0]
    coded = statistics(contact_sheet(degrade(chelsea, camera(jpeg_quality=10))))[0]
    bright = statistics(contact_sheet((chelsea * 2).clamp(max=1)))[0]
    cut, grain, edges = slice(105, 108), slice(125, 128), -1
    assert (noisy[grain] > clean[grain] + 0.3).all()
    assert coded[edges] > 1.5 * clean[edges]
    assert (bright[cut] > clean[cut]).any()


def test_standardised_columns_have_mean_0_and_spread_1() -> None:
    table = torch.tensor([3.0, -200.0]) + torch.tensor([0.1, 40.0]) * torch.randn(64, 2)
    layer = Standardise(2)
    for _ in range(400):
        layer(table)
    layer.eval()
    out = layer(table)
    torch.testing.assert_close(out.mean(0), torch.zeros(2), atol=0.02, rtol=0)
    torch.testing.assert_close(out.std(0), torch.ones(2), atol=0.05, rtol=0)
    assert layer(torch.full((1, 2), 1e6)).abs().max() == 6
    before = layer.mean.clone()
    layer(table + 5)
    assert torch.equal(layer.mean, before)  # it moves in training alone


def test_the_head_learns_to_undo_a_wrong_gamma(chelsea: torch.Tensor) -> None:
    """Four gammas of one picture: it must tell them apart, since no single number mends them all."""
    clean = contact_sheet(chelsea).expand(4, -1, -1, -1)
    ratios = torch.tensor([0.8, 0.9, 1.1, 1.25])
    spoiled = degrade(clean, ISPParams.from_settings([{"gamma_ratio": r} for r in ratios.tolist()]))
    head = ToneHead()
    optimizer = torch.optim.Adam(head.parameters(), lr=3e-3)

    def loss() -> torch.Tensor:
        return (head(spoiled).repair(spoiled) - clean).abs().mean()

    before = loss().item()
    for _ in range(150):
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()
    head.eval()
    assert loss().item() < 0.3 * before
