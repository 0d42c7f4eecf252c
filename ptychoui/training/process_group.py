"""The processes of one run, started by torchrun: who this one is, and tensors from one to another.

Processes talk by gloo on CPUs and by NCCL on GPUs. No object is pickled: only tensors travel, whose shapes both sides
know.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

import torch
from torch import Tensor

from ptychoui.errors import RunError, SettingsError

LONGEST_WAIT = timedelta(hours=6)
"""A process waits so long for another, which may be scoring; one that ended is noticed at once."""


def started_together() -> int:
    """How many processes of this run torchrun started: 0 without it.

    Raises
    ------
    SettingsError
        If its variables are not numbers.
    """
    text = os.environ.get("WORLD_SIZE", "1") if "TORCHELASTIC_RUN_ID" in os.environ else "0"
    try:
        return int(text)
    except ValueError:
        raise SettingsError(f"WORLD_SIZE is {text!r}, not a number", "start the run with torchrun") from None


def restarted() -> bool:
    """Whether torchrun has started the processes of this run again after one of them ended (``--max-restarts``)."""
    return "TORCHELASTIC_RUN_ID" in os.environ and os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") != "0"


class ProcessGroup:
    """A process among those of its run.

    Attributes
    ----------
    rank, size
        Its number, from 0, and how many there are.
    """

    def __init__(self) -> None:
        import torch.distributed as distributed

        self._distributed: Any = distributed
        on_gpu = torch.cuda.is_available()
        if on_gpu:
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())
        self._backend = "nccl" if on_gpu else "gloo"
        with _ended_by_signals(), self._sentence("the processes of this run did not find each other"):
            # What processes that torchrun has started again know of each other must not be what those before them said.
            store, rank, size = next(self._distributed.rendezvous("env://", timeout=LONGEST_WAIT))
            store = self._distributed.PrefixStore(f"start {os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}", store)
            distributed.init_process_group(self._backend, store=store, rank=rank, world_size=size, timeout=LONGEST_WAIT)
        self.rank, self.size = distributed.get_rank(), distributed.get_world_size()

    def send(self, tensors: Sequence[Tensor], to: int) -> list[Any]:
        """Begin to send tensors of any shape to another process; `finish` waits until they have left."""
        with self._sentence():
            return [self._distributed.isend(_real(tensor), to) for tensor in tensors]

    def receive(self, tensors: Sequence[Tensor], sender: int) -> None:
        """Fill tensors with what another process sends, in its order and of its shapes."""
        with self._sentence():
            for tensor in tensors:
                self._distributed.recv(_real(tensor), sender)

    def finish(self, begun: Sequence[Any]) -> None:
        """Wait until everything begun by `send` has left."""
        with self._sentence():
            for one in begun:
                one.wait()

    def share(self, tensors: Sequence[Tensor], owner: int) -> None:
        """Give every process what the owner has in these tensors, in place; shapes are the same everywhere."""
        with self._sentence():
            for tensor in tensors:
                self._distributed.broadcast(_real(tensor), owner)

    def number(self, value: float, owner: int) -> float:
        """The owner's number, in every process."""
        held = torch.tensor([value], dtype=torch.float64, device="cuda" if self._backend == "nccl" else "cpu")
        self.share([held], owner)
        return float(held)

    def close(self) -> None:
        """Leave the group; others that still wait for this process are told so."""
        with contextlib.suppress(RuntimeError):
            self._distributed.destroy_process_group()

    @contextlib.contextmanager
    def _sentence(self, message: str = "another process of this run has ended") -> Iterator[None]:
        """Turn what the library says of a lost connection into one sentence."""
        try:
            yield
        except RuntimeError as error:  # of which its own kinds of errors are
            first = str(error).strip().splitlines()[0][:160] if str(error).strip() else type(error).__name__
            raise RunError(
                f"{message}: {first}", "everything up to the last save is kept: start it again with --resume"
            ) from None


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[None]:
    """While processes wait for each other none hears Python's handlers: a wish to end is to end it at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _real(tensor: Tensor) -> Tensor:
    """The same memory as real numbers: complex ones cannot travel everywhere."""
    return torch.view_as_real(tensor) if tensor.is_complex() else tensor
