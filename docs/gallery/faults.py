"""The contact sheet of every fault at every severity: faults.jpg beside this file.

    .venv/bin/python docs/gallery/faults.py

Ranges are those of the suite `wide`; from left to right the clean picture and severities 1 to 5.
"""

from importlib.resources import as_file, files
from pathlib import Path
from random import Random

import numpy as np
import torch
from PIL import Image, ImageDraw

from dirnet.isp.camera import degrade
from dirnet.isp.faults import FAULTS
from dirnet.isp.params import ISPParams, clean_settings
from dirnet.pictures.read import read_picture
from dirnet.suites.suites import SEVERITIES, SUITES

SIDE = 72
LABEL = 150
PLACES = {"chelsea.jpg": (60, 130), "coffee.jpg": (150, 250)}  # top left corners of what is shown


def scene(name: str) -> torch.Tensor:
    with as_file(files("dirnet") / "samples" / name) as path:
        top, left = PLACES[name]
        return read_picture(path).to_tensor()[..., top : top + SIDE, left : left + SIDE]


def row(fault: str, clean: torch.Tensor) -> torch.Tensor:
    pictures = [clean]
    for severity in SEVERITIES:
        settings = clean_settings()
        FAULTS[fault].spoil(settings, *SUITES["wide"].faults[fault][severity - 1], Random(fault))
        settings["noise_seed"] = 1
        pictures.append(degrade(clean, ISPParams.from_settings([settings])))
    return torch.cat(pictures, 3)


def main() -> None:
    scenes = [scene(name) for name in PLACES]
    rows = [torch.cat([row(fault, clean) for clean in scenes], 3) for fault in FAULTS]
    sheet = torch.cat(rows, 2)[0].permute(1, 2, 0).numpy()
    page = Image.new("RGB", (LABEL + sheet.shape[1], sheet.shape[0]), "white")
    page.paste(Image.fromarray(np.rint(sheet * 255).astype(np.uint8)), (LABEL, 0))
    draw = ImageDraw.Draw(page)
    for index, fault in enumerate(FAULTS):
        draw.text((6, index * SIDE + SIDE // 2 - 6), fault, fill="black")
    page.save(Path(__file__).with_name("faults.jpg"), quality=75)


if __name__ == "__main__":
    main()
