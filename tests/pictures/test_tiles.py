import pytest
import torch
from torch import nn
from torch.nn import functional as F

from dirnet.errors import UsageError
from dirnet.pictures.tiles import apply_tiled


class Folded(nn.Module):
    """Pads to multiples of 8, folds 4x4 pixels into channels, convolves twice, unfolds: reach 2 x 4 + 3 + 1 px."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 6, 3, padding=1, padding_mode="reflect")
        self.inner = nn.Sequential(nn.Conv2d(96, 32, 3, padding=1), nn.GELU(), nn.Conv2d(32, 16 * 2, 3, padding=1))

    def forward(self, image):
        height, width = image.shape[2:]
        padded = F.pad(image, (0, -width % 8, 0, -height % 8), mode="replicate")
        return F.pixel_shuffle(self.inner(F.pixel_unshuffle(self.first(padded), 4)), 4)[..., :height, :width]


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


@pytest.mark.parametrize(("height", "width"), [(64, 64), (61, 97), (8, 130), (33, 17)])
@pytest.mark.parametrize(("tile", "margin"), [(16, 16), (24, 13), (40, 16), (1000, 16), (13, 100)])
@torch.no_grad()
def test_tiles_of_a_folding_network_equal_the_whole(height, width, tile, margin):
    network, image = Folded(), torch.rand(1, 3, height, width)
    torch.testing.assert_close(apply_tiled(network, image, tile, margin), network(image), rtol=0, atol=1e-5)


@pytest.mark.parametrize(("height", "width"), [(61, 40), (90, 8)])
@pytest.mark.parametrize(("tile", "margin"), [(16, 16), (8, 20), (1000, 16)])
@torch.no_grad()
def test_the_result_may_take_the_place_of_the_image(height, width, tile, margin):
    image = torch.rand(1, 3, height, width)
    kernel = torch.rand(3, 1, 9, 9)

    def blur(x):
        return F.conv2d(x, kernel, padding=4, groups=3)

    expected = apply_tiled(blur, image, tile, margin)
    assert apply_tiled(blur, image, tile, margin, into=image) is image
    assert torch.equal(image, expected)


@pytest.mark.parametrize("reach", [0, 1, 5, 11])
@torch.no_grad()
def test_a_margin_of_the_reach_is_enough(reach):
    """A box sum of exact numbers: the tiled result is equal to the last bit, at every border too."""
    image = torch.randint(0, 256, (1, 2, 45, 70)).float()
    kernel = torch.ones(2, 1, 2 * reach + 1, 2 * reach + 1)

    def box(x):
        return F.conv2d(x, kernel, padding=reach, groups=2)

    assert torch.equal(apply_tiled(box, image, 16, reach), box(image))


@torch.no_grad()
def test_too_small_a_margin_shows():
    image, kernel = torch.rand(1, 1, 64, 64), torch.ones(1, 1, 25, 25)

    def box(x):
        return F.conv2d(x, kernel, padding=12)

    assert not torch.allclose(apply_tiled(box, image, 16, 8), box(image), atol=1e-2)


def test_tiles_are_bounded_begin_on_the_grid_and_cover_each_core_once():
    seen = []

    def keep(x):
        seen.append(x)
        return x[:, :1] * 2

    image = torch.arange(100 * 90).reshape(1, 1, 100, 90).float().repeat(1, 3, 1, 1)
    output = apply_tiled(keep, image, 30, 5)
    assert torch.equal(output, image[:, :1] * 2)
    assert len(seen) == 4 * 3
    assert max(x.shape[2] for x in seen) <= 32 + 2 * 8
    origins = [divmod(int(x[0, 0, 0, 0]), 90) for x in seen]
    assert all(row % 8 == 0 and column % 8 == 0 for row, column in origins)


def test_nonsense_is_refused():
    image = torch.rand(1, 3, 16, 16)
    for tile, margin in ((0, 4), (16, -1)):
        with pytest.raises(UsageError, match="Tiles make no sense"):
            apply_tiled(lambda x: x, image, tile, margin)
    with pytest.raises(ValueError, match="same height and width"):
        apply_tiled(lambda x: x[..., 1:], image, 8, 0)
    with pytest.raises(ValueError, match="wanted \\(1, C, H, W\\)"):
        apply_tiled(lambda x: x, torch.rand(2, 3, 8, 8), 8, 0)
