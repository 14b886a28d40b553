"""Files and folders in; for each input one output path, and one result or one reason."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from dirnet.errors import DirnetError, UsageError
from dirnet.pictures.read import PICTURE_SUFFIXES, RAW_SUFFIXES

NO_MEMORY = "There is not enough memory for it. Use smaller tiles, or close other programs."


@dataclass(frozen=True)
class Input:
    """One file to work on; `relative` is its path within the folder it was found in, or its bare name."""

    path: Path
    relative: Path


@dataclass(frozen=True)
class Gathered:
    """The inputs in order, each file once, and how many files of folders are no pictures by their suffix."""

    inputs: list[Input]
    skipped: int


def gather(paths: Sequence[Path]) -> Gathered:
    """List files as given and folders recursively, sorted, without hidden files.

    In a folder, a file of unknown suffix is skipped; one that is named itself is always tried.
    Raises UsageError for a path that is neither file nor folder and for a folder that cannot be listed.
    """
    found: dict[Path, Input] = {}
    skipped = 0
    for given in paths:
        if given.is_dir():
            for path in _files_within(given):
                if path.suffix.lower() in PICTURE_SUFFIXES | RAW_SUFFIXES:
                    found.setdefault(path.resolve(), Input(path, path.relative_to(given)))
                else:
                    skipped += 1
        elif given.is_file():
            found.setdefault(given.resolve(), Input(given, Path(given.name)))
        else:
            raise UsageError(f"{given} does not exist or is no ordinary file", cure="Check the path.")
    return Gathered(list(found.values()), skipped)


def _files_within(folder: Path) -> Iterator[Path]:
    def unreadable(error: OSError) -> NoReturn:
        raise UsageError(f"Cannot list {error.filename}", got=str(error.strerror)) from error

    for here, folders, files in os.walk(folder, onerror=unreadable):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        paths = (Path(here, name) for name in sorted(files) if not name.startswith("."))
        yield from (path for path in paths if path.is_file())


def output_paths(
    inputs: Sequence[Input], out: Path, suffix: str | Callable[[Path], str], beside: Sequence[str] = ()
) -> list[Path]:
    """The path under `out` for each input: sub-folders mirrored, same stem, `suffix` (".png", or by its path).

    No two are equal, none is an input, on file systems that ignore case too: `name.png`, else `name.jpg.png`, else
    `name.jpg.2.png` and so on. beside: suffixes of further files that will be written; the same holds of them.
    """
    taken = {_identity(given.path) for given in inputs}
    outputs = []
    for given in inputs:
        ending = suffix if isinstance(suffix, str) else suffix(given.path)
        candidates = _candidates(out / given.relative, ending)
        output = next(path for path in candidates if _identities(path, beside).isdisjoint(taken))
        taken |= _identities(output, beside)
        outputs.append(output)
    return outputs


def _candidates(mirrored: Path, suffix: str) -> Iterator[Path]:
    yield mirrored.with_name(mirrored.stem + suffix)
    yield mirrored.with_name(mirrored.name + suffix)
    number = 2
    while True:
        yield mirrored.with_name(f"{mirrored.name}.{number}{suffix}")
        number += 1


def _identities(output: Path, beside: Sequence[str]) -> set[str]:
    return {_identity(path) for path in (output, *map(output.with_suffix, beside))}


def _identity(path: Path) -> str:
    return unicodedata.normalize("NFC", str(path.resolve())).casefold()


@dataclass
class Tally:
    """What became of many inputs."""

    done: int = 0
    skipped: int = 0
    failed: list[tuple[Path, str]] = field(default_factory=list)

    def sentence(self) -> str:
        """The closing line."""
        return f"{self.done} done, {self.skipped} skipped, {len(self.failed)} failed"


def for_each(
    inputs: Iterable[Input],
    work: Callable[[Input], object],
    *,
    skipped: int = 0,
    advance: Callable[[], object] | None = None,
) -> Tally:
    """Do `work` on each input and go on after failures: DirnetError, OSError, and lack of memory.

    `skipped` goes into the tally as it is; `advance` is called after each input. Other exceptions are mistakes of the
    program and come out.
    """
    tally = Tally(skipped=skipped)
    for given in inputs:
        try:
            work(given)
            tally.done += 1
        except (DirnetError, OSError) as error:
            tally.failed.append((given.path, str(error)))
        except (MemoryError, RuntimeError) as error:
            if not isinstance(error, MemoryError) and "memory" not in str(error):  # torch runs out with a RuntimeError
                raise
            tally.failed.append((given.path, NO_MEMORY))
        if advance is not None:
            advance()
    return tally
