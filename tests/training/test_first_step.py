"""What stands between a person and the first step: Adam written out, and libraries that a step does not need."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from training.small import experiment_on_disk

from ptychoui.training.parameters import ParameterSet
from ptychoui.training.updates import Updates

FIRST_STEP = """
import sys
from ptychoui.settings import load_experiment
from ptychoui.training.events import StepDone
from ptychoui.training.runs import new_run

run = new_run(load_experiment(sys.argv[1]), sys.argv[2])
assert any(isinstance(event, StepDone) for event in run.run())
print(sorted({"torch._dynamo", "sympy"} & set(sys.modules)))
"""


RATES = {"field": 1.0, "levels": 0.3, "steps": 2.0}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_adam_is_that_of_torch_bit_for_bit(dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(1)

    def drawn(complex_field: bool) -> torch.Tensor:
        kind = dtype.to_complex() if complex_field else dtype
        return torch.randn(4, 3, dtype=kind, generator=generator)

    tensors = {name: drawn(name == "field") for name in RATES}
    others = {name: tensor.clone() for name, tensor in tensors.items()}
    updates = Updates(ParameterSet(tensors, RATES, frozenset({"steps"})), 0.05, modules=(1, 3))
    theirs = torch.optim.Adam(
        [
            {"params": [others[name][part]], "lr": 0.05 * RATES[name]}
            for name, part in (
                ("field", slice(None)),
                ("levels", slice(None)),
                ("steps", slice(0, 1)),
                ("steps", slice(1, 4)),
            )
        ]
    )
    rates = [group["lr"] for group in theirs.param_groups]
    for step in range(5):
        gradients = {name: drawn(name == "field") for name in RATES}
        factor = 1 / (1 + step)
        updates.step(gradients, factor)
        parts = [gradients["field"], gradients["levels"], gradients["steps"][:1], gradients["steps"][1:]]
        for group, rate, gradient in zip(theirs.param_groups, rates, parts, strict=True):
            group["params"][0].grad, group["lr"] = gradient, rate * factor
        theirs.step()
    for name in RATES:
        assert torch.equal(tensors[name], others[name]), name
    memory = theirs.state[theirs.param_groups[0]["params"][0]]
    kept = updates.state()
    for name, value in memory.items():
        assert torch.equal(torch.from_numpy(kept[f"adam_field_{name}"]), value), name


def test_no_compiler_and_no_symbolic_mathematics_is_loaded_for_a_run(tmp_path: Path) -> None:
    """They take one to two seconds, more than the step. In a process of its own: other tests have loaded them."""
    path = experiment_on_disk(tmp_path, training={"steps": 1})
    words = [sys.executable, "-c", FIRST_STEP, str(path), str(tmp_path / "run")]
    result = subprocess.run(words, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == "[]"
