import numpy as np
from sample_files import scene

from dirnet.pictures import compare
from dirnet.pictures.compare import middle, side_by_side
from dirnet.pictures.picture import Picture


def test_before_is_on_the_left_and_after_on_the_right_below_their_labels():
    before = Picture(scene(dtype=np.float32), icc=b"profile", exif=b"Exif\0\0", alpha=np.ones((37, 53), np.float32))
    after = before.with_pixels(1 - before.pixels)
    both = side_by_side(before, after).pixels
    assert both.shape == (37 + 28, 2 * 53 + 4, 3)
    np.testing.assert_allclose(both[28:, :53], before.pixels, atol=1e-6)
    np.testing.assert_allclose(both[28:, -53:], after.pixels, atol=1e-6)
    assert (both[28:, 53:57] == 1).all()
    for bar in (both[:28, :53], both[:28, -53:]):
        assert (bar == 0).mean() > 0.5
        assert bar.max() == 1  # there is writing


def test_of_a_large_picture_the_middle_is_shown_unscaled(monkeypatch):
    monkeypatch.setattr(compare, "SIDE", 20)
    picture = Picture(scene(dtype=np.float32), alpha=scene(channels=1, dtype=np.float32)[..., 0])
    cut = middle(picture)
    np.testing.assert_array_equal(cut.pixels, picture.pixels[8:28, 16:36])
    np.testing.assert_array_equal(cut.alpha, picture.alpha[8:28, 16:36])
    cut.pixels[:] = 0
    assert picture.pixels[8:28].any()  # it is a copy
