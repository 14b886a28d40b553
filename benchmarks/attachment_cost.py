"""What an attachment costs beside the network that it is attached to: seconds a picture, bare and attached.

    .venv/bin/python benchmarks/attachment_cost.py

torchvision's Mask R-CNN with ResNet-50 and FPN, untrained and with the 100 detections that a picture may have, on 640 x
480 pictures which it resizes to 800 pixels; and YOLOX-nano at 416, where ../shared/weights is. Each with `tiny` and
`small` in front, and with `tiny` inside. All cores, a few minutes on a quiet machine. Rounds of bare and attached
alternate; the figures are medians over rounds, the ratio that of neighbours. Claims, of Mask R-CNN: at most 1.15 with
`small` in front, 1.10 inside. Writes results/attachment_cost.json.
"""

from __future__ import annotations

import json
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from dirnet.devices import import_torchvision, use_all_cores
from dirnet.nets.model import DiR
from dirnet.tasks.attach import Attached, attach
from dirnet.tasks.inputs import prepare
from dirnet.tasks.networks import load_network
from dirnet.tasks.spec import spec_of

ROUNDS = 7
PICTURE = (480, 640)
LIMITS = {("maskrcnn_resnet50_fpn", "small", "in front"): 1.15, ("maskrcnn_resnet50_fpn", "tiny", "inside"): 1.10}
YOLOX = Path(__file__).parent.parent.parent / "shared" / "weights" / "yolox_nano.onnx"


def mask_rcnn() -> nn.Module:
    """As large as with its weights; thresholds are such that there are as many boxes and masks as there can be."""
    torch.manual_seed(0)
    network = import_torchvision().models.detection.maskrcnn_resnet50_fpn(
        weights=None, weights_backbone=None, box_score_thresh=0.0
    )
    for part in network.modules():
        if type(part).__name__ == "FrozenBatchNorm2d":  # or nothing of the picture comes through untrained layers
            part.get_buffer("running_var").fill_(0.5)
    return network.requires_grad_(False).eval()


def seconds(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def rows_of(name: str, network: nn.Module, inside: tuple[str, ...], inputs: Any) -> list[dict[str, Any]]:
    spec = spec_of(network, "yolox-nano" if name == "yolox-nano" else None)
    variants: dict[tuple[str, str], Attached] = {
        ("tiny", "in front"): attach(network, spec=spec).eval(),
        ("small", "in front"): attach(network, DiR("small").eval(), spec=spec).eval(),
        ("tiny", "inside"): attach(network, at=inside, spec=spec).eval(),
    }
    times: dict[Any, list[float]] = {key: [] for key in ("bare", *variants)}
    with torch.inference_mode():
        for number in range(ROUNDS + 1):
            for key in times:
                called = network if key == "bare" else variants[key]
                found = seconds(lambda called=called: called(inputs))
                if number:  # the first round warms up
                    times[key].append(found)
    rows = []
    for preset, where in variants:
        ratios = [a / b for a, b in zip(times[preset, where], times["bare"], strict=True)]
        ratio, limit = statistics.median(ratios), LIMITS.get((name, preset, where))
        rows.append(
            {
                "network": name, "preset": preset, "where": where, "at": list(inside) if where == "inside" else None,
                "bare": round(statistics.median(times["bare"]), 4),
                "attached": round(statistics.median(times[preset, where]), 4), "ratio": round(ratio, 3),
                "from_to": [round(min(ratios), 3), round(max(ratios), 3)],
                **({} if limit is None else {"limit": limit, "holds": ratio <= limit}),
            }
        )  # fmt: skip
    return rows


def main() -> None:
    use_all_cores()
    picture = torch.rand(3, *PICTURE, generator=torch.Generator().manual_seed(0))
    rows = rows_of("maskrcnn_resnet50_fpn", mask_rcnn(), ("backbone.fpn",), [picture])
    if YOLOX.is_file():
        network, spec = load_network(str(YOLOX))
        rows += rows_of("yolox-nano", network, ("Mul_301", "Mul_334", "Mul_367"), prepare([picture], spec))
    record = {
        "unit": "seconds a picture", "picture": PICTURE, "rounds": ROUNDS, "threads": torch.get_num_threads(),
        "torch": torch.__version__, "machine": platform.machine(), "rows": rows,
    }  # fmt: skip
    results = Path(__file__).parent / "results" / "attachment_cost.json"
    results.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    print(results.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
