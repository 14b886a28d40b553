import struct
from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms
from sample_files import ADOBE_RGB, DISPLAY_P3, GAMMA, SRGB_CURVE, matrix_profile, srgb_profile

from dirnet.pictures.space import space_of

TABLE = b"curv\0\0\0\0" + struct.pack(">L1024H", 1024, *(round(65535 * (i / 1023) ** 1.8) for i in range(1024)))
PROFILES = [(DISPLAY_P3, SRGB_CURVE), (ADOBE_RGB, GAMMA), (ADOBE_RGB, TABLE)]


def colours(least=0.0, most=1.0):
    return least + (most - least) * torch.rand(1, 3, 40, 50, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(("primaries", "curve"), PROFILES)
def test_colours_that_srgb_has_are_those_of_lcms(primaries, curve):
    profile = matrix_profile(primaries, curve)
    coded = np.rint(colours(0.3, 0.8)[0].permute(1, 2, 0).numpy() * 255).astype(np.uint8)
    wide, srgb = ImageCms.ImageCmsProfile(BytesIO(profile)), ImageCms.createProfile("sRGB")
    expected = np.asarray(ImageCms.profileToProfile(Image.fromarray(coded), wide, srgb, renderingIntent=1), float)
    space = space_of(profile)
    assert space is not None
    ours = space.to_srgb(torch.from_numpy(coded).permute(2, 0, 1)[None] / 255)[0].permute(1, 2, 0).numpy() * 255
    inside = (ours > 1).all(2) & (ours < 254).all(2)
    assert inside.mean() > 0.5
    assert np.abs(ours - expected)[inside].max() < 1.5
    assert np.abs(coded - expected)[inside].mean() > 2  # the conversion matters


@pytest.mark.parametrize(("primaries", "curve"), PROFILES)
def test_there_and_back_is_the_way_of_every_colour(primaries, curve):
    space = space_of(matrix_profile(primaries, curve))
    assert space is not None
    image = colours(-0.1, 1.2)
    image[..., :5] = torch.tensor([0.0, 1.0, 0.0])[None, :, None, None]
    there = space.to_srgb(image)
    assert there[..., :5].min() < -0.01  # green that sRGB has not
    assert there.dtype == torch.float32
    usual = image.amin(1, keepdim=True).expand_as(image) > 0.1
    torch.testing.assert_close(space.from_srgb(there)[usual], image[usual], atol=2e-5, rtol=0)
    torch.testing.assert_close(space.from_srgb(there), image, atol=0.02, rtol=0)  # near 0 the curves are steep


@pytest.mark.parametrize("icc", [None, b"", b"no profile", srgb_profile(), bytes(200)])
def test_srgb_and_what_is_no_profile_need_no_conversion(icc):
    assert space_of(icc) is None
    assert space_of(matrix_profile()) is not None


def test_a_broken_profile_is_no_space_and_no_failure():
    whole, rng = matrix_profile(ADOBE_RGB, TABLE), np.random.default_rng(2)
    assert all(space_of(whole[:length]) is None for length in range(0, len(whole), 97))
    for _ in range(60):
        broken = bytearray(whole)
        for place in rng.integers(128, 330, 3):
            broken[place] ^= 1 << rng.integers(0, 8)
        if space := space_of(bytes(broken)):
            assert space.to_srgb(colours()).isfinite().all()


def test_what_is_far_beyond_srgb_comes_back() -> None:
    """The greens of ProPhoto RGB, whose red is -11 in sRGB."""
    pro_photo = ((0.7977, 0.2880, 0.0), (0.1352, 0.7119, 0.0), (0.0313, 0.0001, 0.8249))
    space = space_of(matrix_profile(pro_photo, TABLE))
    assert space is not None
    image = torch.tensor([0.02, 0.95, 0.05])[None, :, None, None].expand(1, 3, 4, 4)
    assert space.to_srgb(image)[:, 0].max() < -1
    torch.testing.assert_close(space.from_srgb(space.to_srgb(image)), image, atol=2e-3, rtol=0)


def gray_profile(curve):
    """A profile of gray by one curve."""
    tag = 128 + 4 + 12
    head = bytearray(128)
    head[16:20], head[36:40] = b"GRAY", b"acsp"
    return bytes(head) + struct.pack(">L4sLL", 1, b"kTRC", tag, len(curve)) + curve


def test_a_curve_of_gray_is_a_space_and_the_curve_of_srgb_none():
    linear = space_of(gray_profile(b"curv\0\0\0\0" + struct.pack(">L", 0)))
    assert linear is not None
    light = torch.linspace(0, 1, 21).reshape(1, 1, 3, 7).expand(-1, 3, -1, -1)
    coded = torch.where(light > 0.0031308, 1.055 * light.clamp(min=1e-6) ** (1 / 2.4) - 0.055, 12.92 * light)
    torch.testing.assert_close(linear.to_srgb(light), coded, atol=1e-3, rtol=0)
    assert space_of(gray_profile(SRGB_CURVE)) is None
