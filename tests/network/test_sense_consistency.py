"""Data consistency of multi-coil k-space against dense solves: values, every derivative, convergence, repairs."""

from __future__ import annotations

import pytest
import torch
from network.layer_checks import check_accumulates, check_derivatives, check_increments, check_single_precision
from network.layer_problems import BATCH, draw, sense_inputs, sense_problem
from optics.setups import figure, relative

from ptychoui.engine.scratch import Scratch
from ptychoui.errors import EngineError, SettingsError
from ptychoui.mri.sense import Sense
from ptychoui.network.least_squares import LeastSquares
from ptychoui.network.sense_consistency import FixedSteps, SenseOperator

SPACES = [((5, 6), 2), ((3, 4, 5), 2), ((3, 4, 2), 3)]


@pytest.mark.parametrize(("space", "transformed"), SPACES)
def test_it_keeps_the_layer_contract(space: tuple[int, ...], transformed: int) -> None:
    """Image, slab and volume; derivatives in image, k-space, mu, weights of the samples and maps."""
    problem = sense_problem(space, transformed)
    for index in (0, 1):
        check_increments(problem, "multi-coil k-space", index)
        check_derivatives(problem, "multi-coil k-space", index, 1e-6)
    check_accumulates(problem, 1)
    single = LeastSquares(SenseOperator(transformed), 0, measured="k_space")
    check_single_precision(problem, "multi-coil k-space", single=single)


def test_inputs_that_do_not_depend_on_an_axis_keep_the_contract() -> None:
    """Lines that are the same along columns, maps that are the same in every frame."""
    space = (3, 4, 5)
    lines = sense_inputs(space, 2)["sampling"][:, :, :, :1].clone()
    problem = sense_problem(space, 2, sampling=lines, maps=0.7 * draw(40, BATCH, 2, 1, 4, 5))
    check_increments(problem, "multi-coil lines", 0)
    check_derivatives(problem, "multi-coil lines", 1)


def test_a_zero_background_has_right_derivatives() -> None:
    """Where maps, image and samples are exactly zero, as they are around a head."""
    space = (5, 6)
    inputs = sense_inputs(space, 2)
    inputs["maps"][..., :2] = 0
    problem = sense_problem(space, 2, **inputs)
    problem.x[..., :2] = 0
    check_derivatives(problem, "multi-coil, zero background", 0)


def test_volumes_converge_in_few_iterations() -> None:
    """One set of numbers for a volume whose slices are coupled: 20 iterations suffice."""
    space = (6, 8, 10)
    maps = draw(1, 1, 4, *space)
    maps = maps / maps.abs().square().sum(1, keepdim=True).sqrt()
    mask = (torch.rand(1, *space, generator=torch.manual_seed(2), dtype=torch.float64) < 0.4).double()
    inputs = {"maps": maps, "sampling": mask, "k_space": draw(3, 1, 4, *space), "mu": torch.tensor([0.2]).double()}
    layer = LeastSquares(SenseOperator(3), 0, 1e-6, most_iterations=20, measured="k_space")
    h = layer.increment(draw(4, 1, *space), inputs, Scratch())
    assert bool(h.isfinite().all())


@pytest.mark.parametrize(("space", "transformed"), SPACES)
def test_many_fixed_steps_reach_the_solution(space: tuple[int, ...], transformed: int) -> None:
    problem = sense_problem(space, transformed)
    layer = FixedSteps(transformed, 1, 80)
    found = layer.increment(problem.x, problem.inputs, Scratch())
    assert figure("80 fixed steps", relative(found, problem.independent(problem.x, problem.inputs, 1))) < 1e-10


def test_fixed_steps_are_differentiated_as_they_are() -> None:
    """Three steps from the solution and no image at all for one example: differences, not the implicit formula."""
    problem = sense_problem((4, 5), 2)
    layer, x = FixedSteps(2, 0, 3), problem.x.clone()
    inputs = {name: tensor.clone() for name, tensor in problem.inputs.items()}
    x[1] = 0
    inputs["k_space"][1] = 0
    into = {name: torch.zeros_like(tensor) for name, tensor in inputs.items()}
    product = layer.linearise(x, inputs, Scratch(), Scratch()).pullback(problem.cotangent, into)
    assert bool(product.isfinite().all())
    for name in ("x", *inputs):
        direction = torch.randn_like((inputs | {"x": x})[name], generator=None)
        direction = direction if name == "x" else torch.where(inputs[name] == 0, 0.0, direction)
        if name == "x":
            direction[1] = 0
        values = []
        for sign in (-1, 1):
            at = inputs | {"x": x}
            at[name] = at[name] + sign * 1e-6 * direction
            moved = layer.increment(at.pop("x"), at, Scratch())
            values.append(float((problem.cotangent.conj() * moved).real.sum()))
        slope = (values[1] - values[0]) / 2e-6
        own = product if name == "x" else into[name]
        assert float((own.conj() * direction).real.sum()) == pytest.approx(slope, rel=1e-6), name


def test_coils_in_chunks_give_the_sums_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = sense_inputs((4, 5), 1, coils=5)
    sense, x = Sense(inputs["maps"], inputs["sampling"], 2), draw(5, BATCH, 4, 5)
    results = []
    for size in (1, 2 * x.numel() * 16, 2**30):
        monkeypatch.setattr("ptychoui.mri.sense.CHUNK_BYTES", size)
        y = inputs["k_space"]
        results.append([sense.normal(x), sense.towards(x, y), sense.adjoint(y), sense.of_sampling(x, 2 * x, y)])
    for others in results[1:]:
        for one, two in zip(results[0], others, strict=True):
            assert relative(one, two) < 1e-14


def test_normal_is_adjoint_of_apply() -> None:
    """<A x, y>_W = <x, A^H W y>, and the two together are the normal operator."""
    inputs = sense_inputs((3, 4, 5), 1)
    sense, x, y = Sense(inputs["maps"], inputs["sampling"], 2), draw(6, BATCH, 3, 4, 5), inputs["k_space"]
    left = (sense.apply(x).conj() * (inputs["sampling"][:, None] * y)).sum()
    right = (x.conj() * sense.adjoint(y)).sum()
    assert figure("multi-coil k-space: adjoint", float((left - right).abs() / left.abs())) < 1e-12
    assert figure("multi-coil k-space: normal", relative(sense.normal(x), sense.adjoint(sense.apply(x)))) < 1e-12
    assert relative(sense.towards(x, y), sense.adjoint(y) - sense.normal(x)) < 1e-12


def test_what_does_not_fit_is_refused() -> None:
    problem = sense_problem((4, 5), 2)
    layer = problem.layer(0)
    for missing in ("maps", "sampling", "k_space"):
        given = {name: tensor for name, tensor in problem.inputs.items() if name != missing}
        with pytest.raises(EngineError, match=f"no input '{missing}'"):
            layer.increment(problem.x, given, Scratch())
    for name, wrong in (("k_space", draw(1, BATCH, 3, 4, 5)), ("maps", draw(1, BATCH, 2, 4, 6))):
        with pytest.raises(Exception, match="shape") as error:
            layer.increment(problem.x, problem.inputs | {name: wrong}, Scratch())
        assert getattr(error.value, "hint", "")
    with pytest.raises(SettingsError, match="do nothing"):
        FixedSteps(2, 0, 0)


def test_planes_that_nothing_couples_are_solved_each_to_its_own_tolerance() -> None:
    """A plane's image does not depend on the planes beside it, however loose the tolerance."""
    space = (3, 8, 9)
    maps, x, k_space = draw(1, 1, 4, *space), draw(4, 1, *space), draw(3, 1, 4, *space)
    k_space[:, :, 1] *= 100
    mask = (torch.rand(1, *space, generator=torch.manual_seed(2), dtype=torch.float64) < 0.4).double()
    layer = LeastSquares(SenseOperator(2), 0, 0.05, measured="k_space", coupled=2)

    def increment(planes: slice) -> torch.Tensor:
        inputs = {"maps": maps[:, :, planes], "sampling": mask[:, planes], "k_space": k_space[:, :, planes]}
        inputs["mu"] = torch.tensor([0.01], dtype=torch.float64)
        return layer.increment(x[:, planes], inputs, Scratch())

    together = increment(slice(None))
    for plane in range(3):
        assert relative(increment(slice(plane, plane + 1)), together[:, plane : plane + 1]) < 1e-12


@pytest.mark.parametrize(("space", "transformed"), SPACES)
def test_the_bound_of_the_operator_is_one(space: tuple[int, ...], transformed: int) -> None:
    """Above the largest eigenvalue of A^H W A, which power iterations find, and reached where all is measured alike."""
    inputs = sense_inputs(space, transformed)
    weights = inputs["sampling"]
    sense = Sense(inputs["maps"], weights, transformed)
    x = draw(9, *weights.shape[:1], *space)
    for _ in range(300):
        x = sense.normal(x)
        largest = x.flatten(1).norm(dim=1, keepdim=True).reshape(-1, *[1] * len(space))
        x = x / largest
    assert float(largest.max()) <= sense.norm_squared() * (1 + 1e-9)
    flat = inputs["maps"] / inputs["maps"].abs().square().sum(1, keepdim=True).sqrt()
    assert Sense(2 * flat, torch.full_like(weights, 0.5), transformed).norm_squared() == pytest.approx(2)
    one = torch.zeros_like(flat)
    one[:, :, ..., :1] = flat[:, :, ..., :1]  # a single bright column: the largest counts, not the mean
    assert Sense(one, torch.ones_like(weights), transformed).norm_squared() == pytest.approx(1)


def test_an_empty_plane_does_not_hide_why_another_one_did_not_converge() -> None:
    space = (2, 6, 7)
    maps, x, k_space = draw(1, 1, 4, *space), draw(4, 1, *space), draw(3, 1, 4, *space)
    x[:, 0], k_space[:, :, 0] = 0, 0
    inputs = {"maps": maps, "sampling": torch.ones(1, *space).double(), "k_space": k_space}
    inputs["mu"] = torch.tensor([0.01], dtype=torch.float64)
    layer = LeastSquares(SenseOperator(2), 0, 1e-9, most_iterations=2, measured="k_space", coupled=2)
    with pytest.raises(EngineError, match=r"residual is \d") as error:
        layer.increment(x, inputs, Scratch())
    assert "more iterations" in error.value.hint
