"""How a command ends: 0 fine, 1 found problems, 2 used wrongly. Errors are one sentence on stderr."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from proxy.base.sanitise import sanitise, sanitise_block

FINE, PROBLEMS, USAGE = 0, 1, 2


class UsageError(Exception):
    """The command was used wrongly, or cannot be carried out as given."""


class ProblemError(Exception):
    """The command ran and found a problem."""


@contextmanager
def exits() -> Iterator[None]:
    """Turns our errors into one sentence and an exit code; a closed pipe ends quietly."""
    try:
        yield
        # Now, while a failure to write can still be told; at interpreter exit it would be a traceback.
        sys.stdout.flush()
    except UsageError as error:
        complain(str(error))
        raise typer.Exit(USAGE) from None
    except ProblemError as error:
        complain(str(error))
        raise typer.Exit(PROBLEMS) from None
    except BrokenPipeError:
        _give_up_stdout()
        raise typer.Exit(FINE) from None
    except OSError as error:
        _give_up_stdout()
        where = f"{error.filename}: " if error.filename else "the output could not be written: "
        complain(f"{where}{error.strerror or error}")
        raise typer.Exit(PROBLEMS) from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def end_at_an_interrupt() -> None:
    """From now on ctrl+c ends the process, for a command that has no other end and hands over each line at once.

    A KeyboardInterrupt may fall into a finaliser or a callback of a library, where Python drops it.
    """
    signal.signal(signal.SIGINT, lambda _number, _frame: os._exit(130))


def _give_up_stdout() -> None:
    """What is still buffered must not raise again at interpreter exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def complain(sentence: str) -> None:
    """One line on stderr, safe on a terminal."""
    sys.stderr.write(f"kt: {sanitise(sentence, 2_000)}\n")


def complain_lines(sentence: str, *lines: str) -> None:
    """A sentence on stderr, and below it the place it is about."""
    complain(sentence)
    for line in lines:
        sys.stderr.write(f"{sanitise(line, 2_000)}\n")


def say(text: str = "") -> None:
    """Lines on stdout, safe on a terminal."""
    sys.stdout.write(sanitise_block(text) + "\n")


def emit(text: str) -> None:
    """Machine output on stdout, as it is: JSON escapes and CSV quoting have been applied."""
    sys.stdout.write(text)


def emit_rows(text: str) -> None:
    """Machine output that people also look at: as it is in a pipe or a file, safe on a terminal."""
    if sys.stdout.isatty():
        text = sanitise_block(text.replace("\r\n", "\n"), len(text))
    sys.stdout.write(text)


def flush() -> None:
    """Hand over what is buffered, so that a follower sees it now."""
    sys.stdout.flush()
