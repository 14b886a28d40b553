"""`dirnet`: the commands and how they end."""

from __future__ import annotations

import sys
from typing import Any

import typer

from dirnet.cli import (
    adapt,
    budget,
    calibrate_noise,
    degrade,
    demo,
    develop,
    diagnose,
    evaluate,
    info,
    report,
    represent,
    restore,
    suites,
    train,
)
from dirnet.errors import EXIT_INTERRUPTED, EXIT_SOME_FAILED, DirnetError

app = typer.Typer(
    help="What a camera's image signal processor does to a picture, and how to see through it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for command in (
    demo.demo,
    suites.suites,
    degrade.degrade,
    develop.develop,
    calibrate_noise.calibrate_noise,
    restore.restore,
    represent.represent,
    budget.budget,
    train.train,
    adapt.adapt,
    evaluate.evaluate,
    diagnose.diagnose,
    report.report,
    info.info,
):
    app.command()(command)

# Typer brings its own copy of click or takes the installed one, by version; this is the base of either's usage errors.
_ParserError: Any = typer.BadParameter.__base__


def main() -> None:
    """Run a command; exit with 0, 1 (some inputs failed), 2 (usage) or 130 (interrupted), a sentence on stderr."""
    try:
        code = app(standalone_mode=False)
    except DirnetError as error:
        print(f"dirnet: {error}", file=sys.stderr)
        code = error.exit_code
    except _ParserError as error:
        error.show()
        code = error.exit_code
    except (KeyboardInterrupt, typer.Abort):
        code = EXIT_INTERRUPTED
    except BrokenPipeError:
        code = 0
    except OSError as error:  # a full disk, a folder that may not be written
        print(f"dirnet: {error}", file=sys.stderr)
        code = EXIT_SOME_FAILED
    if code == EXIT_INTERRUPTED:  # Typer makes a code of Ctrl-C itself
        print("dirnet: interrupted; what was finished is kept.", file=sys.stderr)
    sys.exit(code if isinstance(code, int) else 0)
