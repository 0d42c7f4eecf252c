"""Whatever a person drops on the window: an experiment, a geometry, a run folder, a reconstruction or data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ptychoui.data.dataset import ImageStack, TrainingSet
from ptychoui.data.formats.geometry_file import (
    GivenGeometry,
    PartialGeometry,
    given_of,
    is_preset,
    load_whole_geometry,
    read_geometry,
    with_images,
)
from ptychoui.data.formats.missing_settings import WORDS
from ptychoui.errors import DataError, ManyAxesError, NoGeometryError
from ptychoui.paths import data_file, resources
from ptychoui.session.filled_in import filled_in
from ptychoui.session.kept_picture import picture_in
from ptychoui.session.kspace_shown import OpenedKSpace, open_k_space
from ptychoui.settings import (
    DataSource,
    Experiment,
    FpmExperiment,
    Geometry,
    Images,
    MriExperiment,
    for_microscopes,
    load_experiment,
    read_toml,
)
from ptychoui.training.events import Snapshot
from ptychoui.words import joined

if TYPE_CHECKING:
    from ptychoui.session.stack_run import StackReport

DEMO = "first_light.toml"
MRI_EXAMPLE = "mri_2d.toml"
FIELDS = {
    "microscope.objective_na": "objective NA",
    "microscope.camera_pixel_um": "camera pixel",
    "array.height_mm": "LED height",
    "array.kind": "LED layout",
}
"""Short words of settings; others have those of `WORDS`."""


@dataclass(frozen=True, slots=True)
class OpenedExperiment:
    """An experiment file."""

    experiment: Experiment
    path: Path


@dataclass(frozen=True, slots=True)
class OpenedGeometry:
    """A geometry file; a profile speaks of images, too: of dark level, brightness and stray light.

    Attributes
    ----------
    filled_in
        It came with the program and was completed by what the data state; ``notes`` say where they differ.
    unused
        It came with the program, and a file states a whole geometry: nothing is to be taken.
    """

    geometry: Geometry
    path: Path
    is_profile: bool = False
    filled_in: bool = False
    unused: bool = False
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class OpenedData:
    """A dataset; ``geometry`` is the whole one where a person answered what the data do not state.

    ``images`` is what the person said of the images.
    """

    dataset: ImageStack | TrainingSet
    path: str
    geometry: Geometry | None = None
    images: Images | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GeometryWanted:
    """Data that do not say enough about the microscope.

    Attributes
    ----------
    message
        What is missing, in words.
    details
        The same with what is stated, the names of the settings, and the lines of a file that would state them.
    missing
        Names of the settings to ask for, such as ``array.height_mm``.
    stated
        Setting -> value, of what the data and a geometry file beside them do state.
    images
        What a person said of the images already.
    """

    path: str
    message: str
    missing: tuple[str, ...]
    stated: Mapping[str, Any]
    images: Images | None = None
    details: str = ""

    @property
    def asks_for_layout(self) -> bool:
        """Whether the LEDs' places are to be entered."""
        return "array.kind" in self.missing or "array.pitch_mm" in self.missing


@dataclass(frozen=True, slots=True, kw_only=True)
class AxesWanted:
    """Images that lie along several axes, of which a person must say which is that of the LEDs.

    Attributes
    ----------
    message, hint
        What is the matter, and what to write into a file instead of answering.
    axes
        Letter -> what its places are called, slowest first.
    along, places
        Letters of those that are said to be of the LEDs, and the place on others that is said.
    given
        What was said before.
    """

    path: str
    message: str
    hint: str
    axes: Mapping[str, tuple[str, ...]]
    along: str = ""
    places: Mapping[str, int] = field(default_factory=dict)
    given: GivenGeometry = None

    @property
    def choices(self) -> tuple[str, ...]:
        """What can be the axis of the LEDs: each alone, the longest first, and two or all as rows and columns."""
        alone = sorted(self.axes, key=lambda name: -len(self.axes[name]))
        together = ["".join(some) for count in (2, 3) for some in combinations(self.axes, count)]
        names = [*alone, *together] if all(len(name) == 1 for name in self.axes) else alone
        return tuple(sorted(names, key=lambda name: name != self.along))

    def answer(self, along: str, places: Mapping[str, int]) -> PartialGeometry:
        """What to open the path with: LEDs along these axes, and the place on every other one."""
        indices = {name: places[name] for name in self.axes if name not in along}
        images = (_images_of(self.given) or Images()).replace(led_axis=along, indices=indices or None)
        return with_images(self.given, images, "the answer")


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedRun:
    """A run folder: settings, history, newest design and picture; None of what was not saved yet."""

    path: Path
    experiment: Experiment
    lines: tuple[Mapping[str, Any], ...]
    levels: NDArray[np.float64] | None
    exposures: NDArray[np.float64] | None
    step: int
    picture: Snapshot | None = None


@dataclass(frozen=True, slots=True)
class OpenedReconstruction:
    """A reconstruction that was saved; what else is open stays."""

    report: StackReport


Opened = OpenedExperiment | OpenedGeometry | OpenedData | OpenedRun | OpenedReconstruction | OpenedKSpace


def open_or_ask(
    path: str | Path,
    given: GivenGeometry = None,
    data: DataSource | None = None,
    present: Geometry | None = None,
    asked: GeometryWanted | None = None,
) -> Opened | GeometryWanted | AxesWanted:
    """Open a path by what it holds, or say what must be known of the microscope or the file's axes first.

    A geometry file that is opened while something is ``asked`` about data answers that, and opens the data.

    ``data`` is where the measured stack comes from that is open, ``present`` its geometry: a geometry that comes with
    the program replaces nothing that the data state.

    Raises
    ------
    PtychouiError
        If it is none of the known kinds, or damaged.
    """
    try:
        if asked is not None and _is_geometry(Path(path)):
            path, given = asked.path, read_geometry(path, for_data=True)
        found = open_anything(path, given)
        if not isinstance(found, OpenedGeometry) or data is None:
            return found
        return _filled_in(found, data, present)
    except (NoGeometryError, ManyAxesError) as error:
        return _question(str(path), error, given)


def _is_geometry(path: Path) -> bool:
    """Whether a file is a geometry, or a part of one."""
    if path.suffix.lower() != ".toml":
        return False
    table = read_toml(path)
    return bool({"microscope", "array", "images"} & set(table)) and "schema_version" not in table


def _question(path: str, error: NoGeometryError | ManyAxesError, given: GivenGeometry) -> GeometryWanted | AxesWanted:
    """What is to be asked about data of which only ``given`` was said."""
    if isinstance(error, ManyAxesError):
        return AxesWanted(
            path=path,
            message=error.message,
            hint=error.hint,
            axes=error.axes,
            along=error.along,
            places=error.places,
            given=given,
        )
    stated = error.report.get("stated")
    return GeometryWanted(
        path=path,
        message=_not_stated(Path(path).name, error.missing),
        details=f"{error.message} ({error.hint})",
        missing=error.missing,
        stated=stated if isinstance(stated, dict) else {},
        images=_images_of(given),
    )


def _not_stated(name: str, missing: tuple[str, ...]) -> str:
    """One sentence that lists missing settings as the form calls them; of a layout that is missing not its pitch."""
    asked = [setting for setting in missing if setting != "array.pitch_mm" or "array.kind" not in missing]
    words = [FIELDS.get(setting) or WORDS.get(setting, (setting,))[0] for setting in asked]
    return f"{name} does not state {joined(words)}"


def _filled_in(found: OpenedGeometry, data: DataSource, present: Geometry | None) -> OpenedGeometry:
    """A geometry that comes with the program under what the files of measured data state."""
    if not is_preset(found.path) or data.path.startswith("sample:"):
        return found
    preset = read_geometry(found.path, for_data=True)
    assert isinstance(preset, PartialGeometry)
    filled = filled_in(preset, data, present)
    stays = filled.geometry != found.geometry
    return replace(found, geometry=filled.geometry, filled_in=stays, unused=not filled.used, notes=filled.notes)


def open_anything(path: str | Path, given: GivenGeometry = None) -> Opened:
    """Open a path by what it holds; ``given`` is what a person said of the microscope of these very data.

    Raises
    ------
    NoGeometryError
        If data do not say enough about the microscope.
    PtychouiError
        If it is none of the known kinds, or damaged.
    """
    path = Path(path)
    if path.is_dir() and (path / "run.json").exists():
        return open_run(path)
    if path.name == "run.json":
        return open_run(path.parent)
    if path.suffix.lower() == ".toml":
        table = read_toml(path)
        if "microscope" in table and "array" in table:
            return OpenedGeometry(load_whole_geometry(path), path, "images" in table)
        return OpenedExperiment(load_experiment(path), path)
    from ptychoui.data.formats.open_kspace import is_kspace
    from ptychoui.data.results import is_reconstruction
    from ptychoui.session.stored_report import open_report

    if is_reconstruction(path):
        return OpenedReconstruction(open_report(path))
    if is_kspace(path):
        return open_k_space(path)
    dataset = _open_dataset(path, given)
    said = given is not None and not (isinstance(given, PartialGeometry) and not given.values)
    return OpenedData(dataset, str(path), dataset.geometry if said else None, _images_of(given))


def _images_of(given: GivenGeometry) -> Images | None:
    return given.images if isinstance(given, PartialGeometry) else None


def open_run(path: Path) -> OpenedRun:
    """Read a run folder without taking its lock: a run may still be writing to it."""
    from ptychoui.training.run_folder import RunFolder

    folder = RunFolder.open(path, lock=False)
    state = folder.load() or {}
    levels = state.get("parameter_levels")
    exposures = state.get("parameter_exposures")
    return OpenedRun(
        path=path,
        experiment=folder.experiment(),
        lines=tuple(folder.events()),
        levels=None if levels is None else np.asarray(levels, dtype=np.float64),
        exposures=None if exposures is None else np.asarray(exposures, dtype=np.float64),
        step=int(state.get("step", 0)),
        picture=picture_in(path),
    )


def load_data(source: DataSource, geometry: Geometry | None) -> OpenedData:
    """Open an experiment's data; the experiment's geometry wins over its geometry file and the data's own."""
    return OpenedData(_open_dataset(data_file(source.path), given_of(source, geometry)), source.path)


def load_or_ask(
    source: DataSource, geometry: Geometry | None, said: PartialGeometry | None = None
) -> OpenedData | GeometryWanted | AxesWanted:
    """Open an experiment's data, or say what must be known of them first; ``said`` is the answer to such a question.

    Raises
    ------
    PtychouiError
        If they are damaged, or of none of the known kinds.
    """
    given = given_of(source, geometry) if said is None else said
    try:
        return OpenedData(_open_dataset(data_file(source.path), given), source.path, images=_images_of(given))
    except (NoGeometryError, ManyAxesError) as error:
        return _question(source.path, error, given)


def demo_experiment() -> FpmExperiment:
    """The experiment behind *Start demo*."""
    path = resources() / "experiments" / DEMO
    if path.exists():
        return for_microscopes(load_experiment(path))
    plain: dict[str, Any] = {"name": "first light"}
    return FpmExperiment(**plain)


def mri_example() -> MriExperiment:
    """The experiment behind *Open MRI example*."""
    path = resources() / "experiments" / MRI_EXAMPLE
    found = load_experiment(path) if path.exists() else None
    plain: dict[str, Any] = {"name": "mri 2d"}
    return found if isinstance(found, MriExperiment) else MriExperiment(**plain)


def _open_dataset(path: Path, geometry: GivenGeometry) -> ImageStack | TrainingSet:
    try:
        from ptychoui.data.formats.open import open_dataset
    except ImportError as error:
        raise DataError(f"a library for reading files is missing: {error}", "install ptychoui again") from None
    return open_dataset(path, geometry)
