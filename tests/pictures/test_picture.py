import numpy as np
import pytest
import torch
from sample_files import scene

from dirnet.pictures.picture import Picture


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
