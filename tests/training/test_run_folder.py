"""The run folder: atomic saves, full disks, damage, locks and versions."""

from __future__ import annotations

import ast
import errno
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from training.small import experiment, experiment_on_disk, problem

import ptychoui
from ptychoui.errors import RunError
from ptychoui.settings import load_experiment
from ptychoui.training.run_folder import RunFolder
from ptychoui.training.runs import new_run, resume_run
from ptychoui.training.trainer import Trainer


def arrays(step: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(step)
    return {"step": np.array(step), "levels": rng.random((3, 5)).astype(np.float32), "order": np.array(f"text {step}")}


def equal(found: Any, expected: dict[str, np.ndarray]) -> bool:
    return found.keys() == expected.keys() and all(np.array_equal(found[k], expected[k]) for k in expected)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[RunFolder]:
    made = RunFolder.create(tmp_path / "run", experiment(), "abc")
    yield made
    made.close()


def test_what_is_saved_comes_back(folder: RunFolder) -> None:
    assert folder.load() is None and folder.events() == []
    for step in range(4):
        folder.save(arrays(step))
        assert equal(folder.load(), arrays(step))
    assert folder.experiment() == experiment()
    record = folder.record()
    assert record["format_version"] == 1 and record["data_sha256"] == "abc"
    assert set(record["versions"]) == {"ptychoui", "python", "numpy", "torch"}
    names = {path.name for path in folder.path.iterdir()}
    assert names == {"experiment.toml", "run.json", "lock", "events.jsonl", "state.npz", "state.previous.npz"}


def test_a_state_is_plain_numpy_and_the_program_never_asks_for_pickles(folder: RunFolder) -> None:
    folder.save(arrays(1))
    with np.load(folder.path / "state.npz", allow_pickle=False) as archive:
        assert all(archive[name].dtype.kind in "iufUb" for name in archive.files)
    with pytest.raises(ValueError, match="allow_pickle"):
        folder.save({"thing": np.array([object()], dtype=object)})
    for path in Path(ptychoui.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.keyword) and node.arg == "allow_pickle":
                assert isinstance(node.value, ast.Constant) and node.value.value is False, path
            imported = [a.name for a in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
            assert not {"pickle", "joblib", "shelve", "dill"} & set(imported), path
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                name = f"{node.value.id}.{node.attr}"
                assert name != "torch.load", path


@pytest.mark.parametrize("damage", ["truncate", "flip", "rewritten", "empty", "text", "missing"])
def test_a_damaged_state_falls_back_to_the_one_before(folder: RunFolder, damage: str) -> None:
    folder.save(arrays(1))
    folder.save(arrays(2))
    path = folder.path / "state.npz"
    content = bytearray(path.read_bytes())
    path.unlink()  # not in place: the previous state may be a link to the same file
    if damage == "truncate":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "flip":
        place = content.index(arrays(2)["levels"].tobytes())
        content[place + 7] ^= 1
        path.write_bytes(content)
    elif damage == "rewritten":  # a whole archive whose numbers are not those that were hashed
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            stored = {name: archive[name] for name in archive.files}
        np.savez(path, allow_pickle=False, **stored | {"levels": stored["levels"] + 1})
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "text":
        path.write_text("not an archive")
    assert equal(folder.load(), arrays(1))


def test_two_damaged_states_are_an_error_that_names_both(folder: RunFolder) -> None:
    folder.save(arrays(1))
    folder.save(arrays(2))
    for name in ("state.npz", "state.previous.npz"):
        (folder.path / name).unlink()
        (folder.path / name).write_bytes(b"PK nonsense")
    with pytest.raises(RunError, match=r"state\.npz.*state\.previous\.npz"):
        folder.load()


def full_disk(*_args: Any, **_kwargs: Any) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("call", ["fsync", "replace", "link"])
@pytest.mark.parametrize("saved", [1, 2, 5])
def test_a_full_disk_keeps_what_was_saved(
    folder: RunFolder, call: str, saved: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for step in range(saved):
        folder.save(arrays(step))
    with monkeypatch.context() as patch:
        patch.setattr(os, call, full_disk)
        if call == "link":  # a file system without links: a copy is kept instead
            folder.save(arrays(9))
            assert equal(folder.load(), arrays(9))
            (folder.path / "state.npz").unlink()
            assert equal(folder.load(), arrays(saved - 1))
            return
        with pytest.raises(RunError, match=r"full|space"):
            folder.save(arrays(9))
    assert equal(folder.load(), arrays(saved - 1))
    folder.save(arrays(10))
    assert equal(folder.load(), arrays(10))


def test_a_full_disk_while_the_previous_state_is_kept_is_a_sentence(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.save(arrays(1))
    monkeypatch.setattr(os, "replace", full_disk)
    with pytest.raises(RunError, match=r"full|space"):
        folder.save(arrays(2))


def test_a_full_disk_ends_a_run_with_a_sentence_and_a_loadable_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = new_run(load_experiment(experiment_on_disk(tmp_path)), tmp_path / "run")
    events = trainer.run()
    for event in events:
        if event.step == 2:
            break
    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(RunError, match=r"full|space"):
        list(events)
    monkeypatch.undo()
    assert trainer.folder is not None
    trainer.folder.close()
    again = resume_run(tmp_path / "run")
    assert again.step == 0
    list(again.run())
    assert again.folder is not None
    again.folder.close()


def test_a_second_handle_on_the_same_run_is_refused(folder: RunFolder) -> None:
    with pytest.raises(RunError, match="another window or process is working on") as error:
        RunFolder.open(folder.path)
    assert error.value.hint
    reader = RunFolder.open(folder.path, lock=False)
    assert reader.load() is None
    folder.close()
    RunFolder.open(folder.path).close()


def test_a_second_process_on_the_same_run_is_refused(folder: RunFolder) -> None:
    code = (
        "import sys\nfrom ptychoui.errors import RunError\nfrom ptychoui.training.run_folder import RunFolder\n"
        "try:\n    RunFolder.open(sys.argv[1])\nexcept RunError as error:\n    print(error)\n"
    )
    run = [sys.executable, "-c", code, str(folder.path)]
    assert "another window or process" in subprocess.run(run, capture_output=True, text=True, check=True).stdout
    folder.close()
    assert subprocess.run(run, capture_output=True, text=True, check=True).stdout == ""


def test_a_folder_with_a_run_is_not_overwritten(folder: RunFolder) -> None:
    with pytest.raises(RunError, match="another window or process"):
        RunFolder.create(folder.path, experiment(name="other"), "")
    folder.save(arrays(1))
    folder.close()
    with pytest.raises(RunError, match="already holds a run"):
        RunFolder.create(folder.path, experiment(name="other"), "")
    assert folder.experiment().name == "small"


def test_a_folder_whose_run_saved_nothing_may_be_used_again(folder: RunFolder) -> None:
    folder.append_events([{"step": 0, "kind": "step"}])
    folder.close()
    again = RunFolder.create(folder.path, experiment(name="other"), "")
    assert again.experiment().name == "other" and again.events() == []
    again.close()


@pytest.mark.parametrize("name", ["experiment.toml", "events.jsonl", "run.json"])
@pytest.mark.parametrize("text", ["", "name = 'mine'\n", '{"format": 1}', '{"format_version": "1.2"}'])
def test_files_that_no_run_left_are_never_overwritten(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / ".draft.tmp").write_text("mine", encoding="utf-8")
    with pytest.raises(RunError, match=f"holds a file {name} that no run left") as error:
        RunFolder.create(tmp_path, experiment(), "")
    assert str(tmp_path / "run") in error.value.hint
    assert {path.name for path in tmp_path.iterdir()} == {name, ".draft.tmp"}, "not even a lock is left behind"
    assert (tmp_path / name).read_text(encoding="utf-8") == text


def test_an_experiment_is_not_trained_over_its_own_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = experiment_on_disk(tmp_path)
    before = path.read_bytes()
    monkeypatch.setattr("ptychoui.training.runs.build_task", lambda *_: pytest.fail("reads the data first"))
    with pytest.raises(RunError, match="no run left"):
        new_run(load_experiment(path), tmp_path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("written", range(1, 4))
def test_a_run_killed_while_it_was_made_may_be_made_again(
    tmp_path: Path, written: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    real, files = RunFolder._write, []

    def write(self: RunFolder, name: str, content: bytes) -> None:
        if len(files) == written:
            raise Killed
        files.append(name)
        real(self, name, content)

    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "_write", write)
        try:
            RunFolder.create(tmp_path, experiment(), "").close()
        except Killed:
            pass
    assert len(files) == written
    (tmp_path / ".0123456789abcdef.tmp").write_bytes(b"half")
    again = RunFolder.create(tmp_path, experiment(name="other"), "")
    assert again.experiment().name == "other" and not list(tmp_path.glob(".*.tmp"))
    again.close()


def test_settings_edited_after_a_run_that_saved_nothing_are_kept(folder: RunFolder) -> None:
    path = folder.path / "experiment.toml"
    folder.write_experiment(experiment(training={"steps": 9}))  # as a resumed run does
    folder.close()
    RunFolder.create(folder.path, experiment(), "").close()
    path.write_text("# mine\n" + path.read_text(encoding="utf-8"), encoding="utf-8")
    with pytest.raises(RunError, match="was edited since a run left it") as error:
        RunFolder.create(folder.path, experiment(name="other"), "")
    assert error.value.hint and path.read_text(encoding="utf-8").startswith("# mine")


def test_a_folder_of_a_newer_version_is_not_overwritten(folder: RunFolder) -> None:
    rewrite(folder, lambda record: record | {"format_version": 2})
    with pytest.raises(RunError, match="newer ptychoui"):
        RunFolder.create(folder.path, experiment(), "")


def test_a_run_made_while_the_lock_was_awaited_is_not_overwritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = RunFolder._take_lock

    def late(self: RunFolder) -> None:
        monkeypatch.setattr(RunFolder, "_take_lock", real)
        other = RunFolder.create(tmp_path, experiment(), "")
        other.save(arrays(1))
        other.close()
        real(self)

    monkeypatch.setattr(RunFolder, "_take_lock", late)
    with pytest.raises(RunError, match="already holds a run"):
        RunFolder.create(tmp_path, experiment(name="other"), "")
    found = RunFolder.open(tmp_path)
    assert found.experiment().name == "small" and equal(found.load(), arrays(1))
    found.close()


def rewrite(folder: RunFolder, change: Callable[[dict[str, Any]], Any]) -> None:
    folder.close()
    path = folder.path / "run.json"
    values = json.loads(path.read_text())
    path.write_text(json.dumps(change(values)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda record: record | {"format_version": 2}, "written by a newer ptychoui .format 2, this one knows 1"),
        (lambda record: record | {"format_version": 0}, "names no format version"),
        (lambda record: {"other": 1}, "names no format version"),
        (lambda record: [record], "is damaged: not an object"),
    ],
)
def test_foreign_versions_are_refused(folder: RunFolder, change: Callable[[Any], Any], message: str) -> None:
    rewrite(folder, change)
    with pytest.raises(RunError, match=message):
        RunFolder.open(folder.path)


def test_folders_that_are_no_runs_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"is not a run folder: it has no run\.json"):
        RunFolder.open(tmp_path)
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(RunError, match=r"run\.json is damaged"):
        RunFolder.open(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot make the folder"):
        RunFolder.create(tmp_path / "file" / "run", experiment(), "")


def test_history_leaves_out_a_line_cut_by_a_kill(folder: RunFolder) -> None:
    for step in range(5):
        folder.append_events([{"step": step, "kind": "step", "loss": 0.5}])
    with (folder.path / "events.jsonl").open("a") as file:
        file.write('{"step": 5, "ki')
    assert [event["step"] for event in folder.events()] == [0, 1, 2, 3, 4]
    folder.keep_events_until(3)
    folder.append_events([{"step": 4, "kind": "again"}])
    assert [event["step"] for event in folder.events()] == [0, 1, 2, 3, 4]
    assert folder.events()[-1]["kind"] == "again"


def test_leftovers_of_a_killed_process_are_swept(folder: RunFolder) -> None:
    folder.save(arrays(1))
    folder.close()
    for name in (".0123456789abcdef.tmp", "state.previous.tmp"):
        (folder.path / name).write_bytes(b"half")
    again = RunFolder.open(folder.path)
    assert not list(folder.path.glob("*.tmp")) and not list(folder.path.glob(".*.tmp"))
    assert equal(again.load(), arrays(1))
    again.close()


def test_changed_data_and_changed_shapes_are_refused(tmp_path: Path) -> None:
    trainer = new_run(load_experiment(experiment_on_disk(tmp_path)), tmp_path / "run")
    next(iter(trainer.run()))
    assert trainer.folder is not None
    state = trainer.state()
    trainer.folder.save(state)
    record = trainer.folder.record()
    trainer.folder.close()

    def more_unrolls(settings: Any) -> Any:
        return settings.replace(network=settings.network.replace(unrolls=4))

    with pytest.raises(RunError, match=r"network\.unrolls is 4, but the run was started with 3"):
        resume_run(tmp_path / "run", changes=more_unrolls)
    with pytest.raises(RunError, match=r"the saved step have the shape \(3,\), the experiment needs \(4,\)"):
        Trainer(problem(network={"unrolls": 4})).restore(state)
    (tmp_path / "run" / "run.json").write_text(json.dumps(record | {"data_sha256": "other"}))
    with pytest.raises(RunError, match="have changed since the run was started"):
        resume_run(tmp_path / "run")
    (tmp_path / "run" / "run.json").write_text(json.dumps(record))
    resume_run(tmp_path / "run").folder.close()  # type: ignore[union-attr]


def test_a_run_on_a_disk_that_is_not_there_makes_no_folders(tmp_path: Path) -> None:
    absent = tmp_path / "media" / "disk" / "run"
    with pytest.raises(RunError, match="there is no folder"):
        RunFolder.create(absent, experiment(), "sha")
    assert not (tmp_path / "media").exists()


def test_the_first_run_makes_the_folder_of_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    RunFolder.create("runs/mine", experiment(), "sha").close()
    assert (tmp_path / "runs" / "mine" / "run.json").is_file()
