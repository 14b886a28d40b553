from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from dirnet.errors import UsageError
from dirnet.isp.calibrate import calibrate
from dirnet.isp.camera import expose
from dirnet.isp.params import ISPParams
from dirnet.isp.sensor import add_banding, add_noise, digitise, noise_like
from dirnet.isp.sensor_data import CFA_PATTERNS, Mosaic

BLACK, WHITE = 1024.0, 16383.0
LEVELS = (0.0, 0.02, 0.1, 0.3, 0.6)


def flat(
    level: float, seed: int, noise: tuple[float, float] = (1e-3, 1e-5), *, cfa: str = "RGGB", size: int = 256
) -> Mosaic:
    """An even surface behind vignetting and unequal pixels, alike in every frame; red and blue are darker."""
    y, x = torch.meshgrid(torch.linspace(-1, 1, size), torch.linspace(-1, 1, size), indexing="ij")
    dust = 1 + 0.05 * torch.randn(size, size, generator=torch.Generator().manual_seed(1))
    light = level * (1 - 0.3 * (x**2 + y**2)) * dust
    for site, colour in enumerate(cfa):
        light[site // 2 :: 2, site % 2 :: 2] *= {"R": 0.5, "G": 1.0, "B": 0.7}[colour]
    samples, seeds = light[None, None], torch.tensor([seed])
    shot, read = (torch.tensor([value]) for value in noise)
    samples = add_noise(samples, shot, read, noise_like(samples, seeds))
    black = torch.tensor([BLACK / WHITE])
    samples = digitise(samples, black, torch.zeros(1), torch.tensor([14]))
    daylight = torch.tensor([2.0, 1.0, 1.6])
    return Mosaic(samples[0, 0], cfa, BLACK, WHITE, daylight, torch.eye(3), camera="Test One")


def flats(
    *levels: float, noise: tuple[float, float] = (1e-3, 1e-5), cfa: str = "RGGB", size: int = 256
) -> list[Mosaic]:
    return [flat(level, 2 * i + j, noise, cfa=cfa, size=size) for i, level in enumerate(levels) for j in (0, 1)]


@pytest.mark.parametrize("noise", [(1e-3, 1e-5), (1.2e-2, 2.2e-4), (1e-4, 1e-6)])
def test_shot_and_read_noise_come_back(noise: tuple[float, float]) -> None:
    calibration = calibrate(flats(*LEVELS, noise=noise))
    assert calibration.camera == "Test One"
    assert calibration.left_out == []
    line = calibration.noise
    assert line.shot_noise == pytest.approx(noise[0], rel=0.03)
    assert line.read_noise == pytest.approx(noise[1], rel=0.03)
    assert abs(line.shot_noise - noise[0]) < 4 * line.shot_noise_error
    assert abs(line.read_noise - noise[1]) < 4 * line.read_noise_error
    assert list(calibration.planes) == ["R", "Gr", "Gb", "B"]
    for plane in calibration.planes.values():
        assert abs(plane.shot_noise - noise[0]) < 4 * plane.shot_noise_error
    assert len(calibration.points) == 4 * len(LEVELS)


def test_it_measures_what_the_camera_was_told() -> None:
    settings = {"shot_noise": 1e-3, "read_noise": 1e-5, "bit_depth": 14, "cfa": "BGGR"}
    frames = [
        expose(torch.full((1, 3, 301, 300), grey), ISPParams.from_settings([{**settings, "noise_seed": seed + half}]))
        for seed, grey in ((0, 0.1), (2, 0.3), (4, 0.5), (6, 0.8))
        for half in (0, 1)
    ]
    line = calibrate(frames).noise
    assert (line.shot_noise, line.read_noise) == pytest.approx((1e-3, 1e-5), rel=0.03)


def test_the_fit_is_numpys_weighted_one() -> None:
    calibration = calibrate(flats(*LEVELS))
    mean, variance, error = np.array([(p.mean, p.variance, p.error) for p in calibration.points]).T
    (shot, read), covariance = np.polyfit(mean, variance, 1, w=1 / error, cov="unscaled")
    line = calibration.noise
    assert (line.shot_noise, line.read_noise) == pytest.approx((shot, read), rel=1e-9)
    misfit = max(1.0, np.mean(((variance - shot * mean - read) / error) ** 2) * len(mean) / (len(mean) - 2))
    expected = np.sqrt(np.diag(covariance) * misfit)
    assert (line.shot_noise_error, line.read_noise_error) == pytest.approx(tuple(expected), rel=1e-6)


def test_standard_errors_say_how_far_off_it_is() -> None:
    """Over many calibrations, what they are off by has the size of their own standard errors."""
    off = []
    for trial in range(60):
        frames = [flat(level, 1000 * trial + 2 * i + j, size=64) for i, level in enumerate(LEVELS) for j in (0, 1)]
        line = calibrate(frames).noise
        off.append(((line.shot_noise - 1e-3) / line.shot_noise_error, (line.read_noise - 1e-5) / line.read_noise_error))
    assert (np.abs(np.mean(off, axis=0)) < 0.5).all()
    spread = np.std(off, axis=0)
    assert ((spread > 0.6) & (spread < 1.3)).all()


def test_points_are_means_and_variances_of_each_plane() -> None:
    calibration = calibrate(flats(0.1, 0.5, cfa="GBRG"))
    means = {point.plane: point.mean for point in calibration.points if point.frames == (3, 4)}
    assert means["R"] / means["Gr"] == pytest.approx(0.5, rel=0.02)
    assert means["B"] / means["Gb"] == pytest.approx(0.7, rel=0.02)


@pytest.mark.parametrize("cfa", CFA_PATTERNS)
def test_the_green_of_red_rows_is_gr(cfa: str) -> None:
    frames = flats(0.1, 0.5, cfa=cfa, size=64)
    red_row = cfa.index("R") // 2
    for frame in frames:
        frame.samples[red_row::2] *= 0.5
    means = {point.plane: point.mean for point in calibrate(frames).points if point.frames == (3, 4)}
    assert means["Gr"] / means["Gb"] == pytest.approx(0.5, rel=0.02)


def test_clipped_planes_are_left_out_with_a_sentence() -> None:
    calibration = calibrate(flats(*LEVELS, 1.1))
    assert [sentence.split(":")[0] for sentence in calibration.left_out] == [
        "Frames 11 and 12, Gr",
        "Frames 11 and 12, Gb",
    ]
    assert "% of the samples are clipped" in calibration.left_out[0]
    assert calibration.noise.shot_noise == pytest.approx(1e-3, rel=0.03)


def test_stuck_pixels_do_no_harm() -> None:
    frames = flats(*LEVELS)
    for frame in frames:
        frame.samples.view(-1)[::5003] = 1.0
    calibration = calibrate(frames)
    assert calibration.left_out == []
    assert calibration.noise.read_noise == pytest.approx(1e-5, rel=0.03)


def test_banding_counts_as_noise_that_does_not_grow_with_light() -> None:
    frames = flats(*LEVELS)
    sigma = torch.tensor([0.004])
    banded = [
        replace(frame, samples=add_banding(frame.samples[None, None], sigma, torch.tensor([i]))[0, 0])
        for i, frame in enumerate(frames)
    ]
    assert calibrate(banded).noise.read_noise == pytest.approx(1e-5 + 0.004**2, rel=0.15)


def test_read_noise_is_never_below_nothing() -> None:
    """Bright frames alone tell little of what happens in the dark: the line may come out below zero there."""
    lines = [
        calibrate([flat(x, 10 * t + i, (1e-3, 0.0), size=64) for i, x in enumerate((0.5, 0.5, 0.8, 0.8))]).noise
        for t in range(12)
    ]
    assert min(line.read_noise for line in lines) == 0
    for line in lines:
        assert abs(line.shot_noise - 1e-3) < 4 * line.shot_noise_error


def test_the_order_of_exposures_does_not_matter() -> None:
    frames = flats(*LEVELS)
    backwards = [frames[i + j] for i in range(len(frames) - 2, -1, -2) for j in (0, 1)]
    assert calibrate(iter(backwards)).noise.shot_noise == pytest.approx(calibrate(frames).noise.shot_noise, rel=1e-9)


small = {"size": 64}
NONSENSE = {
    "no frames": ([], "no frames"),
    "odd": (flats(0.1, 0.5, **small)[:3], "got an odd number, 3; wanted two of each exposure"),
    "one level": (flats(0.3, 0.3, 0.31, **small), "same light"),
    "one pair": (flats(0.3, **small), "same light"),
    "all clipped": (flats(3.0, 5.0, **small), "No frame can be used.*clipped"),
    "sizes": ([*flats(0.1, **small), *flats(0.5, size=62)], "Frame 3 has another size.*62 x 62 px.*64 x 64 px"),
    "patterns": ([*flats(0.1, **small), *flats(0.5, cfa="BGGR", **small)], "another pattern"),
    "cameras": ([*flats(0.1, **small), *(replace(f, camera="Two") for f in flats(0.5, **small))], "another camera"),
    "levels": ([*flats(0.1, **small), *(replace(f, black_level=512.0) for f in flats(0.5, **small))], "another black"),
    "not pairs": ([flat(x, i, **small) for i, x in enumerate((0.1, 0.5, 0.5, 0.1))], "not of one exposure"),
    "twice the same": ([flat(x, 1, **small) for x in (0.1, 0.1, 0.5, 0.5)], "the same frame twice"),
    "dark": ([flat(0.0, i, **small) for i in range(8)], "does not grow"),
    "denoised": ([flat(x, i, (0.0, 1e-5), **small) for i, x in enumerate((0.1, 0.1, 0.5, 0.5))], "does not grow"),
    "no numbers": ([replace(f, samples=f.samples * torch.nan) for f in flats(0.1, 0.5, **small)], "No frame can"),
    "a line": ([replace(f, samples=f.samples[:1]) for f in flats(0.1, 0.5, **small)], "too small"),
}  # fmt: skip


@pytest.mark.parametrize("case", NONSENSE)
def test_nonsense_is_refused_in_a_sentence(case: str) -> None:
    frames, reason = NONSENSE[case]
    with pytest.raises(UsageError, match=reason):
        calibrate(frames)
