"""Photographs through a camera and a frozen model: what the measures of a representation are taken of."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import torch

from dirnet.errors import PictureError
from dirnet.isp.camera import degrade
from dirnet.isp.params import ISPParams
from dirnet.judge.metrics import linear_cka, to_8bit
from dirnet.nets.blocks import channel_statistics
from dirnet.nets.model import DiR, Representation
from dirnet.pictures.folders import Input
from dirnet.pictures.read import read_picture
from dirnet.suites.draw import draw

SIDE, SMALLEST = 256, 64  # pixels of a photograph's middle that are looked at
ROOM = 16  # pixels by which its views may lie apart: neither position nor the phase of a grid ties two views
VIEWS = 6
PLACES, QUERIES = 256, 32  # cells of a scene that are compared, and those of them that are searched for
NEAR, ANYWHERE = 64, 191  # distractors of a query: of the same picture, 8 to 32 pixels away, and of all pictures
NEAR_CELLS = (4, 16)  # a cell is two pixels wide


@dataclass(frozen=True)
class Scene:
    """The middle of a photograph, (3, H, W) 8-bit values, sides multiples of 8; its name; what is looked at in it.

    offsets: (VIEWS + 1, 2) pixels, of each view in the scene, the clean one last. places: (PLACES, 2) and near:
    (QUERIES, NEAR, 2), cells of the region that all views show. All of them depend on name, size and seed alone.
    """

    name: str
    image: torch.Tensor
    offsets: torch.Tensor
    places: torch.Tensor
    near: torch.Tensor


@dataclass(frozen=True)
class Exposures:
    """What the camera made of a scene: pictures (VIEWS + 1, 3, h, w), the clean one last; a row of settings a view.

    aligned: the region that all views show, (VIEWS + 1, 3, h', w').
    """

    pictures: torch.Tensor
    aligned: torch.Tensor
    settings: list[dict[str, Any]]


@dataclass(frozen=True)
class Features:
    """One representation of one scene. V views and the clean one; d = 9 c: a cell with its neighbours.

    patches (V + 1, P, d) at the scene's places; near (Q, NEAR, d) in the second view; pooled (V + 1, 2 c): mean and
    standard deviation of each channel; similarity: linear CKA of spoiled views with the clean one, their mean.
    """

    patches: torch.Tensor
    near: torch.Tensor
    pooled: torch.Tensor
    similarity: float

    @property
    def cells(self) -> torch.Tensor:
        """The patches' middle cells, (V + 1, P, c)."""
        return self.patches.unflatten(2, (9, -1))[:, :, 4]


def read_scene(item: Input, seed: int) -> Scene:
    """The middle of a photograph and what will be looked at in it; PictureError where it is broken or too small."""
    image = read_picture(item.path).to_tensor()[0]
    if min(image.shape[1:]) < SMALLEST:
        sides = f"{image.shape[2]}x{image.shape[1]}"
        raise PictureError(f"{item.path} is too small to diagnose on", got=sides, wanted=f"{SMALLEST} pixels a side")
    for axis in (1, 2):
        side = min(SIDE, image.shape[axis] // 8 * 8)
        image = image.narrow(axis, (image.shape[axis] - side) // 2, side)
    name = item.relative.as_posix()
    random = Random(f"places/{seed}/{name}")
    offsets = [[2 * int(random.random() * (ROOM // 2 + 1)) for _ in range(2)] for _ in range(VIEWS + 1)]
    height, width = ((side - 2 * ROOM) // 2 for side in image.shape[1:])
    places = [_anywhere(height, width, random) for _ in range(PLACES)]
    near = [[_near(place, height, width, random) for _ in range(NEAR)] for place in places[:QUERIES]]
    return Scene(name, to_8bit(image), torch.tensor(offsets), torch.tensor(places), torch.tensor(near))


def distractors(scenes: Sequence[Scene], seed: int) -> torch.Tensor:
    """(S, QUERIES, ANYWHERE): for each query places of any scene, as numbers scene * PLACES + place.

    None lies in the query's own picture less than 8 pixels from it.
    """
    chosen = []
    for number, scene in enumerate(scenes):
        random = Random(f"distractors/{seed}/{scene.name}")
        apart = (scene.places[:, None] - scene.places).double().norm(dim=2) >= NEAR_CELLS[0]
        for query in range(QUERIES):
            row: list[int] = []
            while len(row) < ANYWHERE:
                other, place = divmod(int(random.random() * len(scenes) * PLACES), PLACES)
                if other != number or bool(apart[query, place]):
                    row.append(other * PLACES + place)
            chosen.append(row)
    return torch.tensor(chosen).view(len(scenes), QUERIES, ANYWHERE)


def expose(scene: Scene, suite: str, severity: int, seed: int) -> Exposures:
    """Photograph a scene VIEWS times, every time with settings, noise and offset of its own."""
    settings = [draw(suite, severity, scene.name, view=view, seed=seed) for view in range(VIEWS)]
    height, width = (side - ROOM for side in scene.image.shape[1:])
    crops = torch.stack([scene.image[:, y : y + height, x : x + width] for y, x in scene.offsets.tolist()])
    pictures = torch.cat((to_8bit(degrade(crops[:-1], ISPParams.from_settings(settings))), crops[-1:]))
    return Exposures(pictures, _shared(pictures, ROOM - scene.offsets, ROOM), settings)


@torch.inference_mode()
def see(model: DiR, scene: Scene, pictures: torch.Tensor) -> tuple[dict[str, Features], float]:
    """The three representations of a scene's pictures (V + 1, 3, h, w), tone as it is, and the share of the aligner's
    bounded numbers (s - 1 and m) that are within 1 % of their bound.

    The clean counterpart of the refined representation is the reference.
    """
    seen: Representation = model(pictures.to(next(model.parameters()).device))
    statistics = channel_statistics(torch.cat((seen.baseline, seen.pilot), 1))
    bounded = model.aligner.moments(statistics[:-1]).tanh()
    refined = torch.cat((seen.refined[:-1], seen.pilot[-1:]))
    maps = seen._replace(refined=refined)._asdict()
    height, width = (side // 2 for side in pictures.shape[2:])
    features = {name: _features(scene, feature[..., :height, :width].float().cpu()) for name, feature in maps.items()}
    return features, float((bounded.abs() > 0.99).float().mean())


def untrained(model: DiR) -> DiR:
    """The same network as it is before all training, always with the same weights, on the same device."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return DiR(model.preset).requires_grad_(False).eval().to(next(model.parameters()).device)


def _features(scene: Scene, maps: torch.Tensor) -> Features:
    aligned = _shared(maps, (ROOM - scene.offsets) // 2, ROOM // 2)
    similar = [linear_cka(view, aligned[-1]) for view in aligned[:-1]]
    near = _patches(aligned[1:2], scene.near.flatten(0, 1))[0].unflatten(0, scene.near.shape[:2])
    return Features(_patches(aligned, scene.places), near, channel_statistics(aligned), sum(similar) / len(similar))


def _shared(maps: torch.Tensor, starts: torch.Tensor, room: int) -> torch.Tensor:
    """Of maps (V, c, h, w) the region that all views show: `room` cells smaller, from each view's start (V, 2)."""
    height, width = (side - room for side in maps.shape[2:])
    return torch.stack(
        [one[:, y : y + height, x : x + width] for one, (y, x) in zip(maps, starts.tolist(), strict=True)]
    )


def _patches(maps: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """Maps (V, c, h, w) at places (N, 2), none on the edge -> each cell with its neighbours, (V, N, 9 c)."""
    rows, columns = places.unbind(1)
    around = [maps[:, :, rows + y, columns + x] for y in (-1, 0, 1) for x in (-1, 0, 1)]
    return torch.stack(around, 1).permute(0, 3, 1, 2).flatten(2)


def _anywhere(height: int, width: int, random: Random) -> tuple[int, int]:
    return 1 + int(random.random() * (height - 2)), 1 + int(random.random() * (width - 2))


def _near(place: tuple[int, int], height: int, width: int, random: Random) -> tuple[int, int]:
    """A cell 8 to 32 pixels from the place."""
    while True:
        angle = 2 * math.pi * random.random()
        radius = NEAR_CELLS[0] + (NEAR_CELLS[1] - NEAR_CELLS[0]) * random.random()
        row, column = place[0] + round(radius * math.sin(angle)), place[1] + round(radius * math.cos(angle))
        apart = math.dist(place, (row, column))
        if NEAR_CELLS[0] <= apart <= NEAR_CELLS[1] and 1 <= row < height - 1 and 1 <= column < width - 1:
            return row, column
