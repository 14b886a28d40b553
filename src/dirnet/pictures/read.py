"""One door in: a photograph of any kind becomes a Picture, or a sentence that says why not."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageCms, UnidentifiedImageError

from dirnet.errors import PictureError
from dirnet.pictures.codecs import failures_as, quiet_pillow
from dirnet.pictures.deep import (
    HEAD_BYTES,
    check_size,
    is_deep,
    is_png,
    is_tiff,
    read_deep_png,
    read_deep_tiff,
    tiff_tags,
    xmp_of_tiff,
)
from dirnet.pictures.exif import (
    ORIENTATION,
    exif_of_tiff,
    reset_orientation,
    reset_xmp_orientation,
    turn_upright,
)
from dirnet.pictures.picture import STRIP, Picture, Pixels
from dirnet.pictures.png import foreign_colours

MAX_PIXELS = 256_000_000
# fmt: off
PICTURE_SUFFIXES = frozenset(
    {
        ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".tif", ".tiff", ".bmp", ".dib", ".gif",
        ".ppm", ".pgm", ".pbm", ".pnm", ".tga", ".jp2", ".j2k", ".avif",
    }
)
RAW_SUFFIXES = frozenset(
    {
        ".dng", ".cr2", ".cr3", ".crw", ".nef", ".nrw", ".arw", ".srf", ".sr2", ".raf", ".orf", ".rw2",
        ".pef", ".srw", ".kdc", ".dcr", ".3fr", ".fff", ".erf", ".iiq", ".mef", ".mos", ".mrw", ".rwl", ".x3f",
    }
)
# fmt: on
# What Pillow may open. PostScript and metafiles, which start other programs, and formats it cuts to 8 bits stay out.
_PILLOW_FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "DIB", "GIF", "PPM", "TGA", "JPEG2000", "AVIF")
_PICTURE_HEADS = (b"\xff\xd8\xff", b"\x89PNG", b"RIFF", b"GIF8", b"BM")
_DNG_VERSION = 50706


def read_picture(path: Path, *, max_pixels: int = MAX_PIXELS) -> Picture:
    """Decode the first frame of any picture or RAW file, upright, at its full depth.

    The content decides on the kind, whatever the suffix says; RAW files are told by suffix and content.
    Raises PictureError, naming the file, for what is broken, empty, larger than `max_pixels`, or cannot be kept whole.
    """
    with failures_as(f"Cannot read {path}"):
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
        if not head:
            raise PictureError(f"{path} is empty")
        if _is_raw(path, head):
            return _read_developed(path, max_pixels)
        if is_tiff(head) and is_deep(path, head):
            channels, depth, orientation, icc = read_deep_tiff(path, max_pixels)
            return _picture(channels, depth, orientation, icc, exif_of_tiff(path), xmp_of_tiff(path), path)
        return _read_with_pillow(path, head, max_pixels)


def _is_raw(path: Path, head: bytes) -> bool:
    if path.suffix.lower() in RAW_SUFFIXES:
        return not head.startswith(_PICTURE_HEADS)
    return is_tiff(head) and _DNG_VERSION in tiff_tags(path)


def _read_developed(path: Path, max_pixels: int) -> Picture:
    from dirnet.isp.develop import develop
    from dirnet.pictures.raw import as_picture, read_linear, read_raw

    try:
        exposure = read_raw(path, max_pixels=max_pixels)
    except PictureError:
        linear = read_linear(path, max_pixels=max_pixels)
        if linear is None:
            raise
        return linear
    with torch.no_grad():
        return as_picture(develop(exposure), exposure.orientation, path)


def _read_with_pillow(path: Path, head: bytes, max_pixels: int) -> Picture:
    try:
        with _own_pixel_limit(max_pixels), Image.open(path, formats=_PILLOW_FORMATS) as image:
            check_size(path, image.width, image.height, max_pixels)
            deep = is_deep(path, head) or image.mode[0] in "IF"
            if deep and not is_png(head):
                raise PictureError(
                    f"{path} holds more than 8 bits a channel, which would be lost",
                    got=str(image.format),
                    cure="Convert it to PNG or TIFF of 16 bits.",
                )
            if is_png(head) and (colours := foreign_colours(head)):
                raise PictureError(
                    f"{path} tells its colours by number, which would be lost", got=colours,
                    wanted="sRGB, or a profile", cure="Convert it to one with an ICC profile.",
                )  # fmt: skip
            image.load()  # some notes come after the pixels
            icc = None if image.mode == "CMYK" else image.info.get("icc_profile")
            exif, xmp = image.info.get("exif"), image.info.get("xmp")
            if is_tiff(head):
                exif, xmp = exif_of_tiff(path), xmp_of_tiff(path)
            orientation = _orientation(image)
            channels = read_deep_png(path) if deep else _to_channels(image, spend=True)
            return _picture(channels, 16 if deep else 8, orientation, icc, exif, xmp, path)
    except UnidentifiedImageError as error:
        raise PictureError(
            f"{path} is no picture that can be read", wanted="JPEG, PNG, TIFF, RAW and the like"
        ) from error
    except Image.DecompressionBombError as error:
        raise PictureError(f"{path} is too large", wanted=f"at most {max_pixels} pixels") from error


@contextlib.contextmanager
def _own_pixel_limit(max_pixels: int) -> Iterator[None]:
    """Our limit in place of Pillow's, which belongs to the process: one picture at a time."""
    with quiet_pillow():
        theirs, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, max_pixels
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = theirs


def picture_of(image: Image.Image) -> Picture:
    """An opened image of 8 bits as a Picture, not turned."""
    return _picture(_to_channels(image), 8, 1, image.info.get("icc_profile"), None, None, None)


def _to_channels(image: Image.Image, *, spend: bool = False) -> Pixels:
    """(H, W, 1..4) float32, 0..1: gray, gray + alpha, RGB or RGB + alpha.

    In strips, which spares memory; all the more if the image may be spent: then it is closed.
    """
    image.load()
    seen = _from_cmyk(image) if image.mode == "CMYK" else image
    mode = "L" if seen.mode in ("1", "L", "LA", "La") else "RGB"
    if seen.has_transparency_data:
        mode += "A"
    width, height = seen.size
    samples: Pixels = np.empty((height, width, len(mode)), np.float32)
    strips = [seen.crop((0, top, width, min(top + STRIP, height))) for top in range(0, height, STRIP)]
    if spend:
        seen.close()
        image.close()
    for top in reversed(range(0, height, STRIP)):
        rows = samples[top : top + STRIP]
        np.divide(np.asarray(strips.pop().convert(mode)).reshape(rows.shape), 255, out=rows, dtype=np.float32)
    return samples


def _from_cmyk(image: Image.Image) -> Image.Image:
    """Inks -> sRGB through the picture's own profile, where it has one that works."""
    with contextlib.suppress(ImageCms.PyCMSError, OSError):
        if profile := image.info.get("icc_profile"):
            inks, srgb = ImageCms.ImageCmsProfile(BytesIO(profile)), ImageCms.createProfile("sRGB")
            seen = ImageCms.profileToProfile(image, inks, srgb, ImageCms.Intent.RELATIVE_COLORIMETRIC, "RGB")
            if seen is not None:
                return seen
    return image.convert("RGB")


def _orientation(image: Image.Image) -> int:
    try:
        return image.getexif().get(ORIENTATION, 1)
    except Exception:  # the picture counts: a broken note about it is left out
        return 1


def _picture(
    channels: Pixels,
    depth: int,
    orientation: int,
    icc: bytes | None,
    exif: bytes | None,
    xmp: bytes | None,
    source: Path | None,
) -> Picture:
    channels = turn_upright(channels, orientation)
    grayscale = channels.shape[2] < 3
    return Picture(
        pixels=np.ascontiguousarray(np.repeat(channels[..., :1], 3, axis=2) if grayscale else channels[..., :3]),
        depth=depth,
        alpha=np.ascontiguousarray(channels[..., -1]) if channels.shape[2] in (2, 4) else None,
        grayscale=grayscale,
        icc=icc if icc and icc[36:40] == b"acsp" and icc[16:20] == (b"GRAY" if grayscale else b"RGB ") else None,
        exif=reset_orientation(exif) if exif else None,
        xmp=reset_xmp_orientation(xmp) if xmp else None,
        source=source,
    )
