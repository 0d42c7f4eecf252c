"""A scale bar of 1, 2 or 5 times a power of ten that fits the view, drawn over an image."""

from __future__ import annotations

import math

NARROWEST_SHARE, WIDEST_SHARE = 0.12, 0.3


def bar_length_um(view_width_um: float) -> float:
    """Longest length of the 1-2-5 series that takes at most 30 % of a view of the given width."""
    limit = view_width_um * WIDEST_SHARE
    decade = 10.0 ** math.floor(math.log10(limit))
    return max(factor * decade for factor in (1.0, 2.0, 5.0) if factor * decade <= limit * (1 + 1e-9))


def length_text(length_um: float) -> str:
    """A length with the unit a person would use."""
    if length_um >= 1000:
        return f"{length_um / 1000:g} mm"
    if length_um >= 1:
        return f"{length_um:g} µm"
    return f"{length_um * 1000:g} nm"
