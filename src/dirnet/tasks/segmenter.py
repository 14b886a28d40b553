"""A small instance segmenter of people, of torchvision's parts, so that masks can be had where nothing is fetched."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from dirnet.devices import import_torchvision

NAME = "person-segmenter"
SIDE = 448  # pixels of the longer side of what it looks at
WIDTH = 64  # channels of the pyramid and of the mask head
HIDDEN = 128  # of the box head
TAPS = {3: 24, 6: 32, 13: 96, 17: 320}  # blocks of MobileNetV2 that end a stride, 4 to 32, and their channels
KINDS = 2  # background, person


def person_segmenter() -> nn.Module:
    """Mask R-CNN (He et al., 2017) with light heads on a pyramid of MobileNetV2 (Sandler et al., 2018); not trained.

    2.5 million parameters. Batch normalisation is folded into the convolutions, as it stays as it was: with three
    pictures a step there is nothing to normalise by. Called as torchvision's detectors.
    """
    vision = import_torchvision()
    from torchvision.models.detection import MaskRCNN, backbone_utils, faster_rcnn, mask_rcnn
    from torchvision.models.detection.anchor_utils import AnchorGenerator

    features = _folded(vision.models.mobilenet_v2(weights=None).features[: max(TAPS) + 1].eval())
    layers = {str(block): str(level) for level, block in enumerate(TAPS)}
    levels = len(TAPS) + 1
    return MaskRCNN(
        backbone_utils.BackboneWithFPN(features, layers, list(TAPS.values()), WIDTH),
        min_size=SIDE, max_size=SIDE,
        rpn_anchor_generator=AnchorGenerator(((24,), (48,), (96,), (192,), (320,)), ((0.5, 1.0, 2.0),) * levels),
        rpn_pre_nms_top_n_train=500, rpn_post_nms_top_n_train=300,
        rpn_pre_nms_top_n_test=300, rpn_post_nms_top_n_test=100,
        box_head=faster_rcnn.TwoMLPHead(WIDTH * 7 * 7, HIDDEN),
        box_predictor=faster_rcnn.FastRCNNPredictor(HIDDEN, KINDS),
        box_batch_size_per_image=128, box_detections_per_img=50,
        mask_head=mask_rcnn.MaskRCNNHeads(WIDTH, (WIDTH, WIDTH), 1),
        mask_predictor=mask_rcnn.MaskRCNNPredictor(WIDTH, WIDTH, KINDS),
    )  # fmt: skip


def begin_from_imagenet(network: nn.Module, state: Mapping[str, torch.Tensor]) -> None:
    """Give a person segmenter the features of an ImageNet MobileNetV2, by torchvision's names ("features.0.0.weight").

    RuntimeError, as of `load_state_dict`, where tensors are missing or of other shapes.
    """
    features = import_torchvision().models.mobilenet_v2(weights=None).features[: max(TAPS) + 1].eval()
    known = features.state_dict()
    own = {key.removeprefix("features."): value for key, value in state.items()}
    counters = {key: value for key, value in known.items() if key.endswith("num_batches_tracked")}
    features.load_state_dict(counters | {key: value for key, value in own.items() if key in known})
    network.backbone.body.load_state_dict(_folded(features).state_dict())  # type: ignore[union-attr]


def _folded(part: nn.Module) -> nn.Module:
    """The same network, each convolution with the normalisation that follows it in one; their names stay."""
    for name, child in part.named_children():
        _folded(child)
        if isinstance(child, nn.Sequential):
            layers = list(child)
            for here, (first, second) in enumerate(itertools.pairwise(layers)):
                if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
                    child[here], child[here + 1] = fuse_conv_bn_eval(first, second), nn.Identity()
            setattr(part, name, child)
    return part
