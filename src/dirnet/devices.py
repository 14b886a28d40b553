"""Device, number format, threads and seeds: chosen here, once."""

from __future__ import annotations

import contextlib
import ctypes
import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from dirnet.errors import DirnetError, UsageError

if TYPE_CHECKING:
    import torch

DEVICES = ("auto", "cpu", "cuda", "mps")


def pick_device(name: str = "auto") -> torch.device:
    """The device to compute on: `auto` takes CUDA, then MPS, then the CPU. Raises UsageError where it is absent."""
    import torch

    if name not in DEVICES:
        raise UsageError("Unknown device", got=repr(name), wanted=f"one of {', '.join(DEVICES)}")
    present = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        name = next(kind for kind in ("cuda", "mps", "cpu") if present[kind])
    if not present[name]:
        raise UsageError(f"No {name} device here", cure="Use --device auto or --device cpu.")
    return torch.device(name)


@cache
def cpu_is_fast_in_bf16() -> bool:
    """Whether training in bf16 pays on this CPU: with AMX, or with the wide dot products of Zen 5 (decision 20)."""
    with contextlib.suppress(OSError):
        flags = set(Path("/proc/cpuinfo").read_text().split())
        return "amx_bf16" in flags or flags >= {"avx512_bf16", "avx512_vp2intersect"}  # the latter: Zen 5
    return False


def training_precision(device: torch.device) -> str:
    """Accelerate's name of the number format that is fast here and safe for training: `bf16` or `no` (float32)."""
    import torch

    bf16 = torch.cuda.is_bf16_supported() if device.type == "cuda" else device.type == "cpu" and cpu_is_fast_in_bf16()
    return "bf16" if bf16 else "no"


def usable_cores() -> int:
    """How many cores this process may run on, or its share of them where several were launched together."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))


def use_all_cores() -> None:
    """Give torch every usable core."""
    import torch

    torch.set_num_threads(usable_cores())


def trim_memory() -> None:
    """Give back to the system what the C library keeps of freed memory; where that is not glibc, nothing happens."""
    with contextlib.suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


def import_torchvision():
    """torchvision, or one clear sentence where it is absent or from another build than torch."""
    try:
        import torchvision
    except ModuleNotFoundError as error:
        raise DirnetError("torchvision is not installed", cure="Install dirnet-isp[detect].") from error
    except (RuntimeError, ImportError, OSError) as error:
        import torch

        raise DirnetError(
            "torch and torchvision come from different builds and cannot work together",
            got=f"torch {torch.__version__} ({error})",
            wanted="both from the same source, both with or both without CUDA",
            cure="Uninstall both and install dirnet-isp[detect] afresh, which takes matching builds.",
        ) from error
    return torchvision
