"""A task that is no optics: blind deconvolution of signals with a kernel that is learned.

    y = k * s + noise,    x_{j+1} = x_j - a_j c * (c * x_j - y)

Signals s are blurred by a fixed kernel k; the network knows y alone and learns its own symmetric kernel c and a step
size for every unroll. Importing the module makes the kind known: nothing else in the program knows of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from ptychoui.engine import AutogradLayer, Chain, HeavyBall
from ptychoui.engine.strategy import Callback
from ptychoui.network.unrolled import UnrolledNetwork
from ptychoui.settings import Experiment, Kind, Metric, Settings, Training, register
from ptychoui.training.devices import pick_device
from ptychoui.training.events import ShownArray, Snapshot, picture
from ptychoui.training.parameters import ParameterSet
from ptychoui.training.results import LearnedArrays
from ptychoui.training.run_folder import library_versions
from ptychoui.training.task import NetworkInputs, Preflight

TRUE_KERNEL = (0.1, 0.25, 0.3, 0.25, 0.1)


class Blur(Settings):
    """The signals and how they are measured."""

    signals: int = Field(12, ge=4, le=1000, description="signals, a quarter of which are held out")
    samples: int = Field(48, ge=16, le=4096, description="samples of a signal")
    noise: float = Field(0.01, ge=0, le=1, description="standard deviation of the noise")


class Depth(Settings):
    """The unrolled network."""

    unrolls: int = Field(6, ge=1, le=1000, description="number of unrolled iterations")
    step: float = Field(0.3, gt=0, le=2, description="step size of every unroll at the start")


class Deconvolution(Experiment):
    """Every setting of a run that learns a kernel."""

    kind: Literal["deconvolution"] = "deconvolution"
    blur: Blur = Blur()
    network: Depth = Depth()
    training: Training = Training()


@dataclass(frozen=True)
class Signals:
    """Signals s and their blurred images k * s, (example, sample) each."""

    true: Tensor
    blurred: Tensor

    def __len__(self) -> int:
        return len(self.true)

    def pick(self, places: list[int]) -> Signals:
        return Signals(self.true[places], self.blurred[places])

    def part(self, first: int, stop: int) -> Signals:
        return Signals(self.true[first:stop], self.blurred[first:stop])

    def joined(self, others: Signals) -> Signals:
        return Signals(torch.cat([self.true, others.true]), torch.cat([self.blurred, others.blurred]))

    def double(self) -> Signals:
        return Signals(self.true.double(), self.blurred.double())


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalShown(Snapshot):
    """A held-out signal, what is reconstructed of it, and the kernel."""

    curves: Mapping[str, Any]

    @property
    def pictures(self) -> tuple[ShownArray, ...]:
        return tuple(ShownArray(title=title, values=values) for title, values in self.curves.items())


def blur(signals: Tensor, taps: Tensor) -> Tensor:
    """Circular convolution with a symmetric kernel, given from its middle outwards."""
    found = taps[0] * signals
    for shift in range(1, len(taps)):
        found = found + taps[shift] * (signals.roll(shift, -1) + signals.roll(-shift, -1))
    return found


@dataclass(frozen=True, kw_only=True)
class DeconvolutionTask:
    """See `training.task.Task`."""

    experiment: Deconvolution
    device: torch.device
    dtype: torch.dtype
    training: Signals
    held_out: Signals

    variants = ("",)
    reference = "the signals"
    source = "made by the task itself"
    notes: tuple[str, ...] = ("signals are made from the seed",)
    split: tuple[str, ...] = ("a quarter of the signals is held out",)

    @property
    def data_sha256(self) -> str:
        return hashlib.sha256(self.training.true.cpu().numpy().tobytes()).hexdigest()

    def parameters(self) -> ParameterSet:
        settings = self.experiment.network
        kernel = torch.tensor([0.6, 0.2, 0.0], dtype=self.dtype, device=self.device)
        step = torch.full((settings.unrolls,), settings.step, dtype=self.dtype, device=self.device)
        return ParameterSet({"kernel": kernel, "step": step}, {"kernel": 1.0, "step": 1.0}, frozenset({"step"}))

    def network(self, _variant: str = "") -> UnrolledNetwork:
        def layer(index: int) -> AutogradLayer:
            def h(x: Tensor, given: Mapping[str, Tensor]) -> Tensor:
                taps = given["kernel"]
                return -given["step"][index] * blur(blur(x, taps) - given["data"], taps)

            made = AutogradLayer(f"gradient {index + 1}", h)
            made.kind = "gradient"
            return made

        return UnrolledNetwork(Chain([layer(k) for k in range(self.experiment.network.unrolls)], HeavyBall("1/2")))

    def inputs(
        self, parameters: ParameterSet, batch: Signals, generator: torch.Generator | None, training: bool
    ) -> NetworkInputs:
        data = batch.blurred
        if generator is not None:
            noise = torch.randn(data.shape, generator=generator, dtype=data.dtype, device=data.device)
            data = data + self.experiment.blur.noise * noise
        tensors = {"kernel": parameters["kernel"], "step": parameters["step"], "data": data}
        return NetworkInputs(data.clone(), tensors, frozenset({"data"}))

    def loss(self, output: Tensor, batch: Signals) -> Tensor:
        return (output - batch.true).square().mean(1) / batch.true.square().mean(1)

    def scores(self, output: Tensor, batch: Signals) -> dict[str, Tensor]:
        loss = self.loss(output, batch)
        return {"signal_error": loss.sqrt(), "loss": loss}

    def project_(self, parameters: ParameterSet) -> None:
        parameters["kernel"].clamp_(0, 1)
        parameters["step"].clamp_(1e-3, 1.0)

    def preflight(self, _parameters: ParameterSet, callback: Callback) -> Preflight:
        callback()
        return Preflight(summary=f"{len(TRUE_KERNEL)} taps blur the signals")

    def shown_first(self, _step: int) -> None:
        return None

    def snapshot(self, parameters: ParameterSet, output: Tensor, example: Signals, step: int) -> SignalShown:
        curves = {
            "Signal": picture(example.true[0].cpu().numpy()),
            "Reconstructed": picture(output[0].cpu().numpy()),
            "Kernel": picture(parameters["kernel"].cpu().numpy()),
        }
        return SignalShown(step=step, curves=curves)

    def result(self, parameters: ParameterSet, step: int) -> LearnedArrays:
        return LearnedArrays(
            name=self.experiment.name,
            arrays={name: tensor.cpu().numpy() for name, tensor in parameters.items()},
            record={"seed": self.experiment.seed, "steps": step, "versions": library_versions()},
        )

    def verdict(self, _parameters: ParameterSet, _callback: Callback) -> None:
        return None

    def known(self, name: str, _step: int) -> LearnedArrays:
        raise KeyError(name)

    def facts(self) -> dict[str, str]:
        return {"kernel": "3 learned taps"}

    def double(self) -> DeconvolutionTask:
        return replace(self, dtype=torch.float64)

    def kept(self, experiment: Deconvolution) -> Deconvolution:
        return experiment

    def record(self) -> dict[str, str]:
        return {}

    def taken_up(self, _record: Mapping[str, object]) -> DeconvolutionTask:
        return self


def build_task(
    experiment: Experiment,
    tell: Callable[[str], None] = lambda _sentence: None,
    callback: Callable[[], None] | None = None,
) -> DeconvolutionTask:
    """Make smooth random signals and blur them."""
    assert isinstance(experiment, Deconvolution)
    tell("making signals")
    if callback is not None:
        callback()
    settings, rng = experiment.blur, np.random.default_rng(experiment.seed)
    dtype = torch.float32 if experiment.engine.precision == "float32" else torch.float64
    device = pick_device(experiment.engine.device)
    true = torch.from_numpy(rng.normal(size=(settings.signals, settings.samples)).cumsum(1))
    true = (true - true.mean(1, keepdim=True)).to(device, dtype)
    taps = torch.tensor(TRUE_KERNEL[len(TRUE_KERNEL) // 2 :], device=device, dtype=dtype)
    signals = Signals(true, blur(true, taps))
    count = settings.signals - settings.signals // 4
    return DeconvolutionTask(
        experiment=experiment,
        device=device,
        dtype=dtype,
        training=signals.part(0, count),
        held_out=signals.part(count, settings.signals),
    )


KIND = register(
    Kind(
        name="deconvolution",
        title="Blind deconvolution",
        settings=Deconvolution,
        metrics=(Metric("signal_error", "signal error", worthless=1.0),),
        module=__name__,
    )
)
