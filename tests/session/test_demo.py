"""The demonstration without a screen: its story, what it shows and says, its recording, and its live run."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from demo_recording import DEPTHS, LEDS, STEPS, events, recording, snapshot, started

from ptychoui.errors import DataError
from ptychoui.session.demo import live
from ptychoui.session.demo.live import MemoryByDepth
from ptychoui.session.demo.making import demo_experiment, from_the_middle
from ptychoui.session.demo.recording import Recording, load_recording, save_recording
from ptychoui.session.demo.show import Show
from ptychoui.session.demo.story import CHAPTERS, Story
from ptychoui.session.demo.telling import HANDS, led_lit, told, unrolls_at
from ptychoui.session.mailbox import Mailbox
from ptychoui.session.worker import Worker
from ptychoui.training.events import Failed, Finished, Preparing, Stopped

KEYS = [chapter.key for chapter in CHAPTERS]


def play(story: Story, seconds: float, start: float = 0.0, step: float = 0.25) -> float:
    now = start
    story.tick(now)
    while now < start + seconds:
        now += step
        story.tick(now)
    return now


# The story ---------------------------------------------------------------------------------------------------


def test_chapters_come_in_their_order_and_the_last_one_stays() -> None:
    story, seen = Story(), []
    story.ready = True
    now = 0.0
    while not story.ended:
        story.tick(now)
        if not seen or seen[-1] != story.chapter.key:
            seen.append(story.chapter.key)
        now += 0.25
    assert seen == KEYS == ["array", "coded", "learning", "memory", "undone", "end"]
    play(story, 100, now)
    assert story.ended and story.chapter.key == "end"
    # Chapters were shown as long as they say, to within a tick.
    for chapter in CHAPTERS[:-1]:
        assert abs(story.lengths[chapter.key] - chapter.seconds) <= 0.25


def test_the_learning_chapter_waits_for_the_run_but_not_for_ever() -> None:
    story = Story()
    story.turn_to(KEYS.index("learning"))
    chapter = story.chapter
    now = play(story, chapter.seconds + 5)
    assert story.chapter.key == "learning"
    story.ready = True
    assert story.tick(now + 0.1) and story.chapter.key == "memory"
    other = Story()
    other.turn_to(KEYS.index("learning"))
    play(other, chapter.most_seconds + 1)
    assert other.chapter.key == "memory"


def test_pause_holds_time_and_going_on_does_not_jump() -> None:
    story = Story()
    now = play(story, 3)
    assert story.toggle_pause()
    now = play(story, 1000, now)
    assert story.chapter.key == "array" and story.at == pytest.approx(3)
    assert not story.toggle_pause()
    story.tick(now + 0.5)
    assert story.at == pytest.approx(3.5)


def test_forward_back_and_home() -> None:
    story = Story()
    story.back()
    assert story.place == 0
    story.next()
    story.next()
    assert story.chapter.key == "learning" and story.at == 0
    play(story, 5)
    story.back()  # in its midst: from its beginning
    assert story.chapter.key == "learning" and story.at == 0
    story.back()  # at its beginning: the one before
    assert story.chapter.key == "coded"
    for _ in range(20):
        story.next()
    assert story.last
    story.turn_to(99)
    assert story.last
    story.toggle_pause()
    story.home()
    assert story.place == 0 and not story.paused


def test_time_that_runs_backwards_is_no_time() -> None:
    story = Story()
    story.tick(100.0)
    story.tick(50.0)
    assert story.at == 0


def test_the_slider_runs_up_until_somebody_takes_it() -> None:
    story, show = Story(), Show(recording())
    story.turn_to(KEYS.index("memory"))
    assert unrolls_at(show, story) == 20
    seen = []
    for share in np.linspace(0, 1, 200):
        story.at = share * story.chapter.seconds
        seen.append(unrolls_at(show, story))
    assert seen == sorted(seen) and seen[-1] == 400 and set(seen) == set(DEPTHS)
    story.chosen_unrolls = 60
    assert unrolls_at(show, story) == 60
    story.turn_to(KEYS.index("memory"))
    assert unrolls_at(show, story) == 20


def test_leds_light_up_one_after_the_other() -> None:
    story = Story()
    lit = []
    for share in np.linspace(0, 1, 500):
        story.at = share * story.chapter.seconds
        lit.append(led_lit(story, LEDS))
    assert lit[0] == 0 and lit[-1] == LEDS - 1 and set(np.diff(lit)) == {0, 1}
    order = from_the_middle(np.array([[0.2, 0.0], [0.0, 0.0], [0.0, -0.1]]))
    assert order.tolist() == [1, 2, 0]


# What is shown ------------------------------------------------------------------------------------------------


def test_the_recording_plays_until_live_steps_are_there_and_then_gives_way() -> None:
    show = Show(recording(), lambda: ("simulating what the microscope sees", 3.7))
    first = show.learning(0.0)
    assert not first.live and first.label == f"Recording of an earlier run, step 0 of {STEPS}"
    assert "Preparing the live run, 1 of 3: simulating what the microscope sees, 3 s" == first.note
    later = show.learning(1.0)
    assert later.step == 4 and np.array_equal(later.phase, show.recording.phase[3])
    assert np.array_equal(later.levels, show.recording.levels[3]) and len(later.losses) == 4
    assert later.error == (1.5, 0)
    for event in events(5):
        assert show.learning(1.0).live == show.live
        show.take(event)
    live_now = show.learning(1.0)
    assert live_now.live and live_now.label.startswith("Live on this machine, step 0 of 5")
    assert "Recording" not in live_now.label


def test_live_steps_are_shown_from_the_first_and_reach_the_newest() -> None:
    show = Show(recording())
    for event in events(5):
        show.take(event)
    show.enter_learning()
    assert show.learning(10.0).step == 0
    assert "done before; now at 5" in show.learning(10.0).label
    # Eight steps a second.
    assert show.learning(10.26).step == 2
    last = show.learning(30.0)
    assert last.step == 5 and last.label == "Live on this machine, step 5 of 5"
    assert float(last.phase[0, 0]) == pytest.approx(0.05)
    assert last.losses.tolist() == [1 / step for step in range(1, 6)]
    show.enter_learning()
    assert show.learning(2.0).step == 0


def test_levels_of_the_run_are_put_in_the_order_of_the_recording() -> None:
    show = Show(recording())
    shown = show.ordered(snapshot(0).levels)
    # LED number n has level n / 1000 in the run; numbers of the recording begin at 100.
    assert np.allclose(shown[0] * 1000 + 100, show.recording.led_numbers)


def test_preparation_is_named_and_counted() -> None:
    told_now = ["loading the engine", 1.2]
    show = Show(recording(), lambda: (str(told_now[0]), float(told_now[1])))
    show.take(Preparing(step=0, text="loading the engine"))
    assert show.status == "Preparing the live run, 1 of 3: loading the engine, 1 s"
    show.take(Preparing(step=0, text="simulating what the microscope sees"))
    told_now[:] = ["", 0.0]
    assert show.status == "Preparing the live run, 2 of 3: simulating what the microscope sees, 0 s"
    for event in events(3):
        show.take(event)
    assert show.status == "Live on this machine: step 3 of 3"
    show.take(Finished(step=3, seconds=1.0))
    assert show.status == "Live run finished: 3 steps on this machine"


def test_a_run_that_fails_is_one_sentence_and_the_recording_goes_on() -> None:
    show = Show(recording())
    for event in events(5):
        show.take(event)
    assert show.learning(1.0).live
    show.take(Failed(step=5, kind="MemoryError", message="there is not enough memory"))
    seen = show.learning(1.0)
    assert not seen.live and seen.label.startswith("Recording")
    sentence = "The live run ended: there is not enough memory. The recording goes on."
    assert seen.note == show.status == show.trouble == sentence
    story = Story()
    story.turn_to(KEYS.index("learning"))
    assert told(show, story).small == sentence


def test_a_run_that_was_stopped_is_said_to_be() -> None:
    show = Show(recording())
    for event in events(2):
        show.take(event)
    show.take(Stopped(step=2))
    assert show.status == "Live run stopped after 2 steps" and not show.trouble


def test_a_new_run_begins_without_the_old_one() -> None:
    show = Show(recording())
    for event in events(3):
        show.take(event)
    show.take(Failed(step=3, kind="E", message="no"))
    show.begin()
    assert not show.live and not show.trouble and show.step == 0 and not show.saved


def test_memory_says_what_is_measured_and_what_is_predicted() -> None:
    show = Show(recording())
    before = show.memory_at(20)
    assert (before.ours, before.other) == (3_000_020, 20_000_000)
    assert before.ours_from == "measured, in the recorded run"
    assert before.other_from == "predicted in the recorded run, from one unroll"
    for event in events(2):
        show.take(event)
    here = show.memory_at(20)
    assert (here.ours, here.ours_from) == (7_000_000, "measured here, in the live run")
    assert (here.other, here.other_from) == (40_000_000, "predicted here, from one unroll")
    deep = show.memory_at(400)
    assert (deep.ours, deep.ours_from) == (3_000_400, "measured, in the recorded run")
    assert deep.other == 800_000_000 and deep.free == 8 * 10**9
    # Ours stays; theirs grows in proportion.
    assert deep.ours / show.memory_at(120).ours < 1.001 and deep.other == 10 * show.memory_at(40).other
    assert deep.most >= deep.other


def test_what_is_said_comes_from_the_figures() -> None:
    show, story = Show(recording(bits_different=3)), Story()
    story.at = story.chapter.seconds
    assert told(show, story).main.startswith(f"{LEDS} frames, one LED each")
    assert "0.125" in told(show, story).small
    story.turn_to(1)
    assert told(show, story).main == "One LED at a time takes 9 frames. Many LEDs at once take 6."
    story.at = story.chapter.seconds
    assert told(show, story).main.startswith("0.6 s instead of 0.9 s.")
    story.turn_to(3)
    story.chosen_unrolls = 80
    assert told(show, story).main == "80 unrolls: ours takes 3 MB, back-propagation 27 times as much."
    story.turn_to(4)
    story.at = story.chapter.seconds
    assert told(show, story).main == "3 of 4,096 bits differ. 240 unrolls undone bit for bit."
    for event in events(5):
        show.take(event)
    assert "100 unrolls undone" in told(show, story).main and "in the live run: 5 steps" in told(show, story).small


def comparison(judge: str, gain: float, name: str = "hybrid", error: float = 0.5) -> dict[str, Any]:
    return {
        "name": name,
        "title": f"the {name}",
        "judge": judge,
        "error": error,
        "learned": error * (1 - gain),
        "gain": gain,
        "low": gain - 0.05,
        "high": gain + 0.05,
    }


def test_the_recommendation_is_that_of_the_judges() -> None:
    rows = [
        comparison("its network", 0.4),
        comparison("a solver", 0.1),
        comparison("its network", 0.5, "half", 0.9),
        comparison("a solver", 0.6, "half", 0.8),
    ]
    better = {"sentence": "", "recommended": "learned", "examples": 8, "comparisons": rows}
    said, evidence = Show(recording(verdict=better)).recommendation
    assert said == "Use the learned patterns: 10 to 40 % less error than the hybrid, the best of what is known."
    assert "40 % less error by its network (95 % interval 35 to 45 %)" in evidence and "8 held-out slides" in evidence
    rows = [comparison("its network", 0.4), comparison("a solver", -0.1)]
    worse = {"sentence": "", "recommended": "hybrid", "examples": 8, "comparisons": rows}
    said, evidence = Show(recording(verdict=worse)).recommendation
    assert said == "Use the hybrid here: the learned patterns are not better for certain."
    assert "10 % more error by a solver (95 % interval 5 to 15 %)" in evidence


def test_every_key_of_the_line_has_a_name() -> None:
    for word in ("Space", "F ", "L ", "Home", "Esc", "+"):
        assert word in HANDS


# The recording ------------------------------------------------------------------------------------------------


def test_a_recording_comes_back_as_it_was(tmp_path: Path) -> None:
    kept = recording()
    found = load_recording(save_recording(tmp_path / "a.npz", kept))
    assert found.facts["unrolls"] == 20 and found.last_step == STEPS
    for name in ("levels", "losses", "measured", "predicted", "frames", "led_numbers", "steps"):
        assert np.array_equal(getattr(found, name), getattr(kept, name))
    # Pictures in 8 bits: within half a step.
    assert np.abs(found.phase - kept.phase).max() <= np.ptp(kept.phase) / 255 * 0.501 + 1e-7
    low, high = kept.limits
    assert low < high and np.mean((kept.true_phase < low) | (kept.true_phase > high)) <= 0.02


@pytest.mark.parametrize("damage", ["absent", "text", "cut", "version", "array"])
def test_a_bad_recording_is_one_sentence(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "a.npz"
    if damage == "text":
        path.write_text("no recording")
    elif damage != "absent":
        save_recording(path, recording())
        if damage == "cut":
            path.write_bytes(path.read_bytes()[:2000])
        else:
            with np.load(path) as file:
                arrays = dict(file)
            if damage == "version":
                facts = json.loads(bytes(arrays["facts"]).decode()) | {"version": 99}
                arrays["facts"] = np.frombuffer(json.dumps(facts).encode(), np.uint8)
            else:
                del arrays["levels"]
            np.savez(path, **arrays)
    with pytest.raises(DataError) as error:
        load_recording(path)
    assert "ptychoui demo --record" in error.value.hint and str(path) in error.value.message


@pytest.fixture(scope="module")
def shipped() -> Recording:
    return load_recording()


def test_the_shipped_recording_is_of_the_experiment_that_runs_live(shipped: Recording) -> None:
    from ptychoui.optics.geometry.led_array import led_array

    experiment = demo_experiment()
    assert shipped.facts["experiment"] == json.loads(experiment.model_dump_json(exclude_none=True))
    assert shipped.last_step == experiment.training.steps and shipped.steps[-1] == shipped.last_step
    assert tuple(shipped.depths) == DEPTHS and shipped.levels.shape[1] == experiment.design.rows
    assert experiment.geometry is not None
    leds = led_array(experiment.geometry.array)
    assert set(shipped.led_numbers) <= set(leds.numbers)
    # From the middle outwards.
    radius = np.hypot(*shipped.led_na.T)
    assert (np.diff(radius) > -2e-3).all() and radius[0] < 0.01
    assert shipped.true_phase.shape == (128, 128)


def test_the_shipped_recording_says_what_was_measured(shipped: Recording) -> None:
    # The way back was exact, and in equal pictures.
    half = len(shipped.undone_phase) // 2
    assert shipped.facts["bits_different"] == 0 and shipped.facts["bits"] > 1_000_000
    for place in range(half + 1):
        assert np.array_equal(shipped.undone_phase[place], shipped.undone_phase[-1 - place])
    # Ours stays within a few per cent; theirs grows by the same amount with every unroll.
    assert shipped.measured.max() < 1.1 * shipped.measured.min()
    slope = np.diff(shipped.predicted) / np.diff(shipped.depths)
    assert np.ptp(slope) < 0.01 * slope.mean() and slope.mean() > 1e6
    assert shipped.scores[-1] < 0.5 * shipped.scores[0] and shipped.losses[-5:].mean() < 0.5 * shipped.losses[:3].mean()
    # Dark-field frames are far dimmer.
    dark = np.hypot(*shipped.led_na.T) > shipped.objective_na + 0.05
    assert shipped.frame_peaks[dark].max() < 0.1 * shipped.frame_peaks[~dark].max()
    errors = [row["error"] for row in shipped.facts["contenders"]]
    assert all(0 < error < 1 for error in errors)
    said, _ = Show(shipped).recommendation
    assert (said.startswith("Use the learned")) == (shipped.facts["verdict"]["recommended"] == "learned")


# The live run -------------------------------------------------------------------------------------------------


def small() -> Any:
    experiment = demo_experiment()
    return experiment.replace(
        data=experiment.data.replace(tile_px=16, pad_px=4),
        network=experiment.network.replace(unrolls=2),
        training=experiment.training.replace(steps=2, batch=1, margin_px=2, validate_every=2),
    )


def test_the_live_run_is_the_engines_own(tmp_path: Path) -> None:
    mailbox = Mailbox()
    worker = Worker(mailbox)
    worker.start(live.live_run(tmp_path / "run", (2, 4, 8), small()))
    assert worker.join(120)
    told_events = [item.value for item in mailbox.drain().scalars]
    assert isinstance(told_events[-1], Finished), told_events[-1]
    texts = [event.text for event in told_events if isinstance(event, Preparing)]
    assert texts == list(live.NAMED.values())
    (memory,) = (event for event in told_events if isinstance(event, MemoryByDepth))
    assert memory.depths == (2, 4, 8) and memory.predicted[0] < memory.predicted[1] < memory.predicted[2]
    # A picture of the start and of every step, none lost though nobody asked for any.
    steps = [event.picture.step for event in told_events if isinstance(event, live.LiveSnapshot)]
    assert steps == [0, 1, 2]
    show = Show(recording())
    for event in told_events:
        show.take(event)
    assert show.live and show.saved and show.certified == 2 and show.measured_bytes > 0
    assert (tmp_path / "run").is_dir()


def test_whoever_hears_of_the_end_may_open_the_folder(tmp_path: Path) -> None:
    from ptychoui.training.control import RunControl
    from ptychoui.training.run_folder import RunFolder

    heard = False
    for event in live.live_run(tmp_path / "run", (2,), small())(RunControl(), lambda: False):
        if isinstance(event, Finished):
            RunFolder.open(tmp_path / "run").close()  # refused while the run holds it
            heard = True
    assert heard


def test_a_live_run_that_is_stopped_before_its_data_are_read_ends_at_once(tmp_path: Path) -> None:
    from ptychoui.errors import StopRequested
    from ptychoui.training.control import RunControl

    control, told_events = RunControl(), []
    control.stop()
    with pytest.raises(StopRequested):
        for event in live.live_run(tmp_path / "run", (2,), small())(control, lambda: False):
            told_events.append(event)
    assert [type(event) for event in told_events] == [Preparing] and not (tmp_path / "run").exists()


def test_run_folders_are_named_in_the_users_own_folder() -> None:
    from ptychoui.paths import user_state

    folder = live.live_folder()
    assert folder.parent == user_state() / "runs" and folder.name.startswith("demo-") and not folder.exists()


def test_started_counts_the_steps() -> None:
    show = Show(recording())
    assert show.steps == STEPS
    show.take(replace(started(), steps=77))
    assert show.steps == 77
