"""Errors are sentences: what happened, what was got, what was wanted, and the cure."""

from __future__ import annotations

EXIT_DONE = 0
EXIT_SOME_FAILED = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130


class DirnetError(Exception):
    """Any failure that a user can cause or mend.

    `what` happened; `got` and `wanted` are the two sides of the disagreement; `cure` is what to do now.
    The parts are kept, so that a program can read them; `str()` joins those that were given to one line.
    """

    exit_code = EXIT_SOME_FAILED

    def __init__(self, what: str, *, got: str = "", wanted: str = "", cure: str = "") -> None:
        super().__init__(what)
        self.what, self.got, self.wanted, self.cure = what, got, wanted, cure

    def __str__(self) -> str:
        parts = [self.what]
        if self.got:
            parts.append(f"got {self.got}")
        if self.wanted:
            parts.append(f"wanted {self.wanted}")
        sentence = "; ".join(parts)
        return f"{sentence}. {self.cure}" if self.cure else f"{sentence}."


class PictureError(DirnetError):
    """A file that is no picture, a broken one, or one that cannot be kept whole."""


class WeightsError(DirnetError):
    """Weights that are missing, broken, or made for another network."""


class TrainingError(DirnetError):
    """A training run that cannot start, cannot resume, or has gone wrong."""


class UsageError(DirnetError):
    """A request that makes no sense as it was put; exit code 2."""

    exit_code = EXIT_USAGE
