"""The program ``ptychoui``: one parser of all commands, and errors as one sentence with a hint.

Exit code 0, or 2 with one line that says what is wrong and what to do.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import NoReturn

from ptychoui import __version__
from ptychoui.commands import (
    acquire,
    bench,
    calibrate,
    check_array,
    data,
    demo,
    devices,
    doctor,
    profile,
    reconstruct,
    robustness,
    training,
    watch,
    window,
)
from ptychoui.engine.waiting import choose_waiting
from ptychoui.errors import PtychouiError, SettingsError, is_out_of_memory

COMMANDS = (
    "gui",
    "demo",
    "info",
    "presets",
    "simulate",
    "objects",
    "reconstruct",
    "watch",
    "calibrate",
    "profile",
    "train",
    "evaluate",
    "export",
    "robustness",
    "devices",
    "show",
    "acquire",
    "check-array",
    "bench",
    "doctor",
)


def main(words: Sequence[str] | None = None) -> int:
    """Run one command; the entry point ``ptychoui``."""
    words = list(sys.argv[1:] if words is None else words)
    program = f"ptychoui {words[0]}" if words and words[0] in COMMANDS else "ptychoui"
    if not words or (words[0] not in COMMANDS and words[0] not in ("-h", "--help", "--version")):
        words = ["gui", *words]
    try:
        if "" in words:
            # An unset variable of a shell; as a file name it would be this folder, as an option's value nothing.
            raise SettingsError("one of the words given is empty", "is a variable of the shell not set?")
        arguments, unknown = _parser().parse_known_args(words)
        if unknown:
            raise SettingsError(f"unrecognized arguments: {' '.join(unknown)}", f"see {program} --help")
        run: Callable[[argparse.Namespace], int] = arguments.run
        windowed = words[0] in ("gui", "demo")
        if windowed or hasattr(arguments, "threads"):
            threads = getattr(arguments, "threads", None)
            choose_waiting(max(threads) if isinstance(threads, list) else threads, asleep=windowed)
        # The window has handlers of its own.
        with contextlib.nullcontext() if windowed else _ended_as_by_ctrl_c():
            code = run(arguments)
        if sys.stdout is not None:
            sys.stdout.flush()  # here, where a full disk is a sentence
        return code
    except PtychouiError as error:
        return _refused(error.message, error.hint or error.usual_hint)
    except KeyboardInterrupt:
        return _refused("stopped before there was a result", "start it again")
    except BrokenPipeError:
        # The reader of a pipe went away (head, less): nothing is wrong.
        _drop_output()
        return 0
    except OSError as error:
        _drop_output()
        place = repr(str(error.filename)) if error.filename else "the output"
        return _refused(
            f"{place} cannot be read or written: {error.strerror or error}", "is there space, and permission?"
        )
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        return _refused("not enough memory", "use --strategy reversible, a smaller batch or tile")


def _refused(message: str, hint: str) -> int:
    """Say what is wrong and what to do in one line; the exit code."""
    with contextlib.suppress(OSError):  # nobody is left to be told
        print(f"ptychoui: {message} - {hint}", file=sys.stderr)
    return 2


def _drop_output() -> None:
    """What is left in the buffer of stdout goes nowhere: it would fail again at the end of the program."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextlib.contextmanager
def _ended_as_by_ctrl_c() -> Iterator[None]:
    """Let SIGTERM, which batch systems send, say and keep what Ctrl-C does."""

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line with a hint, as all others."""

    def error(self, message: str) -> NoReturn:
        raise SettingsError(message, f"see {self.prog} --help")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="ptychoui",
        description="Learn coded LED-array illumination for Fourier ptychographic microscopy. "
        "Without a command the window opens.",
    )
    parser.add_argument("--version", action="version", version=f"ptychoui {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    reading = (data, reconstruct, watch, calibrate, profile)
    arrays = (devices, acquire, check_array)
    for module in (window, demo, *reading, training, robustness, *arrays, bench, doctor):
        module.add_commands(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
