"""What the demonstration says: a short sentence or two for every chapter, made of what was measured. No Qt."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ptychoui.engine.sizes import size_text
from ptychoui.session.demo.show import Show
from ptychoui.session.demo.story import Story

FRAMES_A_SECOND = 10
"""Of the camera, where times are told."""

PUBLISHED_BYTES = 500e9
PUBLISHED = "Stated by others (Kellman et al., poster on memory-efficient learning): back-propagation takes 500 GB"

SWEEP = 0.74
"""Share of the first chapter in which the LEDs light up."""

HANDS = "Space pause · ← → chapters · F full screen · L light or dark · + − unrolls · Home again · Esc leave"


@dataclass(frozen=True, slots=True)
class Told:
    """The main sentence, and a smaller one that says where things come from."""

    main: str
    small: str = ""


def led_lit(story: Story, leds: int) -> int:
    """Which LED shines in the first chapter, from 0; at its end the last."""
    return min(leds - 1, int(leds * story.share / SWEEP))


def told(show: Show, story: Story) -> Told:
    """What is said now."""
    return _TELLERS[story.chapter.key](show, story)


def _array(show: Show, story: Story) -> Told:
    recording = show.recording
    leds = len(recording.led_na)
    lit = led_lit(story, leds)
    source = "Simulated cells and camera noise, from the recorded run."
    if story.share >= SWEEP:
        error = recording.facts["built_errors"][-1]
        return Told(
            f"{leds} frames, one LED each, together give one sharp phase picture.",
            f"Error of this picture: {error:.3f}. {source}",
        )
    radius = float(np.hypot(*recording.led_na[lit]))
    if radius <= recording.objective_na:
        return Told("A microscope with an array of LEDs. Each LED lights the cells from another side.", source)
    return Told(
        "Outside the circle, light passes by the lens. Its frames are dark and noisy, but hold the detail.", source
    )


def times(show: Show) -> tuple[int, float, int, float]:
    """Frames and seconds of single LEDs, then of coded patterns, at `FRAMES_A_SECOND`."""
    leds, coded = len(show.recording.led_na), len(show.recording.coded_levels)
    return leds, leds / FRAMES_A_SECOND, coded, coded / FRAMES_A_SECOND


def _coded(show: Show, story: Story) -> Told:
    leds, long, coded, short = times(show)
    if story.share < 0.5:
        main = f"One LED at a time takes {leds} frames. Many LEDs at once take {coded}."
    else:
        main = f"{short:.1f} s instead of {long:.1f} s. But which LEDs go together? That is what we learn."
    return Told(main, f"Times at {FRAMES_A_SECOND} frames a second. Patterns and frames from the recorded run.")


def _learning(show: Show, story: Story) -> Told:
    seen = show.learning(story.at)
    if story.at < 9:
        main = "Each step changes the LEDs a little, so that the picture of the cells gets better."
    elif seen.step >= 0.6 * seen.steps:
        main = "Random light has become designed light, and unseen cells become sharp."
    else:
        main = "This slide is held out: the LEDs are learned on other cells, and judged on these."
    return Told(main, seen.note)


def _memory(show: Show, story: Story) -> Told:
    shown = show.memory_at(unrolls_at(show, story))
    ratio = shown.other / shown.ours
    return Told(
        f"{shown.unrolls} unrolls: ours takes {size_text(shown.ours)}, back-propagation {ratio:.0f} times as much.",
        f"Ours: {shown.ours_from}. Back-propagation: {shown.other_from}.",
    )


def unrolls_at(show: Show, story: Story) -> int:
    """How deep the network is on the slider: it runs up by itself until somebody takes it."""
    if story.chosen_unrolls is not None:
        return story.chosen_unrolls
    depths = show.recording.depths
    run = min(1.0, max(0.0, story.share - 0.12) / 0.6)
    return int(depths[round(run * (len(depths) - 1))])


def _undone(show: Show, story: Story) -> Told:
    facts = show.recording.facts
    if story.share < 0.4:
        return Told(
            "The network computes forward and throws away what it passes.",
            f"{facts['unrolls']} unrolls, from the recorded run.",
        )
    if story.share < 0.7:
        return Told("On the way back, every unroll is undone exactly.", "From the recorded run.")
    count, where = show.undone()
    return Told(
        f"{facts['bits_different']} of {facts['bits']:,} bits differ. {count:,} unrolls undone bit for bit.",
        f"Bits: from the recorded run. Unrolls: {where}, each checked while it learned.",
    )


def _end(show: Show, story: Story) -> Told:
    return Told(show.recommendation[0], "Next: open this run and export its patterns, or open your own stack.")


_TELLERS = {
    "array": _array,
    "coded": _coded,
    "learning": _learning,
    "memory": _memory,
    "undone": _undone,
    "end": _end,
}
