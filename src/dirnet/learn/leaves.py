"""Scenes without a photograph: dead leaves, bare surfaces that hide each other and have no grain at all."""

from __future__ import annotations

import torch
import torch.nn.functional as F

MOST = 48  # leaves
SMALLEST = 2.0  # pixels of radius; the largest are as large as the scene
COLOURFUL = 0.25  # spread of a colour about its grey
SHADING = 0.15  # how much a leaf's lightness changes from edge to edge
SOFTEST = 4.0  # pixels over which an edge out of focus goes


def dead_leaves(size: int, generator: torch.Generator) -> torch.Tensor:
    """A scene (3, size, size) in 0..1: shaded discs of random size and colour, one over the other, on a slope.

    Radii are as of dead leaves (Lee, Mumford and Huang, Occlusion models for natural images, IJCV 41, 2001): their
    density falls with the cube of the radius. They stand for what photographs of few pixels lack: surfaces with nothing
    on them, in and out of focus.
    """

    def draw(*shape: int) -> torch.Tensor:
        return torch.rand(*shape, generator=generator)

    def colours(n: int) -> torch.Tensor:
        return draw(n, 1) + COLOURFUL * (draw(n, 3) - 0.5)

    scene = F.interpolate(colours(4).T.reshape(1, 3, 2, 2), (size, size), mode="bilinear", align_corners=True)[0]
    number = int(MOST * draw(1))
    softness = SOFTEST ** (2 * float(draw(1)) - 1)
    radii = (SMALLEST**-2 + draw(number) * (size**-2 - SMALLEST**-2)) ** -0.5
    places, slopes, faces = draw(number, 2) * size, SHADING * (draw(number, 2) - 0.5), colours(number)
    steps = torch.arange(size) + 0.5
    for radius, (top, left), slope, face in zip(radii.tolist(), places.tolist(), slopes.tolist(), faces, strict=True):
        y, x = (steps - top)[:, None], (steps - left)[None]
        inside = ((radius - (x.square() + y.square()).sqrt()) / softness).sigmoid()
        shade = (slope[0] * y + slope[1] * x) / radius
        scene = torch.lerp(scene, face[:, None, None] + shade, inside)
    return scene.clamp(0, 1)
