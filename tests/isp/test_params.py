from __future__ import annotations

import copy
import dataclasses
import hashlib
import json
from typing import Any

import pytest
import torch

from dirnet.errors import UsageError
from dirnet.isp.camera import degrade
from dirnet.isp.params import ISPParams, clean_settings

Rows = list[dict[str, Any]]
FIELDS = [field.name for field in dataclasses.fields(ISPParams)]


def assert_same(a: ISPParams, b: ISPParams) -> None:
    for name in FIELDS:
        assert getattr(a, name).dtype == getattr(b, name).dtype
        assert torch.equal(getattr(a, name), getattr(b, name)), name


def test_json_gives_the_same_settings_back_to_the_last_bit(every_kind: Rows) -> None:
    params = ISPParams.from_settings(every_kind)
    again = ISPParams.from_json(params.to_json())
    assert_same(again, params)
    assert (again.to_json(), again.hash()) == (params.to_json(), params.hash())
    assert_same(ISPParams.from_settings(params.to_settings()), params)


def test_the_json_alone_reproduces_the_picture_bit_for_bit(every_kind: Rows, coffee: torch.Tensor) -> None:
    params = ISPParams.from_settings(every_kind)
    scenes = coffee[..., 200:241, 300:337].expand(len(params), -1, -1, -1)
    assert torch.equal(degrade(scenes, ISPParams.from_json(params.to_json())), degrade(scenes, params))


def test_json_is_canonical_and_the_hash_is_its_sha256(every_kind: Rows) -> None:
    params = ISPParams.from_settings(every_kind)
    text = params.to_json()
    assert text == json.dumps(json.loads(text), sort_keys=True, separators=(",", ":"))
    shuffled = [dict(reversed(row.items())) for row in every_kind]
    assert ISPParams.from_settings(shuffled).hash() == hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize("name", FIELDS)
def test_the_hash_sees_every_setting(name: str) -> None:
    params = ISPParams.clean(2)
    changed = getattr(params, name).clone()
    changed[1] = (changed[1] + 1) % 3
    assert dataclasses.replace(params, **{name: changed}).hash() != params.hash()


def test_large_noise_seeds_survive() -> None:
    seeds = [0, 2**53 - 1, 2**62 + 1]
    params = ISPParams.from_settings([{**clean_settings(), "noise_seed": seed} for seed in seeds])
    assert ISPParams.from_json(params.to_json()).noise_seed.tolist() == seeds


def test_choices_are_named_in_plain_settings(every_kind: Rows) -> None:
    for given, told in zip(every_kind, ISPParams.from_settings(every_kind).to_settings(), strict=True):
        for name in ("demosaic", "cfa", "jpeg_subsampling", "jpeg_quality", "noise_seed"):
            assert told[name] == given[name]


@pytest.mark.parametrize("change", [{"demosaic": "menon"}, {"cfa": "RGBG"}, {"jpeg_subsampling": "4:1:1"}])
def test_an_unknown_choice_is_refused(change: dict[str, str]) -> None:
    with pytest.raises(UsageError, match=f"Unknown {next(iter(change))}"):
        ISPParams.from_settings([{**clean_settings(), **change}])


def test_an_unknown_setting_is_refused() -> None:
    with pytest.raises(UsageError, match="Unknown settings gama_ratio"):
        ISPParams.from_settings([{"gama_ratio": 1.1}])


def test_what_a_row_leaves_out_is_as_in_a_clean_one() -> None:
    params = ISPParams.from_settings([{"gamma_ratio": 1.25}, {}])
    assert params.to_settings() == [{**clean_settings_in_float32(), "gamma_ratio": 1.25}, clean_settings_in_float32()]


def clean_settings_in_float32() -> dict[str, object]:
    return ISPParams.clean().to_settings()[0]


def test_no_nan_gets_into_a_record() -> None:
    with pytest.raises(ValueError, match="JSON"):
        ISPParams.from_settings([{**clean_settings(), "exposure": float("nan")}]).to_json()


@pytest.mark.parametrize("rows", [[5, 0, 71], slice(3, 9), torch.tensor([2, 2])])
def test_rows_are_chosen_as_in_a_tensor(every_kind: Rows, rows: Any) -> None:
    wanted = [every_kind[index] for index in torch.arange(120)[rows].tolist()]
    chosen = ISPParams.from_settings(every_kind)[rows]
    assert len(chosen) == len(wanted)
    assert_same(chosen, ISPParams.from_settings(wanted))


def test_settings_of_a_clean_camera_are_all_neutral() -> None:
    params = ISPParams.clean(3)
    assert len(params) == 3
    for name in ("iso_gain", "white_balance_ratio", "exposure", "gamma_ratio"):
        assert torch.equal(getattr(params, name), torch.ones_like(getattr(params, name)))
    for name in ("shot_noise", "read_noise", "black_level_error", "demosaic", "jpeg_quality"):
        assert not getattr(params, name).any()
    assert torch.equal(params.ccm_used, params.ccm)


def test_plain_settings_belong_to_the_caller() -> None:
    ours = clean_settings()
    before = copy.deepcopy(ours)
    ours["ccm"][0][0] += 1
    try:
        assert clean_settings() == before
        assert ours["ccm_used"] == before["ccm_used"]
    finally:
        ours["ccm"][0][0] = before["ccm"][0][0]
