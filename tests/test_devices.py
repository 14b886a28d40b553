from __future__ import annotations

import ctypes
import os
import platform
import sys
from pathlib import Path
from unittest.mock import Mock

import pytest
import torch

from dirnet import devices
from dirnet.errors import DirnetError, UsageError


def machine(monkeypatch: pytest.MonkeyPatch, *present: str) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: "cuda" in present)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: "mps" in present)


@pytest.mark.parametrize(
    ("present", "best"), [((), "cpu"), (("mps",), "mps"), (("cuda",), "cuda"), (("mps", "cuda"), "cuda")]
)
def test_auto_takes_the_fastest_there_is(monkeypatch: pytest.MonkeyPatch, present: tuple[str, ...], best: str) -> None:
    machine(monkeypatch, *present)
    assert devices.pick_device("auto") == devices.pick_device() == torch.device(best)
    assert devices.pick_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize("name", ["cuda", "mps"])
def test_an_absent_device_is_refused_with_a_cure(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    machine(monkeypatch)
    with pytest.raises(UsageError, match=f"No {name} device") as caught:
        devices.pick_device(name)
    assert "--device cpu" in caught.value.cure


def test_an_unknown_device_is_refused_with_the_list() -> None:
    with pytest.raises(UsageError, match="'gpu'") as caught:
        devices.pick_device("gpu")
    assert all(name in caught.value.wanted for name in devices.DEVICES)


@pytest.mark.parametrize(
    ("cpu", "fast"),
    [
        ("flags : avx512f amx_bf16 amx_tile", True),
        ("flags : avx512_bf16 clzero avx512_vp2intersect", True),
        ("flags : avx512f avx512_bf16 clzero", False),
        ("flags : avx2", False),
        (None, False),
    ],
)
def test_bf16_on_a_cpu_only_where_it_pays(monkeypatch: pytest.MonkeyPatch, cpu: str | None, fast: bool) -> None:
    def read_text(path: Path) -> str:
        if cpu is None:
            raise FileNotFoundError(path)
        return cpu

    monkeypatch.setattr(Path, "read_text", read_text)
    devices.cpu_is_fast_in_bf16.cache_clear()
    try:
        assert devices.cpu_is_fast_in_bf16() is fast
        assert devices.training_precision(torch.device("cpu")) == ("bf16" if fast else "no")
    finally:
        devices.cpu_is_fast_in_bf16.cache_clear()


@pytest.mark.parametrize(("supported", "precision"), [(True, "bf16"), (False, "no")])
def test_precision_on_a_gpu(monkeypatch: pytest.MonkeyPatch, supported: bool, precision: str) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: supported)
    assert devices.training_precision(torch.device("cuda")) == precision
    assert devices.training_precision(torch.device("mps")) == "no"


@pytest.mark.parametrize(("processes", "threads"), [(None, 3), ("1", 3), ("2", 1), ("4", 1)])
def test_all_cores_are_those_this_process_may_use(
    monkeypatch: pytest.MonkeyPatch, processes: str | None, threads: int
) -> None:
    """Where several were launched together, its share of them."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 3, 4}, raising=False)
    if processes:
        monkeypatch.setenv("LOCAL_WORLD_SIZE", processes)
    try:
        devices.use_all_cores()
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(1)


def _resident() -> int:
    """Bytes of this process that are in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="what is freed is kept by glibc")
def test_freed_memory_goes_back_to_the_system() -> None:
    library = ctypes.CDLL(None)
    library.malloc.restype, library.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
    size, blocks = 4096, []
    for _ in range(25_000):
        block = library.malloc(size)
        ctypes.memset(block, 1, size)
        blocks.append(block)
    last = library.malloc(size)  # on top of the heap: as long as it is there, the heap does not shrink by itself
    for block in blocks:
        library.free(block)
    before = _resident()
    devices.trim_memory()
    assert before - _resident() > 0.8 * size * len(blocks)
    library.free(last)


@pytest.mark.parametrize("error", [AttributeError, OSError, TypeError])
def test_where_there_is_no_glibc_memory_stays(monkeypatch: pytest.MonkeyPatch, error: type[Exception]) -> None:
    library = Mock(side_effect=error)
    monkeypatch.setattr(ctypes, "CDLL", library)
    devices.trim_memory()
    library.assert_called_once_with(None)


def test_without_torchvision_there_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchvision", None)
    with pytest.raises(DirnetError, match=r"not installed.*dirnet-isp\[detect\]"):
        devices.import_torchvision()


def test_torchvision_of_another_build_is_a_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "torchvision.py").write_text("raise RuntimeError('operator torchvision::nms does not exist')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "torchvision", raising=False)
    with pytest.raises(DirnetError, match="different builds") as caught:
        devices.import_torchvision()
    assert "torchvision::nms" in caught.value.got
    assert torch.__version__ in caught.value.got
