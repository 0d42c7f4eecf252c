"""Makes the recording of the demonstration from a real run. Torch is imported inside.

Everything is computed here: the run is trained as ``ptychoui train demo`` trains it, frames are drawn with the
experiment's noise, designs are judged by the program's own judges.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ptychoui.paths import resources
from ptychoui.session.demo.recording import Recording, save_recording
from ptychoui.session.runs import leave_a_core
from ptychoui.settings import FpmExperiment, for_microscopes
from ptychoui.settings.files import load_experiment

if TYPE_CHECKING:
    from ptychoui.tasks.fpm.contenders import Contender
    from ptychoui.tasks.fpm.task import FpmTask
    from ptychoui.training.trainer import Trainer

EXPERIMENT = "demo.toml"
DEPTHS = (20, 30, *range(40, 401, 40))
"""Numbers of unrolls at which the memory of our step is measured and that of back-propagation predicted."""

BUILT = (1, 5, 9, 21, 37, 69)
"""Numbers of single-LED frames whose object is shown while the array lights up."""

STAGES = 4
"""Pictures of the estimate on its way through the network, and as many on the way back."""

Say = Callable[[str], None]
Floats = NDArray[np.float32]


def demo_experiment() -> FpmExperiment:
    """What the demonstration learns."""
    return for_microscopes(load_experiment(resources() / "experiments" / EXPERIMENT))


def make_recording(path: str | Path, say: Say = lambda _sentence: None) -> Path:
    """Train the demonstration's experiment and write down what its chapters show.

    Raises
    ------
    PtychouiError
        If it cannot be trained or written.
    """
    from ptychoui.training.runs import new_run

    leave_a_core()  # as the live run does
    began = time.monotonic()
    experiment = demo_experiment()
    trainer: Any = new_run(experiment.replace(training=experiment.training.replace(compare=False)), None)
    task: FpmTask = trainer.task
    say("training")
    kept = _trained(trainer, say)
    seconds = time.monotonic() - began
    say("measuring memory")
    predicted, measured = _memory(task)
    say("undoing the network")
    undone, undone_facts = _undone(trainer)
    say("building the object from single LEDs")
    order = from_the_middle(task.leds.illumination_na)
    frames, peaks = _frames(task, np.eye(len(task.leds))[order], np.ones(len(task.leds)))
    built, built_errors = _built(task, order)
    levels, exposures = task.design_arrays(trainer.parameters)
    coded, coded_peaks = _frames(task, levels, exposures)
    say("judging")
    contenders, verdict, phases = _judged(trainer)
    snapshot = trainer.snapshot()
    microscope = experiment.geometry.microscope if experiment.geometry else task.geometry.microscope
    facts = {
        "command": "ptychoui demo --record FILE",
        "experiment": experiment.model_dump(mode="json", exclude_none=True),
        "data_sha256": task.data_sha256,
        "machine": f"{platform.system()} {platform.machine()}",
        "seconds": round(seconds, 1),
        "pixel_um": task.grids.object_pixel_um,
        "frame_pixel_um": task.grids.pixel_size_um,
        "objective_na": microscope.objective_na,
        "unrolls": experiment.network.unrolls,
        "built_errors": built_errors,
        "contenders": contenders,
        "verdict": verdict,
        **undone_facts,
    }
    recording = Recording(
        led_na=task.leds.illumination_na[order].astype(np.float32),
        led_numbers=task.leds.numbers[order],
        frames=frames,
        frame_peaks=peaks,
        coded_levels=levels[:, order].astype(np.float32),
        coded_frames=coded,
        coded_peaks=coded_peaks,
        built_counts=np.array(BUILT),
        built_phase=built,
        steps=np.array(kept["steps"]),
        levels=np.stack(kept["levels"])[:, :, order],
        phase=np.stack(kept["phase"]),
        losses=np.array(kept["losses"], np.float32),
        score_steps=np.array(kept["score_steps"]),
        scores=np.array(kept["scores"], np.float32),
        true_phase=np.asarray(snapshot.true_phase_rad),
        depths=np.array(DEPTHS),
        predicted=predicted,
        measured=measured,
        undone_phase=undone,
        contender_phase=phases,
        facts=facts,
    )
    return save_recording(path, recording)


def from_the_middle(na: NDArray[np.float64]) -> NDArray[np.int64]:
    """Places of LEDs (LED, 2) from the axis outwards, ring by ring."""
    radius, angle = np.hypot(*na.T), np.arctan2(na[:, 1], na[:, 0])
    return np.lexsort((angle, np.round(radius, 3)))


def _wanted(step: int) -> bool:
    """Early steps change most: all of them, then every third."""
    return step <= 12 or step % 3 == 0


def _trained(trainer: Trainer[Any], say: Say) -> dict[str, list[Any]]:
    """Snapshots, losses and scores of a whole run."""
    kept: dict[str, list[Any]] = {
        name: [] for name in ("steps", "levels", "phase", "losses", "score_steps", "scores", "certificates")
    }
    trainer.want_images = lambda: _wanted(trainer.step)
    event: Any
    for event in trainer.run():
        name = type(event).__name__
        if name == "PatternSnapshot" and (not kept["steps"] or kept["steps"][-1] != event.step):
            for key, value in (("steps", event.step), ("levels", event.levels), ("phase", event.phase_rad)):
                kept[key].append(value)
        elif name == "StepDone":
            kept["losses"].append(event.loss)
            say(f"step {event.step}")
        elif name == "Validated":
            kept["score_steps"].append(event.step)
            kept["scores"].append(event.scores["complex_error"])
    return kept


def _memory(task: FpmTask) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Predicted peak of back-propagation and measured peak of ours, (D,) bytes each, at `DEPTHS`."""
    from dataclasses import replace

    from ptychoui.training.planning import predicted_peaks
    from ptychoui.training.trainer import Trainer

    predicted = predicted_peaks(task, task.parameters(), DEPTHS)["store_all"]
    measured = []
    for depth in DEPTHS:
        network = task.experiment.network.replace(unrolls=depth)
        training = task.experiment.training.replace(steps=1)
        deeper = replace(task, experiment=task.experiment.replace(network=network, training=training))
        trainer = Trainer(deeper)
        trainer.strategy = "reversible"
        for _event in trainer.steps_alone(metered=True):
            pass
        measured.append(trainer.memory_bytes)
    return np.array(predicted), np.array(measured)


def _undone(trainer: Trainer[Any]) -> tuple[Floats, dict[str, int]]:
    """Phase of the estimate on its way through the network and back; how many of its bits differ in the end."""
    import torch

    task, chain = trainer.task, trainer.network.chain
    example = task.held_out.pick([0])
    generator = torch.Generator(device=task.device).manual_seed(1)
    with torch.no_grad():
        given = task.inputs(trainer.parameters, example, generator, training=False)
        update, inputs = chain.update, dict(given.tensors)
        state = update.start(trainer.network.enter(given.x))
        mark = update.copy(state)
        count, pictures = len(chain), []
        from ptychoui.engine.scratch import Scratch

        work = Scratch()
        places = np.linspace(0, count, STAGES + 1).round().astype(int)
        for place in range(count):
            if place in places:
                pictures.append(_phase(task, update.point(state), example))
            update.advance(state, chain.layers[place].increment(update.point(state), inputs, work))
        pictures.append(_phase(task, update.point(state), example))
        for place in reversed(range(count)):
            point = update.previous_point(state)
            update.retreat(state, chain.layers[place].increment(point, inputs, work))
            if place in places:
                pictures.append(_phase(task, update.point(state), example))
    # Without the largest magnitude that was seen on the way, which is no part of the estimate.
    back, start = (update.pack(each)[1][1:] for each in (state, mark))
    different = sum(_bits_apart(one, other) for one, other in zip(back, start, strict=True))
    if not update.same(state, mark):  # the engine's own certificate decides
        different = max(1, different)
    bits = 8 * sum(tensor.numel() * tensor.element_size() for tensor in start)
    return np.stack(pictures), {
        "bits": int(bits),
        "bits_different": int(different),
    }


def _bits_apart(one: Any, other: Any) -> int:
    first, second = (np.frombuffer(each.contiguous().numpy().tobytes(), np.uint8) for each in (one, other))
    return int(np.unpackbits(first ^ second).sum())


def _phase(task: FpmTask, point: Any, example: Any) -> Floats:
    """Phase of an estimate, (1, N, N), around the truth's mean, as the run's pictures show it."""
    import torch

    from ptychoui.tasks.fpm.objectives import align

    truth = example.truth[0]
    x = align(task.object_of(point.clone()), example.truth)[0]
    turn = truth.mean().conj() / truth.mean().abs()
    return np.asarray(torch.angle(x * turn).numpy(), np.float32)


def _frames(
    task: FpmTask, levels: NDArray[np.floating], exposures: NDArray[np.floating]
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """What the camera records of the held-out slide: (M, row, column) in 8 bits, (M,) photoelectrons of 255."""
    import torch

    example = task.held_out.pick([0])
    model = task.measurement
    generator = torch.Generator(device=task.device).manual_seed(1)
    shown, times = (torch.from_numpy(np.array(values)).to(task.dtype) for values in (levels, exposures))
    with torch.no_grad():
        recorded = model.record(example.intensities, shown, times, generator, poisson=True)[0].numpy()
    peaks = np.quantile(recorded, 0.998, axis=(1, 2)).clip(1e-6)
    eight = np.round(np.clip(recorded / peaks[:, None, None], 0, 1) * 255).astype(np.uint8)
    return eight, (peaks * model.settings.photons_per_led).astype(np.float32)


def _built(task: FpmTask, order: NDArray[np.int64]) -> tuple[Floats, list[float]]:
    """Phase and error of the object from the first frames of single LEDs, one frame time each."""
    from ptychoui.tasks.fpm.contenders import contender

    pictures, errors = [], []
    for count in BUILT:
        levels = np.eye(len(task.leds))[order[:count]]
        picture, error = _solved(contender(task, levels, "singles", total_exposure=float(count)))
        pictures.append(picture)
        errors.append(error)
    return np.stack(pictures), errors


def _solved(design: Contender) -> tuple[Floats, float]:
    """Phase of the held-out slide by the converged solver, and its complex error."""
    from ptychoui.tasks.fpm.judges import solver_outputs

    example = design.task.held_out.pick([0])
    output = solver_outputs(design, example)
    error = float(design.task.scores(output, example)["complex_error"][0])
    return _phase(design.task, output, example), error


SIDE_BY_SIDE = ("singles", "half_circles")


def _judged(trainer: Trainer[Any]) -> tuple[list[dict[str, Any]], dict[str, Any], Floats]:
    """The learned design beside known ones on all held-out slides, the program's verdict, and pictures."""
    from ptychoui.tasks.fpm.contenders import TITLES, known_design, learned_design
    from ptychoui.tasks.fpm.judges import SOLVER, solver_errors
    from ptychoui.tasks.fpm.parameters import DesignParameters
    from ptychoui.tasks.fpm.recommendation import JUDGED
    from ptychoui.training.verdict import LEARNED

    task, parameters = trainer.task, trainer.parameters
    judged = task.held_out.spread(JUDGED)
    assert isinstance(parameters, DesignParameters)
    verdict = task.verdict(parameters, lambda: None)
    errors: dict[str, list[float]] = {}
    for row in verdict.comparisons:
        errors.setdefault(row.name, []).append(row.error)
    best = min(errors, key=lambda name: float(np.mean(errors[name])))
    names = list(dict.fromkeys((*SIDE_BY_SIDE, best)))
    designs = [*(known_design(task, name) for name in names), learned_design(task, parameters)]
    known = {row.name: row.error for row in verdict.comparisons if row.judge == SOLVER}
    known[LEARNED] = next(row.learned for row in verdict.comparisons if row.judge == SOLVER)
    rows, pictures = [], []
    for design in designs:
        picture, _ = _solved(design)
        error = known.get(design.name)
        if error is None:
            error = float(solver_errors(design, judged).mean())
        title = TITLES.get(design.name, "learned patterns")
        rows.append(
            {
                "name": design.name,
                "title": title,
                "error": error,
                "slides": len(judged),
                "frames": len(design.levels),
            }
        )
        pictures.append(picture)
    return rows, verdict.record(), np.stack(pictures)
