"""``ptychoui reconstruct`` as a person meets it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tqdm

from ptychoui import cli
from ptychoui.commands.calibrate import _start
from ptychoui.data.dataset import ImageStack
from ptychoui.data.formats.native import save_hdf5
from ptychoui.data.formats.open import open_dataset
from ptychoui.data.results import load_reconstruction
from ptychoui.optics.calibration.refine import Step
from ptychoui.optics.forward.simulate import simulate_stack
from ptychoui.optics.geometry.pose import VARIANTS, moved
from ptychoui.paths import sample_data
from ptychoui.settings import Array, Geometry, Measurement, Microscope, to_toml
from ptychoui.workflows.calibrate_stack import Spread
from ptychoui.workflows.full_field import TiledReconstruction
from ptychoui.workflows.reconstruct_stack import WindowReconstruction

GEOMETRY = Geometry(
    microscope=Microscope(wavelength_um=0.5, objective_na=0.2, magnification=10.0, camera_pixel_um=5.0),
    array=Array(kind="lattice", rows=5, columns=5, pitch_mm=4.0, height_mm=50.0),
)


@pytest.fixture(autouse=True)
def as_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tqdm.tqdm, "monitor_interval", 0)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made, _ = simulate_stack(GEOMETRY, GEOMETRY, Measurement(noise="none"), 40, seed=0)
    return save_hdf5(tmp_path_factory.mktemp("stack") / "stack.h5", made)


def run(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    capsys.readouterr()
    code = cli.main([str(word) for word in words])
    out, err = capsys.readouterr()
    return code, out, err


def test_json_has_what_a_script_needs(stack: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--passes", 6, "--upsampling", 3, "--crop", 4, 6, 32, "--figures", tmp_path / "figures", "--json")
    code, out, err = run(capsys, "reconstruct", stack, "-o", tmp_path / "out.h5", *words)
    assert code == 0, err
    values = json.loads(out)
    assert values["passes"] == 6 and not values["interrupted"] and values["tile_px"] == 32
    assert 0 < values["fitted_residual"] < values["amplitude_residual"] < 0.05
    assert values["seconds"] > 0 and values["reading_s"] > 0 and "4" in values["zernike_waves"]
    assert values["rows_px"] == values["columns_px"] == 96 and values["images"] == 25
    assert [Path(p).read_bytes()[:4] for p in values["figures"]] == [b"\x89PNG"] * 3
    result = load_reconstruction(tmp_path / "out.h5")
    assert result.settings.upsampling == 3 and result.corners_px.tolist() == [[4, 6]]
    assert result.record["data_sha256"] == values["data_sha256"]


def test_a_summary_for_people_and_info(stack: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--passes", 2, "--pupil", "fixed", "--no-gain", "--no-background")
    code, out, err = run(capsys, "reconstruct", stack, "-o", tmp_path / "out.h5", *words)
    assert code == 0, err
    assert "2 passes, pupil fixed" in out and "s for the passes" in out and "s for reading" in out
    result = load_reconstruction(tmp_path / "out.h5")
    assert np.all(result.gain == 1) and np.all(result.background == 0)
    code, out, err = run(capsys, "info", tmp_path / "out.h5")
    assert code == 0 and "reconstruction of" in out and "amplitude residual" in out
    code, out, err = run(capsys, "objects", tmp_path / "out.h5", "-o", tmp_path / "objects.h5", "--json")
    assert code == 0 and json.loads(out)["objects"] >= 1


def test_ctrl_c_keeps_what_there_is(
    stack: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = WindowReconstruction.run

    def interrupted(self: WindowReconstruction) -> Any:
        for done in whole(self):
            if done.number == 2:
                signal.raise_signal(signal.SIGINT)
            yield done

    monkeypatch.setattr(WindowReconstruction, "run", interrupted)
    before = signal.getsignal(signal.SIGINT)
    code, out, _err = run(capsys, "reconstruct", stack, "-o", tmp_path / "out.h5", "--passes", 9)
    assert code == 0 and "stopped after 2 of 9 passes" in out
    assert load_reconstruction(tmp_path / "out.h5").record["interrupted"]
    assert signal.getsignal(signal.SIGINT) is before


def ended(words: list[object], number: int, seen: bytes) -> tuple[int, str, str]:
    """A process that gets a signal once it has written ``seen`` to stderr; code, stdout, and stderr after that."""
    # A shell lets what it starts in the background ignore Ctrl-C, and so would the child of these tests.
    heard = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)"
    program = f"{heard}; from ptychoui.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", program, *(str(word) for word in words)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        assert child.stderr is not None
        said = b""
        while seen not in said and (more := os.read(child.stderr.fileno(), 1000)):
            said += more
        child.send_signal(number)
        out, err = child.communicate()
    assert seen in said, said
    return child.returncode, out.decode(), err.decode()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals for a child")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_process_that_is_ended_keeps_the_passes_it_has_done(stack: Path, tmp_path: Path, number: int) -> None:
    words = ["reconstruct", stack, "-o", tmp_path / "out.h5", "--passes", 10_000]
    code, out, err = ended(words, number, b"/10000 [")
    assert code == 0, err
    assert re.search(r"stopped after \d+ of 10000 passes; what there is was kept", out)
    assert "stopping after this pass; once more ends it at once" in err and "Traceback" not in err
    assert load_reconstruction(tmp_path / "out.h5").record["interrupted"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals for a child")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_calibration_that_is_ended_says_what_is_lost(tmp_path: Path, number: int) -> None:
    words = ["calibrate", sample_data() / "stack.ome.tif", "--orientation", "-o", tmp_path / "g.toml"]
    code, out, err = ended(words, number, b"orientation 1 of 8")
    assert code == 2 and out == "" and "Traceback" not in err
    lost = "ptychoui: stopped: g.toml was not written, the work so far is lost - start it again"
    assert err.splitlines()[-1] == lost
    assert not (tmp_path / "g.toml").exists()


def test_a_calibration_that_is_stopped_in_its_starts_keeps_the_geometry(
    stack: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    result = SimpleNamespace(fitted_residual=0.01, amplitude_residual=0.02, zernike_waves={}, warnings=())

    def calibrated(geometry: Geometry, *_words: object, **_settings: object) -> Any:
        yield SimpleNamespace(geometry=geometry, reconstruction=result, moved=True)

    def starts(_self: object, *_words: object) -> Any:
        if known:
            yield Spread(ends=np.eye(2, 6), residuals=np.ones(2))
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr("ptychoui.workflows.calibrate_stack.calibrate", calibrated)
    monkeypatch.setattr("ptychoui.workflows.calibrate_stack.StackCalibration.spread", starts)
    for known, said in ((True, "is of 2 starts, not of 9"), (False, "is not known")):
        words = ("calibrate", stack, "-o", tmp_path / "g.toml", "--starts", 9)
        code, out, err = run(capsys, *words, "--json")
        assert code == 0 and f"note: stopped: g.toml is written, its error bar {said}" in err
        spread = json.loads(out)["spread"]
        assert (spread is not None) == known and (tmp_path / "g.toml").is_file()
        assert "g.toml is written; its error bar from 9 starts follows" in err
        if known:
            assert spread["starts"] == 2 and spread["fitted_residuals"] == [1, 1]
            assert spread["ends"][1] == {
                "shift x [mm]": 0,
                "shift y [mm]": 1,
                "rotation [deg]": 0,
                "height [%]": 0,
                "tilt x [deg]": 0,
                "tilt y [deg]": 0,
            }
            assert spread["deviation"].keys() == spread["ends"][0].keys()
            assert spread["deviation"]["shift y [mm]"] == pytest.approx(2**-0.5)


def test_a_calibration_that_is_ended_twice_says_that_it_is_written(
    stack: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second signal comes while the first is answered."""
    result = SimpleNamespace(fitted_residual=0.01, amplitude_residual=0.02, zernike_waves={}, warnings=())

    def calibrated(geometry: Geometry, *_words: object, **_settings: object) -> Any:
        yield SimpleNamespace(geometry=geometry, reconstruction=result, moved=True)

    def interrupted(*_words: object) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr("ptychoui.workflows.calibrate_stack.calibrate", calibrated)
    monkeypatch.setattr("ptychoui.commands.calibrate._spread", interrupted)
    code, out, err = run(capsys, "calibrate", stack, "-o", tmp_path / "g.toml", "--starts", 9)
    assert code == 2 and out == "" and (tmp_path / "g.toml").is_file()
    assert "ptychoui: stopped: g.toml is written, its error bar is not known - use it as it is" in err


def test_leds_beyond_the_largest_na_are_counted(
    stack: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    limited = GEOMETRY.replace(array=GEOMETRY.array.replace(max_illumination_na=0.09))
    (tmp_path / "g.toml").write_text(to_toml(limited), encoding="utf-8")
    words = ("reconstruct", stack, "-o", tmp_path / "out.h5", "--passes", 1, "--geometry", tmp_path / "g.toml")
    code, out, err = run(capsys, *words)
    assert code == 0 and "from 5 images of 5 LEDs" in out and "1 pass, pupil" in out
    note = "max_illumination_na = 0.09 of the geometry leaves 20 of 25 images out; 5 are used"
    code, out, _ = run(capsys, "info", stack, "--geometry", tmp_path / "g.toml")
    assert code == 0 and f"note: {note}" in out
    assert f"note: {note}" in err and note in load_reconstruction(tmp_path / "out.h5").record["notes"]


def test_a_reconstruction_that_is_ended_twice_says_what_is_lost(
    stack: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def twice(_self: object) -> Any:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        yield

    monkeypatch.setattr(WindowReconstruction, "run", twice)
    code, out, err = run(capsys, "reconstruct", stack, "-o", tmp_path / "out.h5")
    assert code == 2 and out == "" and "stopped: out.h5 was not written, the work so far is lost - start it" in err
    whole = TiledReconstruction.run

    def after_a_tile(self: TiledReconstruction) -> Any:
        for progress in whole(self):
            yield progress
            if progress.done:
                yield from twice(self)

    monkeypatch.setattr(TiledReconstruction, "run", after_a_tile)
    words = ("reconstruct", stack, "--full-field", "--tile", 24, "--overlap", 8, "--passes", 2)
    code, out, err = run(capsys, *words, "-o", tmp_path / "f.h5")
    assert code == 2 and out == "" and f"finished tiles are kept in {tmp_path / 'f.h5.tiles'} - go on with --re" in err


def test_what_cannot_be_is_refused_in_a_sentence(
    stack: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    geometry = tmp_path / "far.toml"
    geometry.write_text(to_toml(GEOMETRY.replace(array=GEOMETRY.array.replace(pose={"shift_x_mm": 60.0}))))
    near = tmp_path / "near.toml"
    near.write_text(to_toml(GEOMETRY.replace(array=GEOMETRY.array.replace(height_mm=20.0))))
    for words, sentence in (
        (("--crop", 30, 0, 32), "leaves the image of 40 x 40 pixels - choose rows"),
        (("--crop", 30, 0, 0), "holds no pixel"),
        (("--geometry", near, "--upsampling", 1), "use 2 or more"),
        (("--device", "tpu"), "unknown device"),
        (("--without", 77), "no LED 77"),
        (("--geometry", geometry), "no LED lies in the bright field"),
        (("--passes", 0), "below 1"),
    ):
        code, out, err = run(capsys, "reconstruct", stack, "-o", tmp_path / "out.h5", *words)
        assert code == 2 and out == "" and sentence in err and "Traceback" not in err, err
        assert not (tmp_path / "out.h5").exists()


@pytest.mark.parametrize("command", ["reconstruct", "calibrate", "profile", "objects"])
def test_a_place_that_cannot_be_written_is_refused_before_the_work(
    command: str, stack: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # The input is read after the check: an absent one is not even looked for.
    for place, sentence in ((tmp_path / "none" / "out", "there is no folder"), (tmp_path, "it is a folder")):
        code, out, err = run(capsys, command, tmp_path / "absent", "-o", place)
        assert code == 2 and out == "" and sentence in err and "cannot be written" in err and err.count("\n") == 1, err


def test_a_result_that_is_to_be_doubted_says_so(
    stack: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mixed = open_dataset(stack, None)
    assert isinstance(mixed, ImageStack)
    order = np.random.default_rng(0).permutation(len(mixed.images))
    save_hdf5(tmp_path / "mixed.h5", replace(mixed, images=mixed.images[order]))
    for name, doubt in ((stack, False), (tmp_path / "mixed.h5", True)):
        code, _, err = run(capsys, "reconstruct", name, "-o", tmp_path / "out.h5", "--passes", 8)
        assert code == 0 and ("note: to explain the images" in err) == doubt
        assert any("order" in text for text in load_reconstruction(tmp_path / "out.h5").record["notes"]) == doubt


def test_calibrate_says_what_changed_with_units(
    stack: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    result = SimpleNamespace(
        fitted_residual=0.01, amplitude_residual=0.02, zernike_waves={4: 0.1}, warnings=("a doubt",)
    )

    def moved_a_bit(geometry: Geometry, *_words: object, **_settings: object) -> Any:
        array = moved(geometry.array, np.array([0.5, 0.0, -1.0, 2.0, 0.0, 0.0]))
        yield SimpleNamespace(reconstruction=result, geometry=geometry.replace(array=array), moved=False)

    monkeypatch.setattr("ptychoui.workflows.calibrate_stack.calibrate", moved_a_bit)
    code, out, err = run(capsys, "calibrate", stack, "-o", tmp_path / "g.toml")
    assert code == 0, err
    assert "shift x +0.5 mm, rotation -1 deg, height +2 %" in out and "residual 0.0100" in out
    assert "no step explained the images better" in out and "note: a doubt" in err


def test_a_full_field_is_stopped_and_goes_on(
    stack: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("reconstruct", stack, "--full-field", "--tile", 24, "--overlap", 8, "--passes", 3)
    code, out, err = run(capsys, *words, "-o", tmp_path / "whole.h5", "--json")
    assert code == 0, err
    values = json.loads(out)
    assert values["tiles"] == 4 and values["tile_px"] == 24 and values["border_mismatch"] >= 0
    assert not (tmp_path / "whole.h5.tiles").exists()
    whole = TiledReconstruction.run

    def interrupted(self: TiledReconstruction) -> Any:
        for progress in whole(self):
            if progress.tile == 2 and progress.number == 2 and not progress.resumed:
                signal.raise_signal(signal.SIGINT)
            yield progress

    with monkeypatch.context() as patch:
        patch.setattr(TiledReconstruction, "run", interrupted)
        code, _, err = run(capsys, *words, "-o", tmp_path / "parts.h5")
    assert code == 2 and "stopped; 2 of 4 tiles are kept" in err and not (tmp_path / "parts.h5").exists()
    code, _, err = run(capsys, *words, "-o", tmp_path / "parts.h5")
    assert code == 2 and "--resume" in err
    code, _, err = run(capsys, *words, "-o", tmp_path / "parts.h5", "--resume")
    assert code == 0, err
    first, second = (load_reconstruction(tmp_path / name) for name in ("whole.h5", "parts.h5"))
    assert np.array_equal(first.object, second.object) and first.object.shape[0] % 40 == 0
    for extra, sentence in ((("--crop", 0, 0, 24), "exclude each other"), (("--tile", 50), "do not fit")):
        code, _, err = run(capsys, *words, "-o", tmp_path / "out.h5", *extra)
        assert code == 2 and sentence in err
    code, _, err = run(capsys, "reconstruct", stack, "-o", tmp_path / "out.h5", "--tile", 24)
    assert code == 2 and "belong to --full-field" in err


def test_changes_after_an_orientation_are_those_of_the_new_layout() -> None:
    layouts = [str(variant) for variant in VARIANTS]
    assert _start({}) == _start({"orientation": {"taken": True, "layouts": layouts}}) == "the geometry given"
    assert _start({"orientation": {"taken": False, "layouts": layouts[::-1]}}) == "the geometry given"
    assert layouts[-1] in _start({"orientation": {"taken": True, "layouts": layouts[::-1]}})


def test_a_profile_says_every_step_once(
    stack: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    step = Step(
        name="circles", change=np.zeros(6), measure="misfit", before=2.0, after=1.0, accepted=True, geometry=GEOMETRY
    )

    def made(*_words: object) -> Any:
        yield step
        yield SimpleNamespace(notes=(step.sentence, "brightness by the sample"), toml=lambda: "made = 1\n")

    monkeypatch.setattr("ptychoui.workflows.instrument_profile.make_profile", made)
    code, out, err = run(capsys, "profile", stack, "-o", tmp_path / "p.toml")
    assert code == 0 and (out + err).count(step.sentence) == 1 and "brightness by the sample" in out
    code, out, err = run(capsys, "profile", stack, "-o", tmp_path / "p.toml", "--json")
    assert json.loads(out)["notes"] == [step.sentence, "brightness by the sample"]
