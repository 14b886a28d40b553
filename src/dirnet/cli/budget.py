"""`dirnet budget`: what a recipe costs, before it is run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from dirnet.learn.budget import Budget


def budget(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="Shipped name or TOML file.", show_default=False)],
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override the recipe.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, for programs.")] = False,
) -> None:
    """Parameters, multiplications (MACs) a pixel of the finished model, and MACs of the training, stage by stage."""
    import dataclasses
    import json

    from dirnet.learn.budget import budget as count
    from dirnet.learn.recipe import load_recipe
    from dirnet.tasks.restore import Restoration

    terms = load_recipe(recipe, settings or [])
    found = count(terms, Restoration())
    if as_json:
        print(json.dumps({"recipe": terms.name} | dataclasses.asdict(found) | {"macs": found.macs}, indent=2))
        return
    print(f"{terms.name}: {_lines(found)}")


def _lines(found: Budget) -> str:
    parts = ", ".join(f"{name} {number:,}" for name, number in found.parameters.items())
    lines = [
        f"{found.macs_per_pixel / 1e3:.1f} kMAC a pixel, tone head aside",
        f"parameters: {parts}",
        f"{'stage':<12} {'steps':>7} {'learning':>9} {'GMAC a step':>12} {'TMAC':>8}",
    ]
    lines += [
        f"{s.stage:<12} {s.steps:>7,} {s.parameters:>9,} {s.macs_per_step / 1e9:>12.3f} {s.macs / 1e12:>8.2f}"
        for s in found.stages
    ]
    return "\n".join([*lines, f"{'in all':<12} {'':>7} {'':>9} {'':>12} {found.macs / 1e12:>8.2f}"])
