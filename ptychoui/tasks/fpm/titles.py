"""What designs and their judges are called; no torch: the window asks, too."""

from __future__ import annotations

TITLES = {
    "half_circles": "half circles",
    "hybrid": "half circles with a partition of the dark field",
    "random_partition": "a random partition",
    "singles": "single LEDs",
    "dense_random": "dense random patterns",
}
"""Hand-made designs as people call them."""

NETWORK, SOLVER = "its network", "an independent solver"
"""Judges: the end of a sentence that begins with "by"."""
