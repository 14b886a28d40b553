"""What dir gains over canonical on pictures that were sharpened, and on the others: from the records of ablation.py.

    .venv/bin/python benchmarks/sharpened.py

Means over seeds and pictures of PSNR with tone fitted, dB, through the suites that sharpen some of their pictures; of
the short runs, and of small-proof at full length. A picture's settings are drawn again, as its record says.
"""

from pathlib import Path

import numpy as np

from dirnet.judge.records import read_records
from dirnet.suites.draw import draw

RESULTS = Path(__file__).parent / "results" / "ablation"
SUITES = ("unseen-val", "compound")


def gains(folder: Path, seed: int) -> dict[tuple[str, int], dict[str, float]]:
    """(suite, severity) -> picture -> dB of dir over canonical."""
    found = {
        name: {
            (record.suite, record.severity): dict(zip(record.pictures, record.values, strict=True))
            for record in read_records(folder / f"{name}-{seed}.jsonl")
            if record.metric == "psnr_tone" and record.suite in SUITES
        }
        for name in ("dir", "canonical")
    }
    return {
        row: {picture: value - found["canonical"][row][picture] for picture, value in by_picture.items()}
        for row, by_picture in found["dir"].items()
    }


def main() -> None:
    for title, folder, seeds in (("short runs", RESULTS, (0, 1, 2)), ("full length", RESULTS / "small-proof", (0,))):
        by_seed = [gains(folder, seed) for seed in seeds]
        for suite, severity in by_seed[0]:
            sharpened: dict[bool, list[float]] = {True: [], False: []}
            for gained in by_seed:
                for picture, gain in gained[suite, severity].items():
                    sharpened[draw(suite, severity, picture)["sharpening"] > 0].append(gain)
            told = (
                f"{np.mean(sharpened[of]):+.2f} ({len(sharpened[of]) // len(seeds)} pictures)" for of in (True, False)
            )
            print(f"{title}, {suite} {severity}: sharpened {next(told)}, others {next(told)}")


if __name__ == "__main__":
    main()
