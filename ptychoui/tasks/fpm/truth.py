"""Whether a measured stack can teach anything: what its own single-LED images show of the truth taken from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from ptychoui.engine.strategy import Callback
from ptychoui.optics.reconstruction.accelerated import AcceleratedDescent
from ptychoui.tasks.fpm.events import TruthShown
from ptychoui.tasks.fpm.examples import bands
from ptychoui.tasks.fpm.objectives import complex_loss
from ptychoui.training.events import picture

if TYPE_CHECKING:
    from ptychoui.tasks.fpm.task import FpmTask
    from ptychoui.workflows.explained_stack import ExplainedStack

EMPTY = 1.0
"""Complex error of a picture that shows nothing: the truth's mean everywhere."""

TILES = 3
"""Held-out tiles that are reconstructed: they tell a sound stack (errors of 0.1 to 0.5) from noise (1 and more)."""

ITERATIONS = 40

POOR = 0.7
"""Complex error from all LEDs one by one above which coded patterns cannot be expected to show the truth."""


def one_by_one_error(task: FpmTask, callback: Callback = lambda: None) -> float:
    """Complex error over some held-out tiles reconstructed from all single-LED images, without added noise.

    No coded design of the same LEDs sees more than these images do.
    """
    examples, device, missed, shown = task.held_out, task.physics.device, 0.0, 0.0
    # As bright as they were recorded: a faint LED's image says little and must not count for more.
    gain = task.leds.gain
    places = torch.linspace(0, len(examples) - 1, min(TILES, len(examples))).round().long().tolist()
    for place in places:
        images = examples.intensities[place].float().cpu().numpy() * gain[:, None, None].astype(np.float32)
        work = AcceleratedDescent(task.microscope, task.leds, task.grids, images, np.diag(gain), device=device)
        for _iteration in work.run(ITERATIONS):
            callback()
        truth = examples.truth[place][None]
        contrast = float((truth - truth.mean()).abs().square().mean())
        missed += contrast * float(complex_loss(task.object_of(work.x).to(truth.dtype), truth))
        shown += contrast
    return float((missed / max(shown, 1e-30)) ** 0.5)


def doubts(task: FpmTask, callback: Callback = lambda: None) -> tuple[str, ...]:
    """What should keep its owner from learning from a measured stack, worst first; none where objects are known."""
    if task.field is None:
        return ()
    found = list(task.field.warnings)
    error = one_by_one_error(task, callback)
    if not error < POOR:
        found.insert(
            0,
            f"all {len(task.leds)} LEDs one by one reach a complex error of {error:.2f} on the held-out tiles "
            f"({EMPTY:g} is an empty picture): this stack does not show what there is to learn; reconstruct and "
            "calibrate it first, and look at the result",
        )
    return tuple(found)


def held_out_from_px(task: FpmTask) -> int:
    """Column of a measured stack's window, in camera pixels, where the held-out part begins.

    Raises
    ------
    DataError
        If the window is too small for both parts.
    """
    assert task.field is not None
    guard, border = bands(task.experiment, task.field.window.size_px, task.grids.tile_px)
    return border + guard


def truth_sentence(field: ExplainedStack) -> str:
    """How well what is learned from explains the images, without and with what is fitted of single LEDs."""
    return (
        f"amplitude residual {field.amplitude_residual:.4f}, {field.fitted_residual:.4f} with brightness and stray "
        "light fitted"
    )


def truth_shown(task: FpmTask, step: int = 0) -> TruthShown | None:
    """What a measured stack is learned from, to be looked at before the first step; None where objects are known."""
    field = task.field
    if field is None:
        return None
    turn = np.exp(-1j * np.angle(field.object.mean()))
    return TruthShown(
        step=step,
        amplitude=picture(np.abs(field.object)),
        phase_rad=picture(np.angle(field.object * turn)),
        pixel_size_um=field.microscope.pixel_size_um / field.upsampling,
        held_out_from_px=held_out_from_px(task) * field.upsampling,
        sentence=truth_sentence(field),
    )
