"""Turn an exception into a `Failed` event: plain text, so that no traceback keeps a tensor alive."""

from __future__ import annotations

import sys
import traceback

from ptychoui.errors import PtychouiError, is_out_of_memory
from ptychoui.training.events import Failed

OUT_OF_MEMORY = "OutOfMemoryError"


def describe(error: BaseException, step: int, strategy: str = "", remedy: str = "") -> Failed:
    """Say in one sentence what went wrong, and in another what to do.

    Parameters
    ----------
    error
        The exception; only its text is kept.
    step
        Optimiser steps done.
    strategy
        Gradient strategy of the run: decides which remedy is offered when memory has run out.
    remedy
        What to advise then instead: a sentence.
    """
    text = "".join(traceback.format_exception(error))
    if is_out_of_memory(error):
        advice = (
            "use a smaller batch or a smaller tile"
            if strategy == "reversible"
            else "switch to the reversible strategy, whose memory hardly grows with the unrolls, or use a smaller batch"
        )
        return Failed(
            step=step,
            kind=OUT_OF_MEMORY,
            message="The run needs more memory than the device has",
            hint=remedy or f"{advice}; everything up to the last save is kept",
            traceback_text=text,
        )
    if isinstance(error, PtychouiError):
        return Failed(step=step, kind=type(error).__name__, message=error.message, hint=error.hint, traceback_text=text)
    message = str(error).strip().splitlines()[0] if str(error).strip() else "no further text"
    return Failed(
        step=step,
        kind=type(error).__name__,
        message=f"Unexpected {type(error).__name__}: {message}",
        hint="this is a fault of ptychoui: please report it with the details from the message list",
        traceback_text=text,
    )


def empty_device_cache() -> None:
    """Give cached GPU memory back, where torch was loaded at all."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
