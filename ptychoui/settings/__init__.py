"""Every setting of a run, as frozen values with units and ranges, and the TOML they are kept in."""

from ptychoui.settings.base import Settings
from ptychoui.settings.data import DataSource, Images, Reconstruct
from ptychoui.settings.experiment import SCHEMA_VERSION, Experiment, FpmExperiment, blank_experiment, for_microscopes
from ptychoui.settings.files import experiment_of, load_experiment, load_geometry, migrate, read_toml, to_toml
from ptychoui.settings.kinds import KINDS, Kind, Metric, kind_of, register
from ptychoui.settings.learning import Design, Engine, FpmTraining, Measurement, Network, Segment, Training
from ptychoui.settings.mri import KSpaceSource, MriExperiment, MriTraining, MultiCoilNetwork, Sampling
from ptychoui.settings.optics import Array, Geometry, Microscope, Pose

__all__ = [
    "KINDS",
    "SCHEMA_VERSION",
    "Array",
    "DataSource",
    "Design",
    "Engine",
    "Experiment",
    "FpmExperiment",
    "FpmTraining",
    "Geometry",
    "Images",
    "KSpaceSource",
    "Kind",
    "Measurement",
    "Metric",
    "Microscope",
    "MriExperiment",
    "MriTraining",
    "MultiCoilNetwork",
    "Network",
    "Pose",
    "Reconstruct",
    "Sampling",
    "Segment",
    "Settings",
    "Training",
    "blank_experiment",
    "experiment_of",
    "for_microscopes",
    "kind_of",
    "load_experiment",
    "load_geometry",
    "migrate",
    "read_toml",
    "register",
    "to_toml",
]
