from __future__ import annotations

import hashlib
import json
from pathlib import Path
from random import Random

import pytest
import torch
from safetensors.torch import save_file

from dirnet.errors import WeightsError
from dirnet.nets import weights
from dirnet.nets.model import DiR
from dirnet.nets.weights import Loaded, load, save_weights, shipped_weights

CARD = {"recipe": "tiny-proof", "steps": 7, "finished": True}


@pytest.fixture(scope="module")
def model() -> DiR:
    torch.manual_seed(3)
    return DiR("tiny")


@pytest.fixture
def file(model: DiR, tmp_path: Path) -> Path:
    path = tmp_path / "own.safetensors"
    save_weights(path, "tiny", model.state_dict(), CARD)
    return path


def test_saved_and_loaded_they_are_the_same_to_half_precision(model: DiR, file: Path) -> None:
    loaded = load(str(file))
    assert (loaded.name, loaded.card, loaded.model.preset) == ("own", CARD, "tiny")
    assert loaded.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    theirs = loaded.model.state_dict()
    assert theirs.keys() == model.state_dict().keys()
    for key, tensor in model.state_dict().items():
        assert torch.equal(theirs[key], tensor.half().float())


def test_a_loaded_model_is_ready_for_use(file: Path) -> None:
    loaded = load(str(file)).model
    assert not loaded.training
    assert not any(parameter.requires_grad for parameter in loaded.parameters())


def test_saved_again_the_file_is_the_same(file: Path, tmp_path: Path) -> None:
    loaded = load(str(file))
    again = tmp_path / "again.safetensors"
    save_weights(again, loaded.model.preset, loaded.model.state_dict(), loaded.card)
    assert load(str(again)).model.state_dict().keys() == loaded.model.state_dict().keys()
    assert all(
        torch.equal(a, b) for a, b in zip(load(str(again)).model.parameters(), loaded.model.parameters(), strict=True)
    )


def test_files_keep_to_their_budgets(file: Path, tmp_path: Path) -> None:
    assert file.stat().st_size <= 0.5 * 2**20
    small = tmp_path / "small.safetensors"
    save_weights(small, "small", DiR("small").state_dict(), CARD)
    assert small.stat().st_size <= 1.6 * 2**20


def outcome(path: Path, data: bytes) -> Loaded | str:
    """What becomes of these bytes as weights: a model, or a sentence; nothing else comes out."""
    path.write_bytes(data)
    try:
        return load(str(path))
    except WeightsError as error:
        return str(error)


def test_a_truncated_file_is_a_sentence(file: Path) -> None:
    data = file.read_bytes()
    for length in (0, 1, 7, 8, 9, 100, len(data) // 2, len(data) - 1):
        assert isinstance(outcome(file, data[:length]), str)
    assert isinstance(outcome(file, data + b"\0"), str)


def test_bytes_that_are_no_weights_are_a_sentence(file: Path) -> None:
    random = Random(5)
    for data in (
        *(random.randbytes(n) for n in (8, 50, 1000)),
        b"PK\3\4" + bytes(100),
        (2).to_bytes(8, "little") + b"{}",
        (4).to_bytes(8, "little") + b"null",
        (7).to_bytes(8, "little") + b"[1,2,3]",
    ):
        assert isinstance(outcome(file, data), str)


def test_a_flipped_bit_in_the_header_is_a_sentence_or_harmless(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Harmless: a changed card or a changed name that nothing reads."""
    data = file.read_bytes()
    header = 8 + int.from_bytes(data[:8], "little")
    empty = DiR("tiny")
    monkeypatch.setattr(weights, "DiR", lambda preset: empty)  # building one takes longer than all the rest
    random, sentences = Random(7), 0
    for _ in range(150):
        at = random.randrange(header) if sentences % 5 else random.randrange(120)
        flipped = data[:at] + bytes([data[at] ^ 1 << random.randrange(8)]) + data[at + 1 :]
        sentences += isinstance(outcome(file, flipped), str)
    assert sentences > 75


def test_a_flipped_bit_in_the_numbers_shows_in_the_sha256(file: Path) -> None:
    before, data = load(str(file)).sha256, bytearray(file.read_bytes())
    data[-3] ^= 1
    after = outcome(file, bytes(data))
    assert isinstance(after, Loaded)
    assert after.sha256 != before


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e6])  # the last is infinite in half precision
def test_values_that_are_not_finite_are_refused_by_name(model: DiR, tmp_path: Path, value: float) -> None:
    state = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    state["encoder.stem.bias"][0] = value
    path = tmp_path / "broken.safetensors"
    save_weights(path, "tiny", state, {})
    with pytest.raises(WeightsError, match=r"not finite; got encoder\.stem\.bias"):
        load(str(path))


def test_weights_of_another_network_are_refused(model: DiR, tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    save_weights(path, "small", model.state_dict(), {})
    with pytest.raises(WeightsError, match="does not fit the network small"):
        load(str(path))
    save_weights(path, "gigantic", model.state_dict(), {})
    with pytest.raises(WeightsError, match=r"unknown here; got 'gigantic'; wanted one of tiny"):
        load(str(path))
    state = dict(model.state_dict())
    state.pop("encoder.stem.weight")
    save_weights(path, "tiny", state, {})
    with pytest.raises(WeightsError, match=r"does not fit.*encoder\.stem\.weight"):
        load(str(path))


@pytest.mark.parametrize("metadata", [None, {"preset": "tiny"}, {"card": "{}"}, {"preset": "tiny", "card": "{"}])
def test_safetensors_that_are_not_ours_are_refused(model: DiR, tmp_path: Path, metadata: dict[str, str] | None) -> None:
    path = tmp_path / "theirs.safetensors"
    save_file(model.state_dict(), path, metadata=metadata)
    with pytest.raises(WeightsError, match=r"holds no dirnet weights.*dirnet train"):
        load(str(path))


def zoo(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(weights, "_zoo", lambda: folder)
    return folder


def test_shipped_weights_are_found_by_name(model: DiR, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shelf = zoo(tmp_path / "zoo", monkeypatch)
    for name in ("small-proof", "mini"):
        save_weights(shelf / f"{name}.safetensors", "tiny", model.state_dict(), {"name": name})
    (shelf / "mini.md").write_text("A card for people.")
    assert shipped_weights() == ["mini", "small-proof"]
    assert (load("mini").name, load("mini").card) == ("mini", {"name": "mini"})
    with pytest.raises(WeightsError, match=r"No weights huge; wanted a shipped name \(mini, small-proof\)"):
        load("huge")


@pytest.mark.parametrize("source", ["", ".", "no/such/file.safetensors", "missing.safetensors", "x" * 5000, "a\0b"])
def test_a_name_for_nothing_is_a_sentence(source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    zoo(tmp_path, monkeypatch)
    with pytest.raises(WeightsError):
        load(source)


def test_a_hub_id_is_asked_of_the_hub(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    asked: list[tuple[str, str]] = []

    def download(repository: str, name: str) -> str:
        asked.append((repository, name))
        if repository == "owner/name":
            return str(file)
        raise OSError("no such repository\nand a second line") if repository == "owner/other" else TimeoutError

    zoo(tmp_path, monkeypatch)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    assert load("owner/name").name == "owner/name"
    assert asked == [("owner/name", "weights.safetensors")]
    with pytest.raises(WeightsError, match=r"Cannot read the weights owner/other; got no such repository\.$"):
        load("owner/other")
    with pytest.raises(WeightsError, match="Cannot read the weights owner/slow"):
        load("owner/slow")


def test_the_card_is_kept_as_it_is(model: DiR, tmp_path: Path) -> None:
    card = {"text": 'quotes " and ü', "list": [1, 2.5, None], "nested": {"a": True}}
    path = tmp_path / "card.safetensors"
    save_weights(path, "tiny", model.state_dict(), card)
    assert load(str(path)).card == json.loads(json.dumps(card))
