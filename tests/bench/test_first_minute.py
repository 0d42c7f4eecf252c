"""What is seen of a process: when it shows first signs, when a step, and how long it was silent."""

from __future__ import annotations

import pytest

from ptychoui.bench.first_minute import _seen, table
from ptychoui.errors import PtychouiError


def test_silences_and_the_first_step_are_found() -> None:
    signs = [
        (0.5, "loading the program, 1 s"),
        (3.0, "reading the objects, 2 s\n  0%|          | 0/60 [00:00<?, ?step/s]"),
        (4.0, "step 1, 1 s:   0%|    | 0/60 [00:01<?, ?step/s]"),
        (6.2, "  2%|▏         | 1/60 [00:05<05:29,  5.59s/step]"),
        (6.3, "  5%|▏         | 3/60 [00:05<05:29,  5.59s/step]"),
    ]
    found = _seen(iter(signs), 3, False, True)
    assert (found.first_sign_s, found.first_step_s, found.longest_silence_s) == (0.5, 6.2, 2.5)
    assert found.then.startswith("  0%") and found.steps == 3
    assert "6.2 s" in table({"rows": [{**{k: getattr(found, k) for k in found.__slots__}}]})


def test_a_window_says_its_steps_in_words() -> None:
    signs = [(1.0, "Preparing | | | No score yet |"), (2.0, "Training | | step 1 of 80, 9 s left | No score yet |")]
    assert _seen(iter(signs), 1, True, False).first_step_s == 2.0


def test_a_demonstration_that_ends_is_no_measurement() -> None:
    with pytest.raises(PtychouiError, match="ended at step 0 of 5: error: no such file"):
        _seen(iter([(1.0, "error: no such file")]), 5, False, False)
