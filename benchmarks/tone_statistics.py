"""How much of a wrong tone simple colour statistics tell: ridge regression, on photographs it never saw.

    .venv/bin/python benchmarks/tone_statistics.py [DATA]

DATA: the folder with photos_train/ and photos_dev/; else ../shared/data beside the checkout. Tone alone is spoiled, by
`seen` at severities 3 to 5; learned on photos_train, tested on bsds100 and kodak24. Writes
results/tone-statistics.json.
"""

import json
import sys
from pathlib import Path

import torch

from dirnet.isp.camera import degrade
from dirnet.isp.params import ISPParams
from dirnet.learn.data import Photographs
from dirnet.suites.draw import draw

QUANTILES = (0.002, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.998)
TARGETS = ("log exposure", "log gamma", "log red gain", "log blue gain")
ROUNDS = 8
PENALTY = 100.0


def statistics(sheets: torch.Tensor) -> torch.Tensor:
    """Quantiles of each colour, of the mean and of the range of colours; cut share, mean and spread: (N, 64)."""
    planes = torch.cat((sheets, sheets.mean(1, True), sheets.amax(1, True) - sheets.amin(1, True)), 1).flatten(2)
    ordered = planes.sort(2).values
    quantiles = ordered[:, :, [round(q * (ordered.shape[2] - 1)) for q in QUANTILES]].flatten(1)
    cut = (sheets >= 0.999).float().mean((2, 3))
    return torch.cat((quantiles, cut, sheets.mean((2, 3)), sheets.std((2, 3))), 1).double()


def samples(photographs: Photographs) -> tuple[torch.Tensor, torch.Tensor]:
    """Statistics and settings of every photograph, spoiled anew in each round."""
    seen, wanted = [], []
    for turn in range(ROUNDS):
        sheets = photographs.sheets(len(photographs), f"statistics/{turn}").pictures
        rows = [draw("seen", 3 + (i + turn) % 3, f"{turn}/{i}") for i in range(len(sheets))]
        params = ISPParams.from_settings(rows).tone_only()
        seen.append(statistics(degrade(sheets, params)))
        gains = params.white_balance_ratio
        columns = (params.exposure, params.gamma_ratio, gains[:, 0], gains[:, 2])
        wanted.append(torch.stack(columns, 1).double().log())
    return torch.cat(seen), torch.cat(wanted)


def main() -> None:
    here = Path(__file__).resolve().parent
    data = Path(sys.argv[1]) if len(sys.argv) > 1 else here.parents[1] / "shared" / "data"
    x, y = samples(Photographs([data / "photos_train"], 160))
    unseen_x, unseen_y = samples(Photographs([data / "photos_dev" / name for name in ("bsds100", "kodak24")], 160))
    mean, spread = x.mean(0), x.std(0) + 1e-6

    def design(table: torch.Tensor) -> torch.Tensor:
        scaled = (table - mean) / spread
        return torch.cat((scaled, scaled.square(), torch.ones(len(table), 1, dtype=torch.float64)), 1)

    a = design(x)
    weights = torch.linalg.solve(a.T @ a + PENALTY * torch.eye(a.shape[1], dtype=torch.float64), a.T @ y)
    left = (design(unseen_x) @ weights - unseen_y).square().mean(0) / unseen_y.square().mean(0)
    explained = {name: round(1 - float(share), 3) for name, share in zip(TARGETS, left, strict=True)}
    result = {"explained variance, unseen photographs": explained, "n": len(unseen_y), "rounds": ROUNDS}
    (here / "results" / "tone-statistics.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
