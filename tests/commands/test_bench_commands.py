"""bench, doctor and gui as a person meets them."""

from __future__ import annotations

import pytest
from commands.calls import Call

from ptychoui.commands import window

TINY = ("--unrolls", 3, 5, "--leds", 37, "--measurements", 2, "--size", 32, "--repeats", 1, "--device", "cpu")
PUBLISHED = ["published back-propagation", "published memory-efficient"]


def test_bench_engine(works: Call) -> None:
    values = works("bench", "engine", *TINY, "--json")
    rows = values["rows"]
    ours = ["store_all", "checkpoint", "offload", "binomial", "reversible", "inverse", "greedy"]
    names = ["autograd store_all", "torch checkpoint", *ours, *PUBLISHED]
    assert [(row["unrolls"], row["strategy"]) for row in rows] == [(n, name) for n in (3, 5) for name in names]
    for row in rows:
        assert row.keys() >= {"size", "seconds", "peak_extra_bytes", "gradient_error", "certificate", "drift"}
        assert row["size"] == 32 and row["seconds"] > 0 and row["peak_extra_bytes"] > 0
        if row["strategy"] in ("checkpoint", "reversible", "store_all"):
            assert row["gradient_error"] == 0
        assert row["certificate"].startswith("exact") == (row["strategy"] == "reversible")
        assert row["strategy"] == "greedy" or row["gradient_error"] < 1e-2
    assert values["leds"] == 37 and values["measurements"] == 2 and values["device"] == "cpu"
    # In words, of one depth: two lines of heads and one for every strategy.
    assert len(works("bench", "engine", *TINY, "--unrolls", 3).splitlines()) == 2 + len(names)


def test_what_cannot_be_measured(refused: Call) -> None:
    assert "the lattice has 1 to" in refused("bench", "engine", *TINY, "--leds", 100000, started=True)
    assert "--unrolls: 0 is below 1" in refused("bench", "engine", *TINY, "--unrolls", 0)


@pytest.mark.parametrize(
    "words",
    [("--device", "tpu"), ("--repeats", 0), ("--measurements", 0), ("--threads", -1)],
    ids=lambda words: " ".join(str(word) for word in words),
)
def test_numbers_of_bench_engine_that_cannot_be(words: tuple[object, ...], refused: Call) -> None:
    refused("bench", "engine", *TINY, *words, started=True)


@pytest.mark.parametrize(
    "words",
    [
        ("engine", *TINY, "--only", "nope"),
        ("engine", *TINY, "--step", "nan"),
        ("stack", "--only", "nope"),
        ("leds", "--budget-mb", "nan"),
        ("depth", "first_light", "--seconds", "-1"),
        ("peers", "--gain", "inf"),
        ("poster", "--size", "131"),
        ("poster", "--foretell", "9"),
        ("poster", "--stored-gb", "9"),
        ("poster", "--alone", "--mri"),
        ("poster", "--alone", "--unrolls", "2", "3"),
        ("poster", "--alone", "--plot", "x.png"),
    ],
    ids=lambda words: " ".join(str(word) for word in words[-2:]),
)
def test_words_of_other_benchmarks_that_cannot_be(words: tuple[object, ...], refused: Call) -> None:
    refused("bench", *words, started=True)


def test_bench_peers(works: Call) -> None:
    words = ("bench", "peers", "--unrolls", 2, "--size", 8, "--repeats", 1, "--gain", 1)
    values = works(*words, "--json")
    assert values["size"] == 8 and values["gain"] == 1 and values["repeats"] == 1
    assert {row["depth"] for row in values["rows"]} == {2, 1}
    assert len(works(*words).splitlines()) == 2 + len(values["rows"])


def test_bench_memory_and_leds(works: Call, refused: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    from ptychoui.bench.engine import memory
    from ptychoui.bench.engine.resident import Measured

    measured = Measured(resident_bytes=2_000_000, metered_bytes=1_000_000, seconds=3.0)
    monkeypatch.setattr(memory, "measure_pass", lambda *_words, **_more: measured)
    for name, values in {"SIZES": (64,), "LEDS": (21,), "UNROLLS": (2, 3), "BATCHES": (1, 2)}.items():
        monkeypatch.setattr(memory, name, values)
    words = ("bench", "memory", "--configurations", 2, "--seed", 4, "--least-mb", 1)
    found = works(*words, "--json")
    assert found["seed"] == 4 and len(found["rows"]) == 2 and found["rows"][0]["predicted"] >= 1_000_000
    assert works(*words).splitlines()[-1].startswith("worst: ")
    words = ("bench", "leds", "--leds", 21, 37, "--size", 64, "--budget-mb", 50, "--unrolls", 2, "--batch", 2)
    found = works(*words, "--json")
    assert found["budget_bytes"] == 50_000_000 and found["growth"]["resident"] == 0
    assert [row["configuration"]["leds"] for row in found["rows"]] == [21, 37]
    assert {row["configuration"]["batch"] for row in found["rows"]} == {2} and found["rows"][0][
        "seconds_per_unroll"
    ] == 1.5
    assert works(*words).splitlines()[-1].startswith("growth: ")
    assert "a pass needs at least" in refused(
        "bench", "leds", "--leds", 21, "--size", 64, "--budget-mb", 0.1, started=True
    )


def test_doctor(works: Call) -> None:
    values = works("doctor", "--json")
    assert values["ok"] is True and all(values["checks"].values())
    text = works("doctor")
    assert text.count("[ok]") == len(values["checks"]) and "FAILED" not in text


def test_a_file_without_a_screen(refused: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(window, "has_screen", lambda: False)
    assert "there is no screen" in refused("stack.tif")
    assert "there is no screen" in refused("gui", "stack.tif")
