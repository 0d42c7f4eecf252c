"""The chapters as pictures: each function fills a box of the screen with what the show has at a moment of the story."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PyQt6.QtCore import QPointF, QRectF

from ptychoui.gui.demo.canvas import CENTRE, Canvas
from ptychoui.session.demo.show import Show
from ptychoui.session.demo.story import Story
from ptychoui.session.demo.telling import SWEEP, led_lit, times

PHASE = "magma"
"""Colours of phase: bright cells on a dark ground, whatever the theme."""

Box = QRectF
Scene = Callable[[Canvas, Box, Show, Story], None]
LABEL = 3.0
"""Text above and below pictures, in units."""


def columns(box: Box, shares: tuple[float, ...], gap: float) -> list[Box]:
    """Boxes side by side, as wide as their shares."""
    room = box.width() - gap * (len(shares) - 1)
    found, x = [], box.x()
    for share in shares:
        width = room * share / sum(shares)
        found.append(QRectF(x, box.y(), width, box.height()))
        x += width + gap
    return found


def labelled(canvas: Canvas, box: Box, label: str, lines: float = 1.0) -> Box:
    """Write a label under what fills the rest of a box; returns the rest, a square around its middle."""
    u = canvas.unit
    high = lines * 1.35 * LABEL * u
    rest = box.adjusted(0, 0, 0, -high - 0.8 * u)
    side = min(rest.width(), rest.height())
    square = QRectF(0, 0, side, side)
    square.moveCenter(rest.center())
    under = QRectF(box.x(), square.bottom() + 0.8 * u, box.width(), high)
    canvas.text(under, label, LABEL, canvas.colours.muted, align=CENTRE)
    return square


def array_scene(canvas: Canvas, box: Box, show: Show, story: Story) -> None:
    """LEDs one after the other, what the camera records, and the object from all frames so far."""
    recording, u = show.recording, canvas.unit
    count = len(recording.led_na)
    lit = led_lit(story, count)
    over = story.share >= SWEEP
    left, middle, right = columns(box, (1, 1, 1), 3 * u)
    levels = np.zeros(count)
    levels[: lit + 1] = 0.22
    levels[lit] = 1.0
    if over:
        levels[:] = 1.0
    na = float(np.hypot(*recording.led_na[lit]))
    label = f"All {count} LEDs, one frame each" if over else f"LED {lit + 1} of {count}, illumination NA {na:.2f}"
    place = labelled(canvas, left, label)
    canvas.leds(place, recording.led_na, levels, recording.objective_na, -1 if over else lit)
    dark = na > recording.objective_na
    peak = float(recording.frame_peaks[lit])
    brightest = float(recording.frame_peaks.max())
    kind = f"dark field, shown {brightest / peak:.0f}x brighter" if dark else "bright field"
    place = labelled(canvas, middle, f"Camera frame: {kind}")
    place = canvas.picture(place, recording.frames[lit], (0.0, 255.0), "gray")
    canvas.scale_bar(place, recording.frames.shape[2], float(recording.facts["frame_pixel_um"]))
    which = int(np.searchsorted(recording.built_counts, lit + 1, side="right")) - 1
    frames = int(recording.built_counts[which])
    place = labelled(canvas, right, f"Phase from {frames} frame{'s' if frames > 1 else ''}")
    place = canvas.picture(place, recording.built_phase[which], recording.limits, PHASE)
    canvas.scale_bar(place, recording.true_phase.shape[1], recording.pixel_um)


def coded_scene(canvas: Canvas, box: Box, show: Show, story: Story) -> None:
    """All single frames in small beside the six coded patterns with their frames."""
    recording, u = show.recording, canvas.unit
    many, long, few, short = times(show)
    left, right = columns(box, (0.33, 0.67), 4 * u)
    head = 7 * u
    shown = min(many, int(1 + many * min(1.0, story.share / 0.4)))
    canvas.text(QRectF(left.x(), left.y(), left.width(), head), f"{shown} frames, {shown / many * long:.1f} s", 5.2)
    field = left.adjusted(0, head + u, 0, 0)
    across = max(1, round(np.sqrt(many * field.width() / field.height())))
    down = -(-many // across)
    cell = min(field.width() / across, field.height() / down)
    for place in range(shown):
        spot = QRectF(
            field.x() + (place % across) * cell, field.y() + (place // across) * cell, 0.93 * cell, 0.93 * cell
        )
        canvas.picture(spot, recording.frames[place], (0.0, 255.0), "gray")
    if story.share < 0.25:
        return
    lit = min(few, int(1 + few * min(1.0, (story.share - 0.25) / 0.35)))
    words = QRectF(right.x(), right.y(), right.width(), head)
    canvas.text(words, f"{lit} coded frames, {lit / few * short:.1f} s", 5.2, canvas.colours.accent, bold=True)
    rest = right.adjusted(0, head + u, 0, 0)
    half = rest.height() / 2
    for line in range(2):
        band = QRectF(right.x(), rest.y() + line * half, right.width(), half - u)
        for column, part in enumerate(columns(band, (1,) * ((few + 1) // 2), 2.5 * u)):
            row = line * ((few + 1) // 2) + column
            if row >= lit:
                continue
            one, other = columns(part, (1, 1), 0.8 * u)
            side = min(one.width(), part.height())
            for spot in (one, other):
                square = QRectF(0, 0, side, side)
                square.moveCenter(spot.center())
                if spot is one:
                    canvas.leds(square, recording.led_na, recording.coded_levels[row], recording.objective_na)
                else:
                    canvas.picture(square, recording.coded_frames[row], (0.0, 255.0), "gray")


def learning_scene(canvas: Canvas, box: Box, show: Show, story: Story) -> None:
    """Six patterns that change, the phase of a held-out slide, and the falling loss."""
    u, c = canvas.unit, canvas.colours
    seen = show.learning(story.at)
    patterns, picture, curve = columns(box, (0.46, 0.33, 0.21), 3 * u)
    rows = len(seen.levels)
    across = (rows + 1) // 2
    head = 1.5 * LABEL * u
    area = patterns.adjusted(0, 0, 0, -head)
    side = min(area.width() / across, area.height() / 2)
    corner = QPointF(area.center().x() - across * side / 2, area.center().y() - side)
    for row in range(rows):
        spot = QRectF(corner.x() + (row % across) * side, corner.y() + (row // across) * side, side, side)
        inner = spot.adjusted(0.04 * side, 0.04 * side, -0.04 * side, -0.04 * side)
        canvas.plate(inner.adjusted(-0.02 * side, -0.02 * side, 0.02 * side, 0.02 * side), c.base)
        canvas.leds(inner, show.recording.led_na, seen.levels[row], show.recording.objective_na)
    under = QRectF(patterns.x(), corner.y() + 2 * side, patterns.width(), head)
    canvas.text(under, f"The {rows} patterns, as they are learned", LABEL, c.muted, align=CENTRE)
    place = labelled(canvas, picture, "Phase of a slide that is held out")
    place = canvas.picture(place, seen.phase, show.recording.limits, PHASE)
    canvas.scale_bar(place, seen.phase.shape[1], show.recording.pixel_um)
    top = QRectF(curve.x(), place.y(), curve.width(), 0.24 * place.height())
    if seen.error is not None:
        canvas.text(QRectF(top.x(), top.y(), top.width(), 0.62 * top.height()), f"{seen.error[0]:.2f}", 9, bold=True)
        lower = QRectF(top.x(), top.y() + 0.62 * top.height(), top.width(), 0.38 * top.height())
        canvas.text(lower, f"error, held-out slides, step {seen.error[1]}", 2.6, c.muted)
    plot = QRectF(curve.x(), top.bottom() + 2 * u, curve.width(), place.bottom() - top.bottom() - 2 * u)
    loss_curve(canvas, plot, seen.losses, seen.steps)
    below = QRectF(curve.x(), plot.bottom() + 0.8 * u, curve.width(), head)
    canvas.text(below, f"Loss, step {seen.step} of {seen.steps}", LABEL, c.muted, align=CENTRE)


def loss_curve(canvas: Canvas, box: Box, losses: NDArray[np.float64], steps: int) -> None:
    """Losses of all steps, (step,), on a logarithmic axis that stays where it is."""
    c, u = canvas.colours, canvas.unit
    canvas.plate(box, c.base)
    if len(losses) < 2:
        return
    inner = box.adjusted(1.5 * u, 1.5 * u, -1.5 * u, -1.5 * u)
    values = np.log(np.maximum(losses, 1e-12))
    low, high = min(float(values.min()), float(values[0]) - np.log(8)), float(values.max())
    x = inner.x() + inner.width() * np.arange(len(values)) / max(1, steps - 1)
    y = inner.bottom() - inner.height() * (values - low) / max(high - low, 1e-9)
    canvas.line([QPointF(float(a), float(b)) for a, b in zip(x, y, strict=True)], c.second, 0.2)
    smooth = _smoothed(values)
    y = inner.bottom() - inner.height() * (smooth - low) / max(high - low, 1e-9)
    canvas.line([QPointF(float(a), float(b)) for a, b in zip(x, y, strict=True)], c.accent, 0.55)


def _smoothed(values: NDArray[np.float64], reach: int = 4) -> NDArray[np.float64]:
    """Mean over neighbours, fewer at the ends; the same shape."""
    padded = np.pad(values, reach, mode="edge")
    return np.convolve(padded, np.full(2 * reach + 1, 1 / (2 * reach + 1)), mode="valid")
