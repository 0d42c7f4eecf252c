"""Which lines of k-space are measured, learned: scores of lines, the best of which are taken.

The lines in the middle are always measured. Of the others those with the largest scores are taken, as many as the net
acceleration leaves. Derivatives pass through a smooth step at the threshold instead of the choice itself
(straight-through); in training the scores are shaken, less and less, so that lines near the threshold are tried.
Sources: Bahadir et al., "Deep-learning-based optimization of the under-sampling pattern in MRI", IEEE TCI 6 (2020),
for learned lines; Aggarwal and Jacob, "J-MoDL", IEEE JSTSP 14 (2020), for learning them with an unrolled network.
"""

from __future__ import annotations

import torch
from torch import Tensor

STEEPNESS = 4.0
"""Of the smooth step: scores are of order one."""


def first_scores(sampled: Tensor, always: Tensor, generator: torch.Generator) -> Tensor:
    """Scores from which a pattern of lines is taken.

    Parameters
    ----------
    sampled
        (rows,) 1 where a line is measured.
    always
        (rows,) bool, lines that are measured whatever their scores.
    generator
        Source of a little disorder, without which all lines of a kind would be alike.

    Returns
    -------
    Tensor
        (rows,): about 0.5 for lines that are taken, about -0.5 for the others, 0 for those in the middle.
    """
    disorder = torch.randn(sampled.shape, generator=generator, dtype=torch.float64).to(sampled)
    scores = sampled - 0.5 + (0.1 * disorder).clamp(-0.3, 0.3)
    return torch.where(always, torch.zeros_like(scores), scores)


def chosen_lines(
    scores: Tensor, always: Tensor, lines: int, shaken: float = 0.0, generator: torch.Generator | None = None
) -> Tensor:
    """1 for lines that are measured, else 0, differentiable in the scores.

    Parameters
    ----------
    scores
        (rows,).
    always
        (rows,) bool, lines that are measured whatever their scores.
    lines
        How many are measured in all.
    shaken
        Scale of the logistic noise that is added to the scores first, from the generator.

    Returns
    -------
    Tensor
        (rows,) real: exactly ``lines`` ones.
    """
    moved = scores
    if shaken > 0 and generator is not None:
        uniform = torch.rand(scores.shape, generator=generator, dtype=scores.dtype, device=scores.device)
        uniform = uniform.clamp(1e-6, 1 - 1e-6)
        moved = scores + shaken * (uniform.log() - (1 - uniform).log())
    free = int(lines - int(always.sum()))
    hard = always.to(scores.dtype)
    if free <= 0:
        return hard
    among = moved.detach().masked_fill(always, -torch.inf)
    order = among.argsort(descending=True, stable=True)
    hard = hard.index_fill(0, order[:free], 1.0)
    if free >= len(scores) - int(always.sum()):
        return hard
    threshold = (among[order[free - 1]] + among[order[free]]) / 2
    soft = torch.where(always, 1.0, torch.sigmoid(STEEPNESS * (moved - threshold)))
    # The value is the choice, the derivative that of the smooth step.
    return hard + (soft - soft.detach())
