"""From end to end: what the first screen of the README promises."""

import hashlib
import re
from pathlib import Path

import pytest
import torch

import dirnet
from dirnet.judge.metrics import psnr, to_8bit
from dirnet.judge.records import read_records
from dirnet.nets.weights import DEFAULT, load, shipped_weights

ROOT = Path(__file__).parents[2]


def test_public_names_are_there_and_no_others() -> None:
    for name in dirnet.__all__:
        assert getattr(dirnet, name) is not None
    assert dir(dirnet) == sorted(dirnet.__all__)
    with pytest.raises(AttributeError):
        dirnet.no_such_name  # noqa: B018


@pytest.mark.parametrize("number", [0, 1, 2])
def test_the_readme_s_python_runs(number: int, capsys: pytest.CaptureFixture[str]) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 3
    exec(compile(blocks[number], f"README.md, block {number}", "exec"), {})
    assert bool(capsys.readouterr().out) == (number == 0)


def test_the_readme_names_the_two_commands() -> None:
    first_screen = "\n".join((ROOT / "README.md").read_text(encoding="utf-8").splitlines()[:20])
    assert "./run demo" in first_screen
    assert "./run test" in first_screen


def test_links_between_documents_lead_somewhere() -> None:
    pages = [
        *ROOT.glob("*.md"),
        *(page for top in ("docs", "benchmarks", "src") for page in (ROOT / top).rglob("*.md")),
    ]
    assert len(pages) > 40
    for page in pages:
        for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
            path, _, anchor = link.partition("#")
            target = page.parent / path if path else page
            if link.startswith("http"):
                continue
            assert target.exists(), f"{page.name}: {link}"
            headings = re.findall(r"(?m)^#+ (.*)$", target.read_text(encoding="utf-8")) if anchor else []
            slugs = [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]
            assert not anchor or anchor in slugs, f"{page.name}: {link}"


SHIPPED = ["tiny", "tiny-proof", "small", "small-proof", "yolox-nano", "yolox-nano-proof", "yolox-nano-small-proof"]


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_weights_are_small_whole_and_described(name: str) -> None:
    suite, size = "seen" if name.endswith("-proof") else "seen+everyday+wide", 1.5 if "small" in name else 0.5
    assert sorted(SHIPPED) == shipped_weights()
    zoo = Path(dirnet.__file__).parent / "zoo"
    assert (zoo / f"{name}.safetensors").stat().st_size < size * 2**20
    loaded = load(name)
    assert loaded.card["suite"] == suite
    assert loaded.card["finished"]
    card = (zoo / f"{name}.md").read_text(encoding="utf-8")
    for word in (loaded.sha256, "BSDS500", suite.split("+")[0], "LICENSE-WEIGHTS"):
        assert word in card


def test_the_segmenter_is_small_whole_and_described() -> None:
    network = Path(dirnet.__file__).parent / "zoo" / "networks" / "person-segmenter.safetensors"
    assert network.stat().st_size < 5 << 20
    card = network.with_suffix(".md").read_text(encoding="utf-8")
    for word in (hashlib.sha256(network.read_bytes()).hexdigest(), "MobileNetV2", "Penn-Fudan", "LICENSE-WEIGHTS"):
        assert word in card


@pytest.mark.parametrize("severity", [3, 5])
def test_shipped_weights_make_a_spoiled_photograph_better(severity: int, photographs: dict[str, torch.Tensor]) -> None:
    model = load("tiny-proof").model
    for name, photograph in photographs.items():
        clean = to_8bit(photograph[..., :256, :256])
        settings = dirnet.draw("seen", severity, name, seed=7)
        tone_kept = {"exposure": 1.0, "gamma_ratio": 1.0, "white_balance_ratio": [1.0] * 3, "ccm_used": settings["ccm"]}
        spoiled = to_8bit(dirnet.degrade(clean, dirnet.ISPParams.from_settings([{**settings, **tone_kept}])))
        restored = to_8bit(dirnet.restore(model, spoiled))
        assert psnr(restored[0], clean[0]) > psnr(spoiled[0], clean[0]) + 0.5


def test_a_report_of_the_demo_is_whole(tmp_path: Path) -> None:
    from dirnet.cli.demo import demo

    demo(tmp_path)
    rows = {
        (r.suite, r.severity, r.model): r.value for r in read_records(tmp_path / "records.jsonl") if r.metric == "psnr"
    }
    for severity in (1, 3, 5):
        assert rows["seen", severity, DEFAULT] > rows["seen", severity, "input"]
    precision = {(r.severity, r.model): r.value for r in read_records(tmp_path / "people.jsonl") if r.metric == "ap50"}
    assert precision.keys() == {(severity, model) for severity in (1, 3, 5) for model in ("input", "tiny-proof")}
    assert precision[1, "input"] == 1  # the one that was outlined is found, and what else is found is less sure
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert DEFAULT in page
    assert "with DiR" in page
    assert not re.search(r"""(src|href)=["']?(https?:)?//""", page)
