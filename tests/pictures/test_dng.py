import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import rawpy
import torch
from sample_files import exif_block, mosaic, scene, xmp_packet

from dirnet.errors import PictureError
from dirnet.isp.color import camera_ccm
from dirnet.isp.sensor_data import CFA_PATTERNS
from dirnet.pictures.deep import xmp_of_tiff
from dirnet.pictures.dng import write_dng
from dirnet.pictures.exif import exif_of_tiff, parse_exif, reset_orientation
from dirnet.pictures.picture import Picture
from dirnet.pictures.raw import read_raw
from dirnet.pictures.read import read_picture
from dirnet.pictures.write import write_picture


@pytest.mark.parametrize("cfa", CFA_PATTERNS)
@pytest.mark.parametrize(("height", "width"), [(22, 22), (24, 30), (65, 67)])
def test_libraw_reads_it_back_bit_for_bit(tmp_path, cfa, height, width):
    given = mosaic(cfa, height, width)
    write_dng(tmp_path / "a.dng", given)
    with rawpy.imread(str(tmp_path / "a.dng")) as raw:
        numbers = np.rint(given.samples.double().numpy() * (16383 - 512) + 512)
        np.testing.assert_array_equal(raw.raw_image_visible, numbers)
        assert "".join("RGBG"[i] for i in raw.raw_colors_visible[:2, :2].flat) == cfa
        assert raw.black_level_per_channel == [512] * 4
        assert raw.white_level == 16383
        np.testing.assert_allclose(raw.camera_whitebalance[:3], given.white_balance, rtol=1e-5)
        np.testing.assert_allclose(raw.color_matrix[:, :3], given.ccm, atol=1e-3)
        np.testing.assert_allclose(
            np.array(raw.daylight_whitebalance[:3]) / raw.daylight_whitebalance[1], [2, 1, 1.6], rtol=1e-3
        )


@pytest.mark.parametrize("cfa", CFA_PATTERNS)
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_read_raw_gives_the_mosaic_back(tmp_path, cfa, orientation):
    given = mosaic(cfa, orientation=orientation)
    write_dng(tmp_path / "a.dng", given)
    read = read_raw(tmp_path / "a.dng")
    torch.testing.assert_close(read.samples, given.samples, rtol=0, atol=1e-7)
    torch.testing.assert_close(read.white_balance, given.white_balance, rtol=1e-5, atol=0)
    torch.testing.assert_close(read.ccm, given.ccm, rtol=0, atol=1e-3)
    torch.testing.assert_close(read.ccm.sum(1), torch.ones(3))
    assert (read.cfa, read.black_level, read.white_level) == (cfa, 512, 16383)
    assert (read.noise_profile, read.camera, read.orientation) == ((1e-3, 2e-6), "Test One", orientation)


@pytest.mark.parametrize("camera", range(4))
@pytest.mark.parametrize("white_balance", [(1.9, 1.0, 1.5), (2.4, 1.0, 1.9), (0.8, 1.0, 3.2)])
def test_colours_and_noise_of_measured_cameras_come_back(tmp_path, camera, white_balance):
    given = mosaic(
        white_balance=torch.tensor(white_balance),
        daylight=torch.tensor([2.0, 1.0, 1.6]),
        ccm=torch.tensor(camera_ccm([index == camera for index in range(4)])).float(),
        noise_profile=(2.7182818284e-4 * (1 + camera), 3.14159265e-8),
    )
    write_dng(tmp_path / "a.dng", given)
    read = read_raw(tmp_path / "a.dng")
    torch.testing.assert_close(read.ccm, given.ccm, rtol=0, atol=1e-3)
    torch.testing.assert_close(read.white_balance, given.white_balance, rtol=1e-5, atol=0)
    torch.testing.assert_close(read.daylight, given.daylight, rtol=1e-3, atol=0)
    assert read.noise_profile == pytest.approx(given.noise_profile, rel=1e-15)


@pytest.mark.parametrize(("black", "white"), [(0, 255), (64, 1023), (256, 4095), (2056, 15000), (1024, 65535)])
def test_every_number_of_every_depth_comes_back(tmp_path, black, white):
    numbers = np.resize(np.arange(white + 1), (260, 260))
    samples = torch.from_numpy((numbers - black) / (white - black)).float()
    given = mosaic(samples=samples, black_level=float(black), white_level=float(white))
    write_dng(tmp_path / "a.dng", given, white_level=white)
    read = read_raw(tmp_path / "a.dng")
    assert (read.black_level, read.white_level) == (black, white)
    np.testing.assert_array_equal(np.rint(read.samples.double().numpy() * (white - black) + black), numbers)


def test_a_camera_file_goes_through_unchanged(tmp_path):
    path = Path(__file__).parents[3] / "shared" / "data" / "raw" / "colorchart.dng"
    if not path.exists():
        pytest.skip("needs the camera file colorchart.dng in ../shared/data/raw")
    given = read_raw(path)
    write_dng(tmp_path / "a.dng", given, white_level=round(given.white_level))
    read = read_raw(tmp_path / "a.dng")
    assert torch.equal(read.samples, given.samples)
    same = ("cfa", "black_level", "white_level", "noise_profile", "camera", "orientation")
    assert [getattr(read, name) for name in same] == [getattr(given, name) for name in same]
    torch.testing.assert_close(read.white_balance, given.white_balance, rtol=1e-5, atol=0)
    torch.testing.assert_close(read.daylight, given.daylight, rtol=1e-3, atol=0)
    torch.testing.assert_close(read.ccm, given.ccm, rtol=0, atol=1e-3)


def test_writing_takes_no_copy_in_double_precision(tmp_path):
    given = mosaic(height=1000, width=1200)
    write_dng(tmp_path / "a.dng", given)
    tracemalloc.start()
    write_dng(tmp_path / "b.dng", given)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 * given.samples.numel()


def test_neutral_white_balance_stays_neutral(tmp_path):
    write_dng(tmp_path / "a.dng", mosaic(white_balance=torch.ones(3), noise_profile=None))
    read = read_raw(tmp_path / "a.dng")
    torch.testing.assert_close(read.white_balance, torch.ones(3), rtol=1e-4, atol=0)
    assert read.noise_profile is None


def test_another_white_level_scales_the_black_one(tmp_path):
    given = mosaic()
    write_dng(tmp_path / "a.dng", given, white_level=65535)
    read = read_raw(tmp_path / "a.dng")
    assert (read.black_level, read.white_level) == (round(512 * 65535 / 16383), 65535)
    torch.testing.assert_close(read.samples, given.samples, rtol=0, atol=0.51 / 63000)


def test_samples_outside_the_range_are_clipped(tmp_path):
    samples = mosaic().samples.clone()
    samples[0, 0], samples[0, 1] = -1.0, 2.0
    write_dng(tmp_path / "a.dng", mosaic(samples=samples))
    with rawpy.imread(str(tmp_path / "a.dng")) as raw:
        assert raw.raw_image[0, :2].tolist() == [0, 16383]


@pytest.mark.parametrize(
    ("given", "options", "reason"),
    [
        (mosaic(height=21), {}, "30 x 21 px"),
        (mosaic(samples=torch.full((24, 30), float("nan"))), {}, "no numbers"),
        (mosaic(), {"white_level": 70000}, "white 70000"),
        (mosaic(ccm=torch.zeros(3, 3)), {}, "Singular"),
    ],
)
def test_what_cannot_be_written_is_a_sentence_and_leaves_nothing(tmp_path, given, options, reason):
    with pytest.raises(PictureError, match=reason):
        write_dng(tmp_path / "a.dng", given, **options)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_there_is_left_unless_forced(tmp_path):
    path = tmp_path / "a.dng"
    path.write_bytes(b"mine")
    with pytest.raises(PictureError, match="there already"):
        write_dng(path, mosaic())
    assert path.read_bytes() == b"mine"
    write_dng(path, mosaic(), force=True)
    assert read_raw(path).cfa == "RGGB"


def test_a_finished_picture_as_linear_dng_develops_to_itself(tmp_path):
    pixels = scene(60, 80, dtype=np.float32)
    write_picture(tmp_path / "a.dng", Picture(pixels, 16, exif=reset_orientation(exif_block(6)), xmp=xmp_packet(1)))
    with rawpy.imread(str(tmp_path / "a.dng")) as raw:
        as_it_is = {"no_auto_bright": True, "use_camera_wb": True, "adjust_maximum_thr": 0.0, "output_bps": 16}
        developed = raw.postprocess(output_color=rawpy.ColorSpace.sRGB, gamma=(2.4, 12.92), **as_it_is)
    assert developed.shape == pixels.shape
    np.testing.assert_allclose(developed / 65535, pixels, atol=0.004)
    notes = parse_exif(exif_of_tiff(tmp_path / "a.dng"))
    assert (notes[0x010F], notes[0x8769][0x8827]) == ("Maker", 400)
    assert xmp_of_tiff(tmp_path / "a.dng") == xmp_packet(1)
    again = read_picture(tmp_path / "a.dng")
    assert again.depth == 16
    np.testing.assert_allclose(again.pixels, pixels, atol=0.001)  # the curve is steep in the dark, 16 bits or not
    with pytest.raises(PictureError, match="already demosaiced"):
        read_raw(tmp_path / "a.dng")
