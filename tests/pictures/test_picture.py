import numpy as np
import pytest
import torch
from sample_files import DISPLAY_P3, matrix_profile, scene, srgb_profile

from dirnet.pictures.picture import Picture
from dirnet.pictures.space import space_of


def given():
    return Picture(scene(dtype=np.float32), depth=16, icc=b"profile", exif=b"Exif\0\0")


def test_there_and_back_through_a_tensor():
    picture = given()
    tensor = picture.to_tensor()
    assert (tuple(tensor.shape), tensor.dtype) == ((1, 3, 37, 53), torch.float32)
    assert tensor[0, 2, 5, 7] == picture.pixels[5, 7, 2]
    back = picture.with_tensor(tensor)
    np.testing.assert_array_equal(back.pixels, picture.pixels)
    assert back.pixels.flags.c_contiguous
    assert (back.depth, back.icc, back.exif) == (16, b"profile", b"Exif\0\0")


def test_the_tensor_has_memory_of_its_own():
    picture = given()
    before = picture.pixels.copy()
    picture.to_tensor().zero_()
    np.testing.assert_array_equal(picture.pixels, before)


def test_a_picture_with_a_profile_of_its_own_is_seen_as_srgb():
    own = matrix_profile(DISPLAY_P3)
    wide, space = Picture(scene(dtype=np.float32), depth=16, icc=own, exif=b"Exif\0\0"), space_of(own)
    assert space is not None
    srgb = wide.in_srgb()
    assert (srgb.icc, srgb.exif, srgb.depth) == (None, b"Exif\0\0", 16)
    expected = space.to_srgb(torch.from_numpy(wide.pixels).permute(2, 0, 1)[None])
    torch.testing.assert_close(wide.to_tensor(), expected.clamp(0, 1))
    torch.testing.assert_close(srgb.to_tensor(), wide.to_tensor())
    assert (wide.to_tensor()[0].permute(1, 2, 0) - torch.from_numpy(wide.pixels)).abs().max() > 0.02


@pytest.mark.parametrize("icc", [None, b"profile", srgb_profile()])
def test_where_nothing_is_to_convert_it_is_itself(icc):
    picture = Picture(scene(dtype=np.float32), icc=icc)
    assert picture.in_srgb() is picture


def test_a_tensor_with_gradients_in_half_precision_is_taken():
    tensor = given().to_tensor().bfloat16().requires_grad_()
    assert given().with_tensor(tensor).pixels.dtype == np.float32


@pytest.mark.parametrize("shape", [(3, 4, 4), (2, 3, 4, 4), (1, 1, 4, 4)])
def test_other_tensors_are_refused(shape):
    with pytest.raises(ValueError, match="wanted \\(1, 3, H, W\\)"):
        given().with_tensor(torch.zeros(shape))


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ({"pixels": np.zeros((4, 4), np.float32)}, "pixels"),
        ({"depth": 12}, "depth: got 12"),
        ({"alpha": np.zeros((3, 4), np.float32)}, "alpha"),
    ],
)
def test_parts_that_do_not_fit_are_refused(parts, reason):
    with pytest.raises(ValueError, match=reason):
        Picture(**{"pixels": np.zeros((4, 4, 3), np.float32), **parts})
