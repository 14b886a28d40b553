"""One small file of every kind, made by the libraries that are the oracles."""

import functools
import struct

import imagecodecs
import numpy as np
import tifffile
import torch
from PIL import Image, ImageCms

from dirnet.isp.sensor_data import Mosaic
from dirnet.pictures.dng import write_dng

H, W = 37, 53


def scene(height=H, width=W, channels=3, dtype=np.uint8):
    """A smooth picture with some noise: every file format is at home with it."""
    rng = np.random.default_rng(7)
    y, x = np.mgrid[:height, :width]
    planes = [0.5 + 0.4 * np.sin(x / (5 + k) + y / (9 - k) + k) for k in range(channels)]
    image = np.clip(np.stack(planes, -1) + rng.normal(0, 0.02, (height, width, channels)), 0, 1)
    if dtype == np.float32:
        return image.astype(np.float32)
    return np.rint(image * np.iinfo(dtype).max).astype(dtype).squeeze()


def mosaic(cfa="RGGB", height=24, width=30, **other):
    """A mosaic with samples on the grid of a black level of 512 and a white level of 16383."""
    rng = np.random.default_rng(3)
    numbers = rng.integers(300, 16384, (height, width))
    given = {
        "samples": torch.from_numpy((numbers - 512) / (16383 - 512)).float(),
        "cfa": cfa,
        "black_level": 512.0,
        "white_level": 16383.0,
        "white_balance": torch.tensor([2.0, 1.0, 1.6]),
        "ccm": torch.tensor([[1.2623, -0.4580, 0.1957], [-0.1505, 1.1335, 0.0170], [-0.0106, -0.3623, 1.3729]]),
        "noise_profile": (1e-3, 2e-6),
        "camera": "Test One",
    }
    return Mosaic(**{**given, **other})


@functools.cache  # it holds the time of its making
def srgb_profile():
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


# CIE XYZ (D50) of red, green and blue.
DISPLAY_P3 = ((0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407))
ADOBE_RGB = ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457))
GAMMA = b"curv\0\0\0\0" + struct.pack(">LH", 1, 563) + b"\0\0"  # 2.2, of Adobe RGB
SRGB_CURVE = b"para\0\0\0\0\0\3\0\0" + struct.pack(
    ">5i", *(round(65536 * number) for number in (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045))
)


def matrix_profile(primaries=DISPLAY_P3, curve=SRGB_CURVE):
    """An ICC profile of a display: three primaries and one tone curve."""
    d50 = struct.pack(">3i", 63190, 65536, 54061)
    columns = [struct.pack(">3i", *(round(65536 * number) for number in column)) for column in primaries]
    tags = {b"wtpt": b"XYZ \0\0\0\0" + d50}
    for colour, column in zip((b"r", b"g", b"b"), columns, strict=True):
        tags |= {colour + b"XYZ": b"XYZ \0\0\0\0" + column, colour + b"TRC": curve}
    table, body = struct.pack(">L", len(tags)), b""
    for name, data in tags.items():
        table += struct.pack(">4sLL", name, 132 + 12 * len(tags) + len(body), len(data))
        body += data
    head = b"\2\x40\0\0mntrRGB XYZ " + struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + d50
    whole = head.ljust(120, b"\0") + table + body
    return struct.pack(">L", len(whole) + 8) + b"\0\0\0\0" + whole


def xmp_packet(orientation=6):
    return (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        b'<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" xmlns:xmp="http://ns.adobe.com/xap/1.0/" '
        b'tiff:Orientation="%d" xmp:Rating="5"/></rdf:RDF></x:xmpmeta>' % orientation
    )


def exif_block(orientation=6):
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    exif[0x0112] = orientation
    exif[0x8769] = {0x829A: 0.01, 0x8827: 400, 0x927C: b"maker note"}
    exif[0x8825] = {1: "N", 2: (48.0, 12.0, 30.0)}
    return exif.tobytes()


def make_samples(folder):
    """Write one file of each kind; the name tells it."""
    eight, sixteen = Image.fromarray(scene()), scene(dtype=np.uint16)
    gray, alpha = Image.fromarray(scene(channels=1)), Image.fromarray(scene(channels=4))
    eight.save(folder / "rgb.jpg", quality=92, icc_profile=srgb_profile())
    eight.save(folder / "turned.jpg", exif=exif_block(6))
    gray.save(folder / "gray.jpg")
    eight.convert("CMYK").save(folder / "cmyk.jpg")
    eight.save(folder / "rgb.png", icc_profile=srgb_profile(), exif=exif_block(8))
    eight.quantize(31).save(folder / "palette.png")
    gray.save(folder / "gray.png")
    gray.convert("1").save(folder / "onebit.png")
    alpha.save(folder / "alpha.png")
    alpha.convert("LA").save(folder / "gray_alpha.png")
    (folder / "rgb16.png").write_bytes(imagecodecs.png_encode(sixteen))
    (folder / "gray16.png").write_bytes(imagecodecs.png_encode(scene(channels=1, dtype=np.uint16)))
    (folder / "alpha16.png").write_bytes(imagecodecs.png_encode(scene(channels=4, dtype=np.uint16)))
    eight.save(folder / "rgb.tif", exif=exif_block(1))
    eight.save(folder / "lzw.tif", compression="tiff_lzw")
    eight.convert("CMYK").save(folder / "cmyk.tif")
    tifffile.imwrite(folder / "rgb16.tif", sixteen, photometric="rgb", iccprofile=srgb_profile())
    tifffile.imwrite(folder / "zip16.tif", sixteen, photometric="rgb", compression="zlib", predictor=True)
    tifffile.imwrite(folder / "planes16.tif", np.moveaxis(sixteen, 2, 0), photometric="rgb", planarconfig="separate")
    tifffile.imwrite(
        folder / "alpha16.tif", scene(channels=4, dtype=np.uint16), photometric="rgb", extrasamples=["unassalpha"]
    )
    tifffile.imwrite(folder / "big16.tif", sixteen, photometric="rgb", bigtiff=True, byteorder="<")
    tifffile.imwrite(folder / "motorola16.tif", sixteen, photometric="rgb", byteorder=">")
    tifffile.imwrite(folder / "float.tif", scene(dtype=np.float32) * 1.5 - 0.2, photometric="rgb")
    eight.save(folder / "still.webp", lossless=True)
    alpha.save(folder / "alpha.webp", lossless=True, exact=True)
    eight.save(folder / "animated.gif", save_all=True, append_images=[eight.rotate(90), eight.rotate(180)])
    eight.save(folder / "rgb.bmp")
    eight.save(folder / "rgb.ppm")
    eight.save(folder / "rgb.tga")
    eight.save(folder / "rgb.jp2")
    Image.fromarray(scene(1, 1)[None, None]).save(folder / "one.png")
    Image.fromarray(scene(1, 9)[None]).save(folder / "line.jpg")
    write_dng(folder / "raw.dng", mosaic())
    return folder
