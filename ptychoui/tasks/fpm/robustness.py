"""How well a design holds when the microscope is not as stated, beside one that is known without learning."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

import numpy as np

from ptychoui.errors import GeometryError, SettingsError
from ptychoui.optics.geometry.pose import SHIFT_X
from ptychoui.tasks.fpm.contenders import TITLES, Contender, known_design
from ptychoui.tasks.fpm.examples import EMPTY_SHARE, Objects, bands, spread_places, tiles_of_field
from ptychoui.tasks.fpm.judges import NETWORK, SOLVER, Errors, network_errors, solver_errors
from ptychoui.tasks.fpm.nuisances import (
    ALL,
    NONE,
    NUISANCES,
    OTHER_TILES,
    SHIFT,
    Nuisance,
    forgiving,
    moved_leds,
    pitch_mm,
)
from ptychoui.tasks.fpm.parameters import DesignParameters, start_parameters
from ptychoui.tasks.fpm.recommendation import JUDGED, SHARE_OF_STEPS, TUNING
from ptychoui.tasks.fpm.task import FpmTask
from ptychoui.tasks.fpm.tuning import tuned_network
from ptychoui.training.verdict import compared
from ptychoui.words import counted

AGAINST = "half_circles"
DRAWS = 5

LIT = 0.01
"""Level above which an LED counts as lit."""

WORST = 10.0
"""Error that counts for a reconstruction which is further off than that, or which diverged: 1 is an empty picture."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CardRow:
    """A design under one nuisance beside a known one, by one judge.

    Attributes
    ----------
    nuisance, title, judge
        What is otherwise than stated, as files and people call it, and how results were reconstructed.
    tiles, draws
        How many tiles were judged, and how many draws of what is random they met.
    error, times
        Mean complex error of the design, and over that of the microscope as stated.
    known, known_times
        The same of the known design.
    better, low, high
        By how much the design's error is smaller, as a share of the known one's, and Student's 95 % interval of the
        differences paired by tiles; NaN for a single tile.
    """

    nuisance: str
    title: str
    judge: str
    tiles: int
    draws: int
    error: float
    times: float
    known: float
    known_times: float
    better: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RobustnessCard:
    """How well a design holds.

    Attributes
    ----------
    design, against
        What is tried, and what it is held against, as people call them.
    steps
        Steps after which a run had this design.
    rows
        Every nuisance by every judge, the microscope as stated first.
    notes
        Nuisances that could not be tried, and what to change: sentences.
    """

    design: str
    against: str
    steps: int
    rows: tuple[CardRow, ...]
    notes: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """What hurts most by one nuisance, and where the known design is better for certain."""
        apart = (NONE.name, OTHER_TILES.name, ALL.name)
        worst = max([row for row in self.rows if row.nuisance not in apart] or self.rows, key=lambda row: row.times)
        lost = list(dict.fromkeys(row.title for row in self.rows if row.high < 0))
        return (
            f"most harmful to {self.design}: {worst.title}, with {worst.times:.2g} times the error as stated by "
            f"{worst.judge} ({worst.known_times:.2g} times with {self.against}); for certain worse than "
            f"{self.against}: {', '.join(lost) or 'nowhere'}"
        )

    @property
    def basis(self) -> str:
        """How much the card rests on."""
        draws = max(row.draws for row in self.rows)
        return (
            f"complex errors on {counted(self.rows[0].tiles, 'held-out tile')}, 1 is an empty picture; times: over the "
            f"error as stated; {counted(draws, 'draw')} of what is random, of which {SOLVER} sees one for each tile"
        )

    def record(self) -> dict[str, Any]:
        """Plain values for a file."""
        return asdict(self)

    @classmethod
    def from_record(cls, values: Mapping[str, Any]) -> Self:
        """What `record` gave.

        Raises
        ------
        KeyError, TypeError, ValueError
            If something is missing or is no such record.
        """
        known: list[dict[str, Any]] = [
            {name: np.nan if value is None else value for name, value in row.items()} for row in values["rows"]
        ]
        rows = tuple(CardRow(**row) for row in known)
        if not rows:
            raise ValueError("a card without rows")
        return cls(
            design=str(values["design"]),
            against=str(values["against"]),
            steps=int(values["steps"]),
            rows=rows,
            notes=tuple(str(each) for each in values["notes"]),
        )

    def cells(self) -> list[list[str]]:
        """The card as a table: a header, then a line for every row."""
        header = ["", "judge", self.design, "times", self.against, "times", "error smaller by (95 % interval)"]
        return [header, *(_cells(row) for row in self.rows)]


def _cells(row: CardRow) -> list[str]:
    interval = f" ({100 * row.low:+.0f} to {100 * row.high:+.0f} %)" if np.isfinite(row.low) else ""
    return [
        row.title,
        row.judge,
        f"{row.error:.3f}",
        f"{row.times:.2f}",
        f"{row.known:.3f}",
        f"{row.known_times:.2f}",
        f"{100 * row.better:+.0f} %{interval}",
    ]


def robustness(
    design: Contender,
    parameters: DesignParameters,
    against: str = AGAINST,
    draws: int = DRAWS,
    steps: int = 0,
    tell: Callable[[str], None] = lambda _sentence: None,
    callback: Callable[[], None] = lambda: None,
) -> RobustnessCard:
    """Try a design, and a known one with equal frames and equal exposure, under every nuisance of `NUISANCES`.

    Measurements are of held-out tiles; the same tiles, noise and draws for both designs and both judges. What cannot be
    tried, as a shift of the array beyond what the tile's grid holds, is left out with a sentence.

    Parameters
    ----------
    parameters
        Of the network that judges the design; the known one gets those at the start where they suit it better.
    against
        One of `contenders.TITLES`.
    draws
        How often what is random of a nuisance is drawn, 1 or more.
    tell
        Hears which nuisance is tried.
    callback
        Called between layers and evaluations: where the work can be given up by an exception.

    Raises
    ------
    SettingsError
        If there is no such known design, or nothing is to be drawn.
    """
    if against not in TITLES:
        raise SettingsError(f"there is no design {against!r} to compare with", f"there are: {', '.join(TITLES)}")
    if draws < 1:
        raise SettingsError(f"{draws} draws of what is random: at least 1 is needed", "leave --draws out")
    known = known_design(design.task, against)
    tuning_steps = round(SHARE_OF_STEPS * design.task.experiment.training.steps)
    tuning = known.task.training.spread(TUNING)
    settings = tuned_network(known, (start_parameters(design.task), parameters), tuning, tuning_steps, callback)
    pairs = ((design, parameters), (known, settings))
    judged = design.task.held_out.spread(JUDGED)
    stated: dict[tuple[str, int], float] = {}
    rows: list[CardRow] = []
    notes = near_the_edge(design)
    for nuisance in NUISANCES:
        tell(nuisance.title)
        tiles = other_tiles(design.task) if nuisance is OTHER_TILES else judged
        if not len(tiles):
            notes.append(f"left out: {nuisance.title}: all held-out tiles are judged already")
            continue
        times = draws if nuisance.random else 1
        try:
            of_design, of_known = (_errors(*pair, nuisance, tiles, times, callback) for pair in pairs)
        except GeometryError as error:
            if nuisance is NONE:
                raise
            notes.append(f"left out: {nuisance.title}: {error.message}")
            continue
        for judge in (NETWORK, SOLVER):
            row = compared(nuisance.name, nuisance.title, judge, of_known[judge], of_design[judge])
            if nuisance is NONE:
                stated |= {(judge, 0): row.learned, (judge, 1): row.error}
            rows.append(
                CardRow(
                    nuisance=nuisance.name,
                    title=nuisance.title,
                    judge=judge,
                    tiles=len(tiles),
                    draws=times if judge == NETWORK else min(times, len(tiles)),
                    error=row.learned,
                    times=row.learned / stated[judge, 0],
                    known=row.error,
                    known_times=row.error / stated[judge, 1],
                    better=row.gain,
                    low=row.low,
                    high=row.high,
                )
            )
    return RobustnessCard(design=design.title, against=known.title, steps=steps, rows=tuple(rows), notes=tuple(notes))


def _errors(
    design: Contender,
    parameters: DesignParameters,
    nuisance: Nuisance,
    tiles: Objects,
    draws: int,
    callback: Callable[[], None],
) -> dict[str, Errors]:
    """Complex errors (E,) of a design under a nuisance, by every judge.

    By the network the mean over the draws; the solver, which takes a hundred times as long, sees every tile with one of
    them, in turn.
    """
    by_network, by_solver = np.zeros(len(tiles)), np.zeros(len(tiles))
    for draw in range(draws):
        # The same draws for every design.
        rng = np.random.default_rng([design.task.experiment.seed, 2, draw])
        task: FpmTask = nuisance.task(forgiving(design.task), rng)
        examples = nuisance.examples(tiles, rng)
        mistaken = replace(design, task=task)
        by_network += np.minimum(network_errors(mistaken, parameters, examples, callback), WORST)
        for tile in range(draw, len(tiles), draws):
            # One by one, so that a tile has the same noise whatever is tried.
            by_solver[tile] = min(float(solver_errors(mistaken, examples.part(tile, tile + 1), callback)[0]), WORST)
    return {NETWORK: by_network / draws, SOLVER: by_solver}


def near_the_edge(design: Contender) -> list[str]:
    """A sentence if LEDs are lit that a shift of the array turns from bright to dark field, or back."""
    task, change = design.task, np.zeros(6)
    change[SHIFT_X] = SHIFT * pitch_mm(task)
    reach = float(np.abs(moved_leds(task, change).illumination_na - task.leds.illumination_na).max())
    lit = (design.levels > LIT).any(0).cpu().numpy()
    near = int((lit & (np.abs(task.leds.radius_na - task.objective_na) <= reach)).sum())
    if not near:
        return []
    guard = math.ceil(1e3 * reach) / 1e3
    return [
        f"{counted(near, 'LED')} lit within {reach:.2g} of the objective's NA, which a shift of the array turns from "
        f"bright to dark field: learn with design.guard_na = {guard:g}, which keeps such LEDs dark"
    ]


def other_tiles(task: FpmTask) -> Objects:
    """Held-out tiles that `Objects.spread` does not choose: of a measured stack those half a tile beside its own.

    None where all simulated objects are judged already.
    """
    if task.field is not None:
        side, tile = task.field.window.size_px, task.grids.tile_px
        guard, border = bands(task.experiment, side, tile)
        rows = range(tile // 2, side - tile + 1, tile)
        places = [(row, column) for row in rows for column in sorted({border + guard, side - tile})]
        if places:
            found = _shown(tiles_of_field(task.experiment, task.grids, task.field, places, 1), task.held_out)
            return found.spread(JUDGED) if len(found) else found
    count = len(task.held_out)
    others = np.setdiff1d(np.arange(count), spread_places(count, JUDGED))
    rest = task.held_out.pick(others)
    return rest.spread(JUDGED) if len(rest) else rest


def _shown(tiles: Objects, like: Objects) -> Objects:
    """The tiles that show something, as tensors of the kind of others: errors are relative to what there is to show."""
    contrast, usual = (each.truth.flatten(1).std(1).cpu().numpy() for each in (tiles, like))
    kept = tiles.pick(np.flatnonzero(contrast >= EMPTY_SHARE * np.sqrt(np.mean(usual**2))))
    return replace(kept, intensities=kept.intensities.to(like.intensities), truth=kept.truth.to(like.truth))
