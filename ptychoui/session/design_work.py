"""What was found of the designs of one document: side by side, for several numbers of frames, and how one holds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ptychoui.session.comparison_told import ComparisonHistory
from ptychoui.session.design_robustness import CardHistory

if TYPE_CHECKING:
    from ptychoui.session.design_comparison import Candidate


@dataclass(slots=True)
class DesignWork:
    """Histories of the three kinds of work.

    Attributes
    ----------
    comparison, sweep, card
        Designs side by side, for several numbers of frames, and the robustness card.
    added
        Patterns that somebody added to the list, by their keys.
    looked_for
        Whether it was looked for what was kept of an earlier time.
    """

    comparison: ComparisonHistory = field(default_factory=ComparisonHistory)
    sweep: ComparisonHistory = field(default_factory=ComparisonHistory)
    card: CardHistory = field(default_factory=CardHistory)
    added: dict[str, Candidate] = field(default_factory=dict)
    looked_for: bool = False
