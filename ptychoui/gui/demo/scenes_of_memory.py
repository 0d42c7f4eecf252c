"""Memory, the way back, and what it is worth, as pictures."""

from __future__ import annotations

import math

import numpy as np
from PyQt6.QtCore import QPointF, QRectF

from ptychoui.engine.sizes import size_text
from ptychoui.gui.demo.canvas import CENTRE, LEFT, Canvas
from ptychoui.gui.demo.scenes import PHASE, Box, columns, labelled
from ptychoui.session.demo.show import Show
from ptychoui.session.demo.story import Story
from ptychoui.session.demo.telling import PUBLISHED, PUBLISHED_BYTES, unrolls_at

RULER = (1e6, 1e12)
"""Ends of the ruler, bytes."""


def memory_scene(canvas: Canvas, box: Box, show: Show, story: Story) -> None:
    """Two bars on one scale, and a ruler from megabytes to what was published."""
    u, c = canvas.unit, canvas.colours
    shown = show.memory_at(unrolls_at(show, story))
    top = QRectF(box.x(), box.y(), box.width(), 0.58 * box.height())
    high = top.height() / 2
    bars = (
        ("Back-propagation", "keeps every unroll", shown.other, c.second, "predicted"),
        ("Ours", "keeps the last, undoes the others", shown.ours, c.accent, "measured"),
    )
    for place, (title, keeps, size, colour, how) in enumerate(bars):
        band = QRectF(top.x(), top.y() + place * high, top.width(), high)
        words = QRectF(band.x(), band.y(), band.width(), 0.4 * high)
        canvas.text(QRectF(words.x(), words.y(), 0.3 * words.width(), words.height()), title, 4.6, colour, bold=True)
        beside = QRectF(words.x() + 0.31 * words.width(), words.y(), 0.45 * words.width(), words.height())
        canvas.text(beside, keeps, 3.4, c.muted)
        bar = QRectF(band.x(), band.y() + 0.43 * high, 0.76 * band.width(), 0.4 * high)
        canvas.plate(bar, c.base)
        width = max(0.4 * u, bar.width() * min(1.0, size / shown.most))
        canvas.plate(QRectF(bar.x(), bar.y(), width, bar.height()), colour, 0.4)
        figure = QRectF(bar.right() + 2 * u, bar.y() - 0.05 * high, band.right() - bar.right() - 2 * u, 0.34 * high)
        canvas.text(figure, size_text(size), 6.4, bold=True)
        canvas.text(QRectF(figure.x(), figure.bottom(), figure.width(), 0.17 * high), how, 2.6, c.muted)
    ruler(canvas, QRectF(box.x(), top.bottom() + 8 * u, box.width(), box.bottom() - top.bottom() - 8 * u), show, story)


def ruler(canvas: Canvas, box: Box, show: Show, story: Story) -> None:
    """Sizes on a logarithmic line: ours, back-propagation, what is free here, what was published."""
    u, c = canvas.unit, canvas.colours
    shown = show.memory_at(unrolls_at(show, story))
    line = box.y() + 0.45 * box.height()

    def at(size: float) -> float:
        low, high = (math.log10(end) for end in RULER)
        return box.x() + box.width() * (math.log10(max(size, RULER[0])) - low) / (high - low)

    canvas.line([QPointF(box.x(), line), QPointF(box.right(), line)], c.line, 0.5)
    for power in range(6, 13):
        x = at(10.0**power)
        canvas.line([QPointF(x, line - 0.8 * u), QPointF(x, line + 0.8 * u)], c.line, 0.3)
        text = QRectF(x - 8 * u, line + 1.2 * u, 16 * u, 3.4 * u)
        text.moveLeft(min(max(text.x(), box.x()), box.right() - text.width()))
        side = LEFT if power == 6 else CENTRE
        if power < 12:
            canvas.text(text, size_text(10.0**power).replace("1e+03 MB", "1 GB"), 2.5, c.muted, align=side)
    marks = [(shown.ours, c.accent), (shown.other, c.second), (PUBLISHED_BYTES, c.error)]
    if shown.free:
        marks.insert(0, (shown.free, c.good))
    for size, colour in marks:
        canvas.plate(QRectF(at(size) - 1.1 * u, line - 1.1 * u, 2.2 * u, 2.2 * u), colour, 1.1)
    over = QRectF(at(PUBLISHED_BYTES) - 20 * u, line - 6 * u, 20 * u, 4 * u)
    over.moveRight(min(box.right(), at(PUBLISHED_BYTES) + 8 * u))
    canvas.text(over, "500 GB, published", 3.0, c.error, bold=True, align=CENTRE)
    if shown.free:
        free = QRectF(at(shown.free) - 12 * u, line - 6 * u, 24 * u, 4 * u)
        canvas.text(free, f"free here: {size_text(shown.free)}", 3.0, c.good, align=CENTRE)
    canvas.text(QRectF(box.x(), line + 5 * u, box.width(), 3.6 * u), PUBLISHED, 2.5, c.muted)


def undone_scene(canvas: Canvas, box: Box, show: Show, story: Story) -> None:
    """The estimate on its way through the network and back, and the difference of both ends."""
    recording, u, c = show.recording, canvas.unit, canvas.colours
    pictures = recording.undone_phase
    half = len(pictures) // 2 + 1
    unrolls = int(recording.facts["unrolls"])
    walked = min(len(pictures), int(1 + len(pictures) * min(1.0, story.share / 0.68)))
    high = (box.height() - 3 * u) / 2
    for line, (first, stop) in enumerate(((0, half), (half, len(pictures)))):
        band = QRectF(box.x(), box.y() + line * (high + 3 * u), box.width(), high)
        title, *places = columns(band, (0.8, *(1,) * half), 2 * u)
        name, colour = (("Forward →", c.second), ("← Back", c.accent))[line]
        canvas.text(title, name, 4.6, colour, bold=True)
        for number in range(first, stop):
            if number >= walked:
                continue
            # On the way back pictures stand under those that they are equal to.
            column = number if line == 0 else half - 2 - (number - first)
            at = round(column * unrolls / (half - 1))
            place = labelled(canvas, places[column], "first estimate" if at == 0 else f"after {at} unrolls")
            canvas.picture(place, pictures[number], recording.limits, PHASE)
    if walked >= len(pictures) and story.share > 0.7:
        band = QRectF(box.x(), box.y() + high + 3 * u, box.width(), high)
        spot = columns(band, (0.8, *(1,) * half), 2 * u)[-1]
        same = not recording.facts["bits_different"]
        canvas.text(spot, "identical" if same else "not identical", 4.6, c.good if same else c.error, True, CENTRE)


def end_scene(canvas: Canvas, box: Box, show: Show, story: Story) -> None:
    """Pictures of known designs and of the learned one beside the truth, with their errors."""
    recording, u, c = show.recording, canvas.unit, canvas.colours
    rows = recording.facts["contenders"]
    best = min(range(len(rows)), key=lambda place: rows[place]["error"])
    evidence = QRectF(box.x(), box.bottom() - 6.5 * u, box.width(), 6.5 * u)
    slides = rows[0]["slides"]
    how = f"Errors by an independent solver, mean of {slides} held-out slides, from the recorded run. "
    canvas.text(evidence, how + show.recommendation[1], 2.4, c.muted)
    box = box.adjusted(0, 0, 0, -7 * u)
    places = columns(box, (1,) * (len(rows) + 1), 3 * u)
    shown = min(len(rows), int(1 + story.at / 1.2))
    for number, row in enumerate(rows[:shown]):
        spot = places[number]
        label = f"{row['frames']} frames, {row['title']}"
        head = QRectF(spot.x(), spot.y(), spot.width(), 8 * u)
        tone = c.good if number == best else c.text
        canvas.text(head, f"error {row['error']:.3f}", 5.0, tone, bold=True, align=CENTRE)
        place = labelled(canvas, spot.adjusted(0, 8 * u, 0, 0), label, 2)
        place = canvas.picture(place, recording.contender_phase[number], recording.limits, PHASE)
    spot = places[-1]
    canvas.text(QRectF(spot.x(), spot.y(), spot.width(), 8 * u), "truth", 5.0, c.muted, align=CENTRE)
    place = labelled(canvas, spot.adjusted(0, 8 * u, 0, 0), "the cells as they were drawn", 2)
    place = canvas.picture(place, np.asarray(recording.true_phase), recording.limits, PHASE)
    canvas.scale_bar(place, recording.true_phase.shape[1], recording.pixel_um)
