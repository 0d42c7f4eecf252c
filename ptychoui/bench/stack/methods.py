"""Ways from one stack of images to an object and a pupil: EPRY in plain NumPy, and the libraries of others.

All get the same images, the same windows and the same pupil to start from, on one model: the spectrum S of the object
is cut out at whole samples k_l, passes the pupil P, and the camera samples the field of each LED at points,

    g_l = F^-1[P . S(k - k_l)].

Libraries for ordinary ptychography do this with the roles of the two spaces exchanged: their object is the spectrum,
their probe the pupil, their scan the directions of the LEDs. They transform forward, so that they are given -k_l and
find S(-k) and P(-k).
"""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from ptychoui.bench.peers.coupling import CannotRun, library
from ptychoui.errors import DataError
from ptychoui.optics.geometry.led_array import LedArray
from ptychoui.optics.geometry.microscope import good_length, pupil_function
from ptychoui.settings import Geometry


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """What every method starts from.

    Attributes
    ----------
    images
        (L, n, n) float32 intensities, 1 = open field.
    samples
        (L, 2) row, column of each LED's direction, in whole samples of 1 / (n pixels).
    radius
        Radius of the pupil in samples.
    pupil
        (n, n) complex64 pupil with the zero frequency at n // 2: the geometry's phase inside a sharp edge.
    object_px
        Edge of the object's grid N.
    """

    geometry: Geometry
    leds: LedArray
    images: NDArray[np.float32]
    samples: NDArray[np.int64]
    radius: float
    pupil: NDArray[np.complex64]
    object_px: int

    @property
    def image_px(self) -> int:
        """Edge of the images n."""
        return int(self.images.shape[-1])

    @property
    def order(self) -> NDArray[np.int64]:
        """LEDs by increasing illumination NA."""
        return np.argsort(self.leds.radius_na, kind="stable")

    def corner(self, led: int) -> tuple[int, int]:
        """First row and column of an LED's window in the spectrum."""
        row, column = self.samples[led]
        first = self.object_px // 2 - self.image_px // 2
        return first + int(row), first + int(column)

    def start(self, unit: float = 1.0) -> NDArray[np.complex64]:
        """(N, N) centred spectrum of the image next to the axis, its square root inside the pupil, times ``unit``."""
        field = np.sqrt(np.clip(self.images[self.order[0]], 0, None))
        edge = self.image_px // 2
        spectrum = np.zeros((self.object_px, self.object_px), np.complex64)
        first = self.object_px // 2 - edge
        window = slice(first, first + self.image_px)
        spectrum[window, window] = unit * forward(field) * (np.abs(self.pupil) > 0)
        return spectrum


@dataclass(frozen=True, slots=True)
class Found:
    """An object's centred spectrum (N, N) and a pupil (n, n), both in the model of this module; what is to be said."""

    spectrum: NDArray[np.complex64]
    pupil: NDArray[np.complex64]
    note: str = ""


Method = Callable[[Stack, int], Found]


def make_stack(geometry: Geometry, leds: LedArray, images: NDArray[np.float32]) -> Stack:
    """Lay out the grids of the common model.

    Raises
    ------
    DataError
        If the images are not square or have an odd edge, which one of the libraries does not take.
    """
    size = images.shape[-1]
    if images.shape[-2] != size or size % 2:
        raise DataError(
            f"images of {images.shape[-2]} x {size} pixels are not square with an even edge",
            "cut out others with a smaller --size",
        )
    scope = geometry.microscope
    step = 1 / (size * scope.pixel_size_um)
    samples = np.rint(leds.illumination_na[:, ::-1] / scope.wavelength_um / step).astype(np.int64)
    radius = scope.objective_na / scope.wavelength_um / step
    order = (np.arange(size) - size // 2) * step
    x, y = np.meshgrid(order, order)
    phase = np.angle(pupil_function(scope, x, y, step))
    inside = np.hypot(x, y) <= radius * step
    object_px = good_length(size + 2 * int(np.abs(samples).max()) + 4)
    while object_px % 2:
        object_px = good_length(object_px + 1)
    return Stack(
        geometry=geometry,
        leds=leds,
        images=np.ascontiguousarray(images),
        samples=samples,
        radius=radius,
        pupil=np.asarray(inside * np.exp(1j * phase), np.complex64),
        object_px=object_px,
    )


def forward(field: NDArray[np.generic]) -> NDArray[np.complex64]:
    """Centred spectrum of a field (n, n) whose origin is at n // 2."""
    return np.asarray(np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(field))), np.complex64)


def inverse(spectrum: NDArray[np.generic]) -> NDArray[np.complex64]:
    """Field (n, n) of a centred spectrum."""
    return np.asarray(np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(spectrum))), np.complex64)


def mirrored(spectrum: NDArray[np.complex64]) -> NDArray[np.complex64]:
    """S(-k) of a centred spectrum of even edge; the lone -N / 2 stays where it is."""
    return np.ascontiguousarray(np.roll(spectrum[::-1, ::-1], (1, 1), (0, 1)))


# The yardstick ----------------------------------------------------------------------------------------------------


def epry(stack: Stack, passes: int, weighted: bool = False) -> Found:
    """Embedded pupil recovery, as its authors write it down, with both step sizes at one.

    With psi = P S_l, g = F^-1 psi and psi' = F[A_l g / |g|],

        S_l <- S_l + P* (psi' - psi) / max |P|^2,    P <- P + S_l* (psi' - psi) / max |S|^2,

    LED after LED, from the axis outwards, S_l being the window of S at k_l and both changes taken from the values
    before. max |S| is taken anew after every pass and not for every LED: it hardly moves, and costs as much as a
    transform. The pupil stays zero outside its radius.

    Ou, Zheng and Yang, "Embedded pupil function recovery for Fourier ptychographic microscopy" (2014).

    Parameters
    ----------
    weighted
        With the changes of Tian, Li, Ramchandran and Waller, "Multiplexed coded illumination for Fourier Ptychography
        with an LED array microscope" (2014), which go further where there is little light,

            |P| P* (psi' - psi) / (max |P| (|P|^2 + 1)),    |S_l| S_l* (psi' - psi) / (max |S| (|S_l|^2 + d)),

        with d = (max |S| / 1000)^2, because their constants are in units of their images.
    """
    n = stack.image_px
    spectrum = stack.start()
    # Transforms run uncentred: their fields have the origin in the corner, and so have the amplitudes.
    amplitude = np.fft.ifftshift(np.sqrt(np.clip(stack.images, 0, None)), axes=(1, 2))
    pupil = np.fft.ifftshift(stack.pupil)
    inside = np.abs(pupil) > 0
    for _ in range(passes):
        most = float(np.max(np.abs(spectrum)))
        for led in stack.order:
            row, column = stack.corner(int(led))
            window = spectrum[row : row + n, column : column + n]
            cut = np.fft.ifftshift(window)
            before = pupil * cut
            field = np.fft.ifft2(before)
            field *= amplitude[led] / np.maximum(np.abs(field), 1e-12)
            change = (np.fft.fft2(field) - before).astype(np.complex64)
            clear = float(np.max(np.abs(pupil)))
            if weighted:
                size, light = np.abs(pupil), np.abs(cut)
                moved = cut + size / (clear * (size**2 + 1)) * pupil.conj() * change
                step = light / (most * (light**2 + (1e-3 * most) ** 2)) * cut.conj() * change
            else:
                moved = cut + pupil.conj() * change / clear**2
                step = cut.conj() * change / most**2
            pupil = (pupil + step) * inside
            window[:] = np.fft.fftshift(moved)
    return Found(spectrum, np.asarray(np.fft.fftshift(pupil), np.complex64))


# Libraries of others ----------------------------------------------------------------------------------------------


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Nothing that a library prints, logs or warns of, and no thread that watches its progress bars."""
    before, interval = logging.root.manager.disable, tqdm.monitor_interval
    logging.disable(logging.CRITICAL)
    tqdm.monitor_interval = 0
    try:
        with (
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
        tqdm.monitor_interval = interval


def fpm_py(stack: Stack, passes: int) -> Found:
    """fpm-py: object and pupil by a quasi-Newton rule; the pupil is not given back.

    Its windows are read at one place and written to at another where `_written_beside` says so; the spectrum has to
    be larger then, that both fit.
    """
    fpm = library("fpm_py")
    structs, math = library("fpm_py.core.structs"), library("fpm_py.utils.math_utils")
    n = stack.image_px
    beside = _written_beside(math.overlap_matrices, n)
    size = stack.object_px + 2 * (n if any(beside) else 0)
    captures = [
        structs.ImageCapture(
            image=torch.from_numpy(stack.images[led]).clamp_min(0),
            k_vector=torch.from_numpy(stack.samples[led].astype(np.float32)),
        )
        for led in stack.order
    ]
    scope = stack.geometry.microscope
    settings = structs.AcquisitionSettings(
        du=1.0, pixel_size=scope.pixel_size_um * 1e-6, wavelength=scope.wavelength_um * 1e-6
    )
    series = structs.ImageSeries(captures=captures, settings=settings)
    found = fpm.reconstruct(
        series, output_image_size=(size, size), pupil_0=torch.from_numpy(stack.pupil), max_iters=passes
    )
    spectrum = forward(found.cpu().numpy())
    margin = (size - stack.object_px) // 2
    spectrum = spectrum[margin : margin + stack.object_px, margin : margin + stack.object_px]
    note = "returns no pupil: that of the start is used"
    if any(beside):
        note += f"; adds its changes {-beside[0]} rows above and {-beside[1]} columns left of where it reads"
    return Found(np.ascontiguousarray(spectrum), stack.pupil, note)


def _written_beside(place: Callable[..., object], size: int) -> tuple[int, int]:
    """Rows and columns between the corner that a window is to be added at and where it lands."""
    whole = torch.zeros(4 * size, 4 * size)
    place(whole, torch.ones(size, size), 2 * size, 2 * size)
    row, column = torch.nonzero(whole)[0].tolist()
    return row - 2 * size, column - 2 * size


def ptylab(stack: Stack, passes: int) -> Found:
    """PtyLab's engine qNewton in its mode for Fourier ptychography, LEDs by NA."""
    lab = library("PtyLab")
    scope, n = stack.geometry.microscope, stack.image_px
    pixel = scope.pixel_size_um * 1e-6
    data = lab.ExperimentalData(None, "FPM")
    data.ptychogram = np.clip(stack.images, 0, None)
    data.wavelength, data.NA = scope.wavelength_um * 1e-6, scope.objective_na
    data.magnification, data.dxd = scope.magnification, pixel * scope.magnification
    data.zled = stack.geometry.array.height_mm * 1e-3
    # Places of LEDs in air whose directions are the whole samples; the library's sign turns them round.
    sine = stack.samples * data.wavelength / (n * pixel)
    data.encoder = sine * data.zled / np.sqrt(1 - (sine**2).sum(1, keepdims=True))
    data.emptyBeam = None
    data._setData()
    params = lab.Params()
    params.gpuSwitch = False
    params.positionOrder, params.probeBoundary, params.saveMemory = "NA", True, True
    work = lab.Reconstruction(data, params)
    work.No = stack.object_px
    found = work.positions - (work.No // 2 - n // 2)
    if not np.array_equal(found, -stack.samples):
        raise CannotRun("places its windows elsewhere")
    # Its window is a fifth wider than the pupil it is told of, and half a sample off the centre.
    data.entrancePupilDiameter = 2 * (stack.radius + 0.5) * pixel / 1.2
    work.initializeObjectProbe()
    work.object = mirrored(stack.start(1 / n)).reshape(work.shape_O)
    work.probe = mirrored(stack.pupil).reshape(work.shape_P)
    engine = lab.Engines.qNewton(work, data, params, lab.DummyMonitor())
    engine.numIterations = passes
    engine.reconstruct()
    return Found(mirrored(n * np.squeeze(work.object)), mirrored(np.squeeze(work.probe)), "qNewton")


def ptychi(stack: Stack, passes: int) -> Found:
    """Pty-chi's regularised PIE, one image at a time in random order.

    A change of its probe is divided by the largest value of the image's own window, which is small in the dark field:
    with the library's step of 1 the pupil runs away. Hence a step of 0.03 for the probe, and the object's weight at 1,
    where its rule is that of ePIE: after ten passes over the measured blood smear the residual is 0.027, with the
    library's own values 0.13 (``ptychoui bench stack``).
    """
    library("ptychi")
    chi, task_module = library("ptychi.api"), library("ptychi.api.task")
    n = stack.image_px
    options = chi.RPIEOptions()
    work = options.reconstructor_options
    work.num_epochs, work.batch_size, work.random_seed = passes, 1, 0
    work.default_device = chi.Devices.CPU
    options.object_options.alpha, options.probe_options.step_size = 1.0, 0.03
    support = options.probe_options.support_constraint
    support.enabled, support.threshold = True, 0.0
    support.fixed_probe_support = chi.ProbeSupportMethods.ELLIPSE
    support.fixed_probe_support_params = [n / 2, n / 2, stack.radius, stack.radius]
    task = task_module.PtychographyTask(
        options,
        diffraction_data=np.clip(stack.images, 0, None),
        object_data=mirrored(stack.start(1 / n**2))[None],
        probe_data=mirrored(stack.pupil)[None, None],
        probe_position_x_px=-stack.samples[:, 1].astype(np.float32),
        probe_position_y_px=-stack.samples[:, 0].astype(np.float32),
    )
    try:
        task.run()
        spectrum, pupil = task.get_data_to_cpu("object", as_numpy=True), task.get_data_to_cpu("probe", as_numpy=True)
    finally:
        torch.set_default_device("cpu")
        torch.set_default_dtype(torch.float32)
    return Found(
        mirrored(n**2 * np.squeeze(spectrum)), mirrored(np.squeeze(pupil)), "rPIE, batches of one, probe step 0.03"
    )


def deepinv(stack: Stack, passes: int) -> Found:
    """The ptychography operator and amplitude loss of deepinv, all images at once; the pupil is taken as known.

    The library brings operator and loss, steps are torch's: gradient descent with Nesterov's momentum 0.9 and the
    step that the largest overlap of the pupils allows.
    """
    inv = library("deepinv")
    fidelity = library("deepinv.optim.data_fidelity").AmplitudeLoss()
    n, size = stack.image_px, stack.object_px
    probe = torch.from_numpy(mirrored(stack.pupil))[None]
    physics = inv.physics.Ptychography(
        img_size=(1, size, size), probe=probe, shifts=torch.from_numpy(-stack.samples).int()
    )
    overlap = float(physics.B.get_overlap_img(physics.B.shifts).max())
    scale = float((physics.B.probe[0, 0].abs().max() / probe.abs().max()).item())
    measured = torch.fft.ifftshift(torch.from_numpy(stack.images).clamp_min(0), dim=(1, 2))[None]
    x = torch.from_numpy(mirrored(stack.start(1 / (n * scale))))[None, None]
    # Its gradient is that of D in x*, twice over; autograd would divide by dark fields.
    optimizer = torch.optim.SGD([x], lr=0.5 / (overlap * scale**2), momentum=0.9, nesterov=True)
    with torch.no_grad():
        for _ in range(passes):
            x.grad = fidelity.grad(x, measured, physics)
            optimizer.step()
    return Found(
        mirrored(np.asarray(n * scale * x[0, 0].numpy(), np.complex64)),
        stack.pupil,
        "all images at once, the pupil is not recovered",
    )


@dataclass(frozen=True, slots=True)
class Peer:
    """A library: how it is reconstructed with, and its name in the package index."""

    method: Method
    package: str

    @property
    def version(self) -> str:
        """Of the installed package, or nothing."""
        try:
            return version(self.package)
        except PackageNotFoundError:
            return ""


PEERS = {
    "fpm-py": Peer(fpm_py, "fpm-py"),
    "PtyLab": Peer(ptylab, "ptylab"),
    "deepinv": Peer(deepinv, "deepinv"),
    "Pty-chi": Peer(ptychi, "ptychi"),
}
