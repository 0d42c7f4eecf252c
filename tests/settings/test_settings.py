"""Settings: TOML round trip of every field, ranges with units, refusals that name the file's line of thought."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from ptychoui.errors import GeometryError, PtychouiError, SettingsError
from ptychoui.paths import resources, sample_data, user_config, user_state
from ptychoui.settings import (
    Array,
    DataSource,
    Design,
    Engine,
    FpmExperiment,
    FpmTraining,
    Geometry,
    Images,
    Measurement,
    Microscope,
    Network,
    Pose,
    Segment,
    load_experiment,
    load_geometry,
    read_toml,
    to_toml,
)

SCOPE: dict[str, Any] = {"wavelength_um": 0.53, "objective_na": 0.25, "magnification": 10.0, "camera_pixel_um": 3.45}
EVERY_FIELD = FpmExperiment(
    name="every field",
    seed=17,
    data=DataSource(
        path="/data/stack.tif",
        geometry="/data/g.toml",
        images=Images(
            led_axis="TC",
            indices={"Z": 2},
            bit_depth=12,
            values="amplitude",
            dark_level=2.5,
            exposures=(0.5, 1.0),
            gains=(1.1, 0.9),
            stray=(0.001, 0.002),
            bayer="RGGB",
            colour="green",
        ),
        tile_px=40,
        pad_px=6,
        tiles=9,
        region=(3, 5, 64),
    ),
    geometry=Geometry(
        microscope=Microscope(
            **SCOPE,
            bandwidth_nm=21.5,
            medium_index=1.33,
            defocus_um=-3.5,
            zernike_waves={5: 0.125, 11: -0.25},
            pixel="point",
        ),
        array=Array(
            kind="table",
            height_mm=80.5,
            pitch_mm=4.25,
            rows=3,
            columns=5,
            order="tiles",
            serpentine=True,
            tile_rows=4,
            tile_columns=6,
            serpentine_tiles=True,
            disc=True,
            count=7,
            spiral_steps="-x-y+x+y",
            spiral_start=(2, 3),
            center_row=1.5,
            center_column=2.0,
            ring_radii_mm=(1.0, 2.5),
            ring_counts=(3, 4),
            ring_start_deg=-90.0,
            ring_clockwise=True,
            ring_offsets_deg=(0.0, 15.0),
            dome_radius_mm=61.0,
            positions_mm=((0.0, 1.0, 2.0), (3.5, 4.0, 5.0)),
            led_numbers=(8, 2),
            slide_thickness_mm=1.1,
            slide_index=1.49,
            max_illumination_na=0.6,
            falloff="table",
            falloff_table=((0.0, 1.0), (30.0, 0.75)),
            led_size_um=220.0,
            die_offsets_mm={"red": (-0.7, 0.0), "green": (0.0, 0.0)},
            colour="red",
            pose=Pose(
                shift_x_mm=0.1,
                shift_y_mm=-0.2,
                rotation_deg=3.0,
                tilt_x_deg=1.5,
                tilt_y_deg=-2.5,
                flip_x=True,
                flip_y=True,
                swap_xy=True,
            ),
        ),
    ),
    measurement=Measurement(
        photons_per_led=1234.5,
        read_noise=1.5,
        background=0.01,
        full_well=2e4,
        adc_bits=10,
        noise="published",
        nuisances=True,
    ),
    design=Design(
        bright_field_rows=2,
        dark_field_rows=5,
        start="hybrid",
        total_exposure=6.5,
        learn_exposure=True,
        minimum_exposure=0.1,
        guard_na=0.01,
        drive_bits=3,
        maximum_lit=12,
    ),
    network=Network(
        update="gradient",
        unrolls=12,
        step=0.25,
        momentum="9/10",
        learn_step=True,
        prior="smooth",
        first_smoothness=2.0,
        smoothness=0.05,
        learn_smoothness=True,
    ),
    engine=Engine(
        strategy="checkpoint",
        segments=(Segment(unrolls=5, strategy="store_all"), Segment(unrolls=7, strategy="offload")),
        memory_mb=512.0,
        objects_at_once=3,
        drift_tolerance=1e-5,
        modules=3,
        module_optimisers="each",
        check_every=7,
        device="cuda:1",
        precision="float64",
    ),
    training=FpmTraining(
        steps=7,
        batch=3,
        learning_rate=0.5,
        schedule="cosine",
        loss="phase",
        validate_every=2,
        save_every_s=5.0,
        margin_px=1,
        without_ramp=True,
        holdout=0.5,
        compare=True,
    ),
)


def fields(value: BaseModel) -> list[tuple[BaseModel, str]]:
    """Every field of settings, nested ones too."""
    found = []
    for name in type(value).model_fields:
        inner = getattr(value, name)
        found += fields(inner) if isinstance(inner, BaseModel) else [(value, name)]
    return found


def test_the_example_changes_every_field_from_its_default() -> None:
    same = [
        f"{type(owner).__name__}.{name}"
        for owner, name in fields(EVERY_FIELD)
        if getattr(owner, name) == type(owner).model_fields[name].get_default(call_default_factory=True)
    ]
    assert same == ["FpmExperiment.schema_version", "FpmExperiment.kind"]


def test_every_field_survives_toml(tmp_path: Path) -> None:
    path = tmp_path / "experiment.toml"
    path.write_text(to_toml(EVERY_FIELD), encoding="utf-8")
    assert load_experiment(path) == EVERY_FIELD
    path.write_text(to_toml(FpmExperiment()), encoding="utf-8")
    assert load_experiment(path) == FpmExperiment()


def test_a_geometry_survives_toml(tmp_path: Path) -> None:
    assert EVERY_FIELD.geometry is not None
    path = tmp_path / "geometry.toml"
    path.write_text(to_toml(EVERY_FIELD.geometry), encoding="utf-8")
    assert load_geometry(path) == EVERY_FIELD.geometry


def test_settings_of_rare_arrays_are_left_out_of_the_files_of_others() -> None:
    plain = Geometry(microscope=Microscope(**SCOPE), array=Array(rows=2, columns=2, pitch_mm=4.0, height_mm=60.0))
    text = to_toml(plain)
    assert "serpentine = false" in text
    for name in ("order", "serpentine_tiles", "ring_start_deg", "ring_clockwise", "die_offsets_mm", "colour"):
        assert f"{name} =" not in text and f".{name}]" not in text
    turned = to_toml(plain.replace(array=plain.array.replace(order="columns")))
    assert 'order = "columns"' in turned and "ring_start_deg" not in turned


def test_paths_are_relative_to_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    path = tmp_path / "experiment.toml"
    path.write_text('[data]\npath = "sub/stack.h5"\ngeometry = "../g.toml"\n')
    data = load_experiment(path).data
    assert data.path == str(tmp_path / "sub" / "stack.h5")
    assert Path(str(data.geometry)).resolve() == (tmp_path.parent / "g.toml").resolve()
    path.write_text('[data]\npath = "/elsewhere/stack.h5"\n')
    assert load_experiment(path).data.path == "/elsewhere/stack.h5"
    path.write_text('[data]\npath = "sample:stack"\n')
    assert load_experiment(path).data.path == "sample:stack"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("colour = 1", "unknown setting experiment.colour"),
        ("[training]\nstpes = 3", "unknown setting .*stpes"),
        ("schema_version = 3", "schema version 3, this program knows up to 2; update ptychoui"),
        ("[training]\nsteps = -1", r"steps.*greater than or equal to 0.*-1"),
        ("[engine]\nstrategy = 'magic'", "strategy.*'auto', 'store_all', .* 'greedy' or 'segments'"),
        ("[engine]\ndevice = 'gpu'", "device"),
        ("[network]\nmomentum = '3/2'", "momentum must lie between 0 and 1"),
        ("[network]\nmomentum = '1/128'", "denominator at most 127"),
        ("[network]\nmomentum = 'fast'", "ratio of integers such as '7/8'"),
        ("[network]\nupdate = 'gradient'", "the reversible strategy needs the heavy-ball update"),
        ("[design]\nbright_field_rows = 0", "at least one bright-field row"),
        ("[training]\nlearning_rate = nan", "learning_rate"),
        ("[geometry.microscope]\nwavelength_um = 0.5", "missing"),
        ("steps = = 3", "is not a valid TOML file"),
    ],
)
def test_files_that_cannot_be_are_refused_in_a_sentence(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "experiment.toml"
    path.write_text(text)
    with pytest.raises(PtychouiError, match=message) as error:
        load_experiment(path)
    assert "\n" not in error.value.message


def test_unknown_settings_list_the_known_ones() -> None:
    with pytest.raises(SettingsError, match=r"unknown setting training\.stpes") as error:
        FpmTraining(stpes=3)
    assert "steps" in error.value.hint and "learning_rate" in error.value.hint


@pytest.mark.parametrize(
    ("make", "parts"),
    [
        (lambda: Microscope(**SCOPE | {"wavelength_um": 530.0}), ("wavelength_um", "530", "5", "in um")),
        (lambda: Microscope(**SCOPE | {"wavelength_um": 0.0}), ("wavelength_um", "0.1", "in um")),
        (lambda: Microscope(**SCOPE | {"camera_pixel_um": -1.0}), ("camera_pixel_um", "-1", "in um")),
        (lambda: Array(height_mm=0.0, rows=3, columns=3, pitch_mm=4.0), ("height_mm", "0", "in mm")),
        (lambda: Pose(tilt_x_deg=70.0), ("tilt_x_deg", "70", "60", "degrees")),
        (lambda: Measurement(adc_bits=30), ("adc_bits", "30", "24", "bits")),
        (lambda: FpmTraining(save_every_s=0.0), ("save_every_s", "0", "seconds")),
    ],
)
def test_values_outside_their_range_say_number_range_and_unit(make: Any, parts: tuple[str, ...]) -> None:
    with pytest.raises(SettingsError) as error:
        make()
    assert all(part in str(error.value) for part in parts), str(error.value)


def test_na_and_pitch_are_geometry_errors() -> None:
    with pytest.raises(GeometryError, match=r"objective NA 1\.1 is not below the medium's refractive index 1"):
        Microscope(**SCOPE | {"objective_na": 1.1})
    with pytest.raises(GeometryError, match="LED pitch of 0 mm"):
        Array(height_mm=50.0, rows=3, columns=3, pitch_mm=0.0)


def test_settings_are_frozen_and_replacing_validates_again() -> None:
    training = FpmTraining()
    with pytest.raises(Exception, match="frozen"):
        training.steps = 3  # type: ignore[misc]
    assert training.replace(steps=3).steps == 3 and training.steps == 100
    with pytest.raises(SettingsError, match="steps"):
        training.replace(steps=-3)
    with pytest.raises(SettingsError, match="heavy-ball"):
        FpmExperiment().replace(network=Network(update="gradient"))
    with pytest.raises(SettingsError, match="heavy-ball"):
        EVERY_FIELD.replace(engine=Engine(strategy="reversible"))


def test_a_table_of_leds_is_checked() -> None:
    table = {"kind": "table", "height_mm": 50.0, "positions_mm": ((0, 0, 0), (1, 0, 0))}
    with pytest.raises(SettingsError, match="holds a number twice"):
        Array(**table, led_numbers=(4, 4))
    with pytest.raises(SettingsError, match="same length"):
        Array(**table, led_numbers=(4,))
    with pytest.raises(SettingsError, match="same length"):
        Array(kind="rings", height_mm=50.0, ring_radii_mm=(1.0,), ring_counts=(1, 2))


def test_missing_and_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="there is no file"):
        read_toml(tmp_path / "nothing.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SettingsError, match="is not a valid TOML file"):
        read_toml(tmp_path / "binary.toml")
    with pytest.raises(SettingsError, match="cannot read"):
        read_toml(tmp_path)


@pytest.mark.parametrize("path", sorted((resources() / "experiments").glob("*.toml")), ids=lambda p: p.stem)
def test_shipped_experiments_load(path: Path) -> None:
    assert load_experiment(path).name


def test_the_example_of_every_setting_is_whole_and_true() -> None:
    """Every setting stands in it, with its default or, behind a #, with a value that TOML can read."""
    text = (resources() / "experiments" / "every_setting.toml").read_text(encoding="utf-8")
    tables: dict[str, set[str]] = {"": set()}
    for line in text.splitlines():
        bare = line.removeprefix("# ")
        if bare.startswith("[") and bare.endswith("]"):
            tables[table := bare.strip("[]")] = set()
        elif match := re.match(r"(\w+) = ", bare):
            tomllib.loads(bare)
            tables[table if len(tables) > 1 else ""].add(match[1])
    models = {"": FpmExperiment, "data": DataSource, "data.images": Images, "geometry.microscope": Microscope}
    models |= {"geometry.array": Array, "geometry.array.pose": Pose, "measurement": Measurement, "design": Design}
    models |= {"network": Network, "engine": Engine, "training": FpmTraining}
    for name, model in models.items():
        below = {table.removeprefix(f"{name}.").split(".")[0] for table in tables if table.startswith(f"{name}.")}
        below = {table.split(".")[0] for table in tables if table} if not name else below
        assert set(model.model_fields) - below == tables[name], name
    read = load_experiment(resources() / "experiments" / "every_setting.toml")
    for name in ("measurement", "design", "network", "engine", "training"):
        assert getattr(read, name) == models[name]()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"segments": []}, "engine.segments is empty"),
        ({"segments": [{"unrolls": 10, "strategy": "checkpoint"}]}, "add up to 10 unrolls, the network has 30"),
        ({"segments": [{"unrolls": 30, "strategy": "greedy"}]}, "segment.strategy"),
        ({"segments": [{"unrolls": 30, "strategy": "auto"}]}, "segment.strategy"),
        ({"segments": [{"unrolls": 0, "strategy": "checkpoint"}]}, "segment.unrolls"),
        ({"segments": [{"unrolls": 30}]}, "segment.strategy is missing"),
        ({"segments": [{"unrolls": 30, "strategy": "inverse"}]}, "heavy-ball update undoes exactly"),
        ({"segments": "checkpoint"}, "engine.segments"),
    ],
)
def test_segments_that_cannot_be(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsError, match=said) as error:
        FpmExperiment(engine=Engine(strategy="segments", **settings))
    assert error.value.hint
    with pytest.raises(SettingsError, match="needs the heavy-ball update"):
        parts = (Segment(unrolls=10, strategy="checkpoint"), Segment(unrolls=20, strategy="reversible"))
        FpmExperiment(network=Network(update="nesterov"), engine=Engine(strategy="segments", segments=parts))


def test_folders_of_the_user_can_be_moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PTYCHOUI_CONFIG", str(tmp_path / "c"))
    monkeypatch.setenv("PTYCHOUI_STATE", str(tmp_path / "s"))
    assert (user_config(), user_state()) == (tmp_path / "c", tmp_path / "s")
    monkeypatch.delenv("PTYCHOUI_CONFIG")
    monkeypatch.delenv("PTYCHOUI_STATE")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "x"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "y"))
    monkeypatch.setattr("sys.platform", "linux")
    assert (user_config(), user_state()) == (tmp_path / "x" / "ptychoui", tmp_path / "y" / "ptychoui")
    assert resources().is_dir() and sample_data().is_dir()


def test_errors_read_as_a_sentence_and_a_hint() -> None:
    error = SettingsError("the pitch is 0 mm", "measure it")
    assert str(error) == "the pitch is 0 mm (measure it)" and str(PtychouiError("alone")) == "alone"


@pytest.mark.parametrize(
    ("settings", "values", "words"),
    [
        (Pose, {"tilt_x_deg": -179.7}, "(got -179.7 deg; -60 to 60 deg are possible)"),
        (Pose, {"rotation_deg": 400.0}, "(got 400.0 deg; -360 to 360 deg are possible)"),
        (Pose, {"shift_x_mm": -1e4}, "(got -10000.0 mm; -200 to 200 mm are possible)"),
        (Array, {"height_mm": 0.0, "rows": 1, "columns": 1}, "(got 0.0 mm; 0 to 2000 mm are possible)"),
    ],
)
def test_a_number_out_of_range_is_told_with_unit_and_range(settings: Any, values: dict[str, float], words: str) -> None:
    with pytest.raises(SettingsError) as caught:
        settings(**values)
    assert words in caught.value.message


@pytest.mark.parametrize(
    "table",
    [
        "[array]\nheight_mm = true",
        "[array]\nheight_mm = 90\nrows = true",
        "[array]\nheight_mm = 90\nring_radii_mm = [1.0, false]",
        "[array]\nheight_mm = 90\npositions_mm = [[0, 0, 0], [0, true, 0]]",
        "[array]\nheight_mm = 90\n[array.pose]\nshift_x_mm = false",
        "[microscope]\nmagnification = true",
        "[microscope]\nmagnification = 4\nzernike_waves = {4 = true}",
    ],
)
def test_true_and_false_are_no_numbers(table: str) -> None:
    array: dict[str, Any] = {"kind": "lattice", "rows": 3, "columns": 3, "pitch_mm": 4, "height_mm": 90}
    given = tomllib.loads(table)
    values = {"microscope": SCOPE | given.get("microscope", {}), "array": array | given.get("array", {})}
    with pytest.raises(SettingsError, match="true and false are no numbers"):
        Geometry(**values)
    assert Geometry(microscope=SCOPE, array=array | {"disc": True}).array.height_mm == 90  # whole numbers are numbers
