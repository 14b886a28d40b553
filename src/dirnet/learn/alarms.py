"""A run that has gone wrong is stopped by a sentence, not by a bad checkpoint."""

from __future__ import annotations

import math

from dirnet.errors import TrainingError

PATIENCE = 10  # bad steps in a row; a single one is passed over without an update
LEAST_STD = 0.02  # of r0's channels; an untrained encoder's is some 0.5, that of tiny-proof 0.2
TAUGHT_BY, LOOKED_BACK = 150, 50  # steps of stage 1 by which the views tell of each other, and those averaged over
MOST_ENTROPY = 0.95 * math.log(2)  # of the critic; on photographs it is under 0.6 log 2 by then


class Watch:
    """Looks at every step's losses and gradient norm."""

    def __init__(self) -> None:
        self._bad_in_a_row = 0
        self._collapsed_in_a_row = 0
        self._entropies: list[float] = []

    def may_update(self, losses: dict[str, float], gradient_norm: float) -> bool:
        """Whether this step may change the weights. TrainingError after `PATIENCE` steps of nonsense in a row."""
        bad = [name for name, value in losses.items() if not math.isfinite(value)]
        if not math.isfinite(gradient_norm):
            bad.append("the gradient")
        self._bad_in_a_row = self._bad_in_a_row + 1 if bad else 0
        if self._bad_in_a_row >= PATIENCE:
            raise TrainingError(
                f"Training has left the numbers: {', '.join(bad)} not finite in {PATIENCE} steps in a row",
                cure="Start again with a lower rate, e.g. --set learning_rate=5e-4.",
            )
        return not bad

    def look(self, stage: str, losses: dict[str, float], baseline_std: float | None) -> None:
        """TrainingError where r0 has collapsed, or where stage 1 has learned nothing from its views."""
        if baseline_std is not None:
            self._collapsed_in_a_row = self._collapsed_in_a_row + 1 if baseline_std < LEAST_STD else 0
            if self._collapsed_in_a_row >= PATIENCE:
                raise TrainingError(
                    f"The baseline has collapsed: its channels hardly vary in {PATIENCE} steps in a row",
                    got=f"a standard deviation of {baseline_std:.4f}",
                    wanted=f"at least {LEAST_STD}",
                    cure="Give the variance hinge more weight: --set independence_alone; in stage 3, independence.",
                )
        if stage == "information":
            self._entropies.append(losses["information"])
            late = self._entropies[-LOOKED_BACK:]
            if len(self._entropies) == TAUGHT_BY and sum(late) / len(late) > MOST_ENTROPY:
                raise TrainingError(
                    f"After {TAUGHT_BY} steps the views of a scene tell nothing of each other",
                    got=f"a cross entropy of {sum(late) / len(late):.3f}, where {math.log(2):.3f} is a coin's",
                    wanted=f"under {MOST_ENTROPY:.3f}",
                    cure="Look whether the photographs are pictures of anything; or try another --set learning_rate.",
                )
