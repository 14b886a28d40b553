import numpy as np
import pytest
import tifffile
from PIL import Image

from dirnet.pictures.tiff import write_tiff


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize(("height", "width"), [(1, 1), (7, 5), (700, 601)])
def test_tifffile_and_libtiff_read_the_same_numbers(tmp_path, dtype, channels, height, width):
    """The large ones are of several strips."""
    path = tmp_path / "a.tif"
    shape = (height, width) if channels == 1 else (height, width, channels)
    samples = np.random.default_rng(5).integers(0, np.iinfo(dtype).max + 1, shape, dtype)
    write_tiff(path, samples, None, {})
    np.testing.assert_array_equal(tifffile.imread(path), samples.squeeze() if channels == 1 else samples)
    if dtype == np.uint8 or channels == 1:
        with Image.open(path) as image:
            np.testing.assert_array_equal(np.asarray(image), samples)


def test_tags_are_those_of_a_baseline_tiff(tmp_path):
    write_tiff(tmp_path / "a.tif", np.zeros((4, 5, 4), np.uint16), b"profile", {271: "Maker", 34665: {34855: 400}})
    with tifffile.TiffFile(tmp_path / "a.tif") as tiff:
        page = tiff.pages[0]
        assert (page.photometric, page.extrasamples, page.iccprofile) == (2, (2,), b"profile")
        assert (page.tags[271].value, page.tags[34665].value) == ("Maker", {"ISOSpeedRatings": 400})
        assert [tag.code for tag in page.tags] == sorted(tag.code for tag in page.tags)
