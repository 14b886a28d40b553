"""A run that has gone wrong is stopped by a sentence, not by a bad checkpoint."""

from __future__ import annotations

import math

from dirnet.errors import TrainingError

PATIENCE = 10  # bad steps in a row; a single one is passed over without an update


class Watch:
    """Looks at every step's losses and gradient norm."""

    def __init__(self) -> None:
        self._bad_in_a_row = 0

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
