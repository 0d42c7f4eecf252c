"""What was found of the designs of one document: side by side, for several numbers of frames, and how one holds."""

from __future__ import annotations

from dataclasses import dataclass, field

from ptychoui.session.comparison_told import ComparisonHistory
from ptychoui.session.design_robustness import CardHistory


@dataclass(slots=True)
class DesignWork:
    """Histories of the three kinds of work.

    Attributes
    ----------
    comparison, sweep, card
        Designs side by side, for several numbers of frames, and the robustness card.
    """

    comparison: ComparisonHistory = field(default_factory=ComparisonHistory)
    sweep: ComparisonHistory = field(default_factory=ComparisonHistory)
    card: CardHistory = field(default_factory=CardHistory)
