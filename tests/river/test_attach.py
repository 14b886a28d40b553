"""The page on attaching: its examples run, one after the other."""

import re
from pathlib import Path

import pytest

from dirnet.tasks.spec import read_spec

PAGE = (Path(__file__).parents[2] / "docs" / "attach.md").read_text(encoding="utf-8")


def test_the_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torchvision")
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert len(blocks) == 7
    names: dict[str, object] = {}
    for number, block in enumerate(blocks):
        exec(compile(block, f"attach.md, block {number}", "exec"), names)


def test_the_spec_is_one(tmp_path: Path) -> None:
    (block,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "spec.toml").write_text(block)
    spec, about = read_spec(tmp_path / "spec.toml")
    assert spec.size == (416, 416)
    assert about == {"network": "mine.onnx"}
