import tracemalloc
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import rawpy
import tifffile
import torch
from sample_files import mosaic

from dirnet.errors import PictureError
from dirnet.isp.develop import as_shot, develop
from dirnet.isp.params import ISPParams
from dirnet.isp.sensor_data import CFA_PATTERNS
from dirnet.pictures.dng import write_dng
from dirnet.pictures.exif import parse_exif
from dirnet.pictures.raw import _ccm, as_picture, read_raw

RAW = Path(__file__).parents[3] / "shared" / "data" / "raw"


def camera_file(name):
    if not (RAW / name).exists():
        pytest.skip(f"needs the camera file {name} in ../shared/data/raw")
    return RAW / name


def test_a_dng_of_a_canon():
    path = camera_file("colorchart.dng")
    read = read_raw(path)
    stored = tifffile.imread(path)[26:1182, 152:1886]  # its ActiveArea
    expected = (stored.astype(np.float64) - 2056) / (15000 - 2056)
    np.testing.assert_allclose(read.samples.numpy(), expected, atol=1e-6)
    assert (read.cfa, read.black_level, read.white_level) == ("RGGB", 2056, 15000)
    np.testing.assert_allclose(read.white_balance, [2.477, 1, 1.694], atol=2e-3)  # from its AsShotNeutral
    np.testing.assert_allclose(read.ccm.sum(1), 1, atol=1e-6)
    assert read.camera == "Canon EOS Kiss X4"


def test_a_kdc_that_notes_its_own_colours():
    read = read_raw(camera_file("RAW_KODAK_DC50.KDC"))
    assert (tuple(read.samples.shape), read.cfa, read.black_level) == ((512, 768), "GRBG", 0)
    assert torch.equal(read.white_balance, torch.ones(3))
    assert read.daylight is None
    np.testing.assert_allclose(read.ccm[0], [1.8125, -0.3365, -0.476], atol=1e-4)  # its tag 37400
    assert 0 <= read.samples.min() < read.samples.max() <= 1


@pytest.mark.parametrize("name", ["colorchart.dng", "RAW_KODAK_DC50.KDC"])
def test_what_is_developed_is_what_libraw_makes_of_it(name):
    path = camera_file(name)
    exposure = read_raw(path)
    settings = ISPParams.from_settings([as_shot(exposure) | {"demosaic": "bilinear"}])
    ours = as_picture(develop(exposure, settings), exposure.orientation, path).pixels
    with rawpy.imread(str(path)) as raw:
        theirs = raw.postprocess(
            use_camera_wb=True,
            no_auto_bright=True,
            adjust_maximum_thr=0.0,
            output_bps=16,
            gamma=(2.4, 12.92),
            demosaic_algorithm=rawpy.DemosaicAlgorithm.LINEAR,
        )
    difference = np.abs(ours - theirs / 65535)[2:-2, 2:-2]
    assert difference.mean() < 5e-4  # it cuts noise below black before it demosaics
    assert np.median(difference) < 1e-4


def test_a_picture_of_it_is_upright_and_knows_its_camera(tmp_path):
    path = tmp_path / "a.dng"
    write_dng(path, mosaic(orientation=6))
    exposure = read_raw(path)
    developed = torch.rand(1, 3, *exposure.samples.shape)
    picture = as_picture(developed, exposure.orientation, path)
    np.testing.assert_array_equal(picture.pixels, np.rot90(developed[0].permute(1, 2, 0).numpy(), -1))
    assert (picture.depth, picture.source) == (16, path)
    assert parse_exif(picture.exif)[272] == "Test One"


def rewrite(path, **tags):
    """Write the DNG again with some tags changed or added: name -> (code, type, count, value)."""
    with tifffile.TiffFile(path) as tiff:
        page = tiff.pages[0]
        numbers = page.asarray()
        left_to_tifffile = {254, 256, 257, 258, 259, 262, 273, 277, 278, 279, 282, 283, 284, 296, 305}
        kept = [(t.code, int(t.dtype), t.count, t.value, True) for t in page.tags if t.code not in left_to_tifffile]
    new = [(*tag, True) for tag in tags.values()]
    kept = [tag for tag in kept if tag[0] not in {code for code, *_ in new}]
    tifffile.imwrite(
        path, numbers, byteorder="<", photometric=32803, subfiletype=0, extratags=kept + new, metadata=None
    )
    return numbers


@pytest.mark.parametrize("cfa", CFA_PATTERNS)
@pytest.mark.parametrize(("top", "left"), [(0, 0), (4, 2), (1, 0), (0, 1), (3, 5)])
def test_the_crop_to_the_visible_area_keeps_the_phase(tmp_path, cfa, top, left):
    """DNG counts the CFA from the active area; LibRaw lets the visible area begin at even sites."""
    path = tmp_path / "a.dng"
    write_dng(path, mosaic(cfa, 40, 44))
    numbers = rewrite(path, active=(50829, 4, 4, (top, left, 38, 42)))
    read = read_raw(path)
    row, column = top % 2, left % 2
    height, width = read.samples.shape
    visible = numbers[top + row :, left + column :][:height, :width].astype(np.float64)
    assert read.cfa == "".join(np.tile(np.array(list(cfa)).reshape(2, 2), 2)[:, column:][[row, 1 - row], :2].flat)
    np.testing.assert_allclose(read.samples.numpy(), (visible - 512) / (16383 - 512), atol=1e-6)


@pytest.mark.parametrize("cfa", CFA_PATTERNS)
def test_each_site_has_its_own_black_level(tmp_path, cfa):
    path = tmp_path / "a.dng"
    write_dng(path, mosaic(cfa, 40, 44))
    levels = (50714, 5, 4, (64, 1, 65, 1, 66, 1, 67, 1))
    numbers = rewrite(path, active=(50829, 4, 4, (2, 4, 38, 42)), black=levels)[2:38, 4:42].astype(np.float64)
    black = np.tile([[64, 65], [66, 67]], (18, 19))
    read = read_raw(path)
    np.testing.assert_allclose(read.samples.numpy(), (numbers - black) / (16383 - black), atol=1e-6)
    assert read.black_level == 65.5


def test_white_balance_that_the_file_does_not_say_is_daylight(tmp_path):
    path = tmp_path / "a.dng"
    write_dng(path, mosaic())
    rewrite(path, neutral=(50728, 5, 3, (1, 1, 1, 1, 1, 1)))
    with rawpy.imread(str(path)) as raw:
        daylight = np.array(raw.daylight_whitebalance[:3])
    np.testing.assert_allclose(read_raw(path).white_balance, daylight / daylight[1], rtol=1e-5)


def test_daylight_is_what_the_sensor_sees_in_d65(tmp_path):
    path = tmp_path / "a.dng"
    write_dng(path, mosaic(daylight=torch.tensor([2.3, 1.0, 1.4])))
    np.testing.assert_allclose(read_raw(path).daylight, [2.3, 1, 1.4], rtol=1e-3)
    np.testing.assert_allclose(read_raw(path).white_balance, [2, 1, 1.6], rtol=1e-5)


def test_a_camera_of_a_table_has_the_colours_of_a_dng_with_the_same_matrix(tmp_path):
    path = tmp_path / "a.dng"
    write_dng(path, mosaic())
    with tifffile.TiffFile(path) as tiff:
        matrix = np.array(tiff.pages[0].tags[50721].value, float).reshape(3, 3, 2)
    table = np.vstack([matrix[..., 0] / matrix[..., 1], np.zeros(3)])
    known = SimpleNamespace(color_matrix=np.zeros((3, 4)), rgb_xyz_matrix=table)
    np.testing.assert_allclose(_ccm(path, known, None), read_raw(path).ccm, atol=1e-5)
    unknown = SimpleNamespace(color_matrix=np.zeros((3, 4)), rgb_xyz_matrix=np.zeros((4, 3)))
    assert torch.equal(_ccm(path, unknown, None), torch.eye(3))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((3e-4, 5e-7), (3e-4, 5e-7)),
        ((1e-4, 1e-7, 2e-4, 2e-7, 5e-4, 5e-7), (2.5e-4, 2.5e-7)),  # there are two greens to a red
        ((1e-4, 1e-7, 2e-4, 2e-7, 2e-4, 4e-7, 3e-4, 1e-7), (2e-4, 2e-7)),
        ((1e-4, -1e-9), (1e-4, -1e-9)),  # a fit may end below nothing at black
        ((-1e-4, 1e-7), None),
        ((1e-4, float("nan")), None),
        ((1e-4, 1e-7, 2e-4), None),
    ],
)
def test_the_noise_profile_is_that_of_an_average_site(tmp_path, values, expected):
    path = tmp_path / "a.dng"
    write_dng(path, mosaic(noise_profile=None))
    rewrite(path, noise=(51041, 12, len(values), values))
    read = read_raw(path)
    assert read.noise_profile == (pytest.approx(expected, rel=1e-12) if expected else None)
    assert read.camera == "Test One"


def test_reading_takes_no_second_plane_of_floats(tmp_path):
    path = tmp_path / "a.dng"
    write_dng(path, mosaic(height=1000, width=1200))
    read_raw(path)
    tracemalloc.start()
    read = read_raw(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 6 * read.samples.numel()


def test_a_sensor_without_a_bayer_pattern_is_a_sentence(tmp_path):
    path = tmp_path / "xtrans.dng"
    write_dng(path, mosaic(height=48, width=48))
    xtrans = bytes("RGB".index(c) for row in ("GBGGRG", "RGRBGB", "GBGGRG", "GRGGBG", "BGBRGR", "GRGGBG") for c in row)
    rewrite(path, size=(33421, 3, 2, (6, 6)), pattern=(33422, 1, 36, xtrans))
    with pytest.raises(PictureError, match=r"xtrans\.dng comes from a sensor"):
        read_raw(path)


def test_levels_without_a_range_are_a_sentence(tmp_path):
    path = tmp_path / "flat.dng"
    write_dng(path, mosaic())
    rewrite(path, white=(50717, 4, 1, 100))
    with pytest.raises(PictureError, match=r"flat\.dng has no range"):
        read_raw(path)


def test_what_is_no_raw_file_is_a_sentence(tmp_path):
    (tmp_path / "a.dng").write_bytes(b"not at all")
    with pytest.raises(PictureError, match=r"Cannot read .*a\.dng; got"):
        read_raw(tmp_path / "a.dng")
