"""Comparisons of designs whose second judge takes a short look: the rules of the comparison do not depend on it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest

from ptychoui.optics.reconstruction.smooth_prior import reconstruct_smooth
from ptychoui.tasks.fpm import judges


@pytest.fixture(scope="session", autouse=True)
def short_looks() -> Iterator[None]:
    """Eight evaluations for each strength of the prior instead of forty."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(judges, "reconstruct_smooth", partial(reconstruct_smooth, evaluations=8))
        yield
