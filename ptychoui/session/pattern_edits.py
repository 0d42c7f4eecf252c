"""What a person does to the patterns of an experiment, each as one step of undo."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ptychoui.design import starts
from ptychoui.errors import SettingsError
from ptychoui.optics.geometry.led_array import LedArray
from ptychoui.session.undo import FloatArray, State, Undoable
from ptychoui.settings import Design, FpmExperiment, Geometry
from ptychoui.words import counted

MOST_ROWS = 256
"""Patterns of one field that the settings allow."""


class PatternEdits(Undoable):
    """The part of a document that changes levels, and the order and number of its patterns."""

    @property
    def fpm(self) -> FpmExperiment | None:
        """The settings, where they are those of a Fourier ptychographic microscope."""
        raise NotImplementedError

    @property
    def geometry(self) -> Geometry | None:
        """The microscope and its array."""
        raise NotImplementedError

    def leds(self) -> LedArray | None:
        """LEDs of the geometry."""
        raise NotImplementedError

    def design(self) -> tuple[FloatArray, FloatArray] | None:
        """Levels (row, LED) and exposures (row,) that are shown."""
        raise NotImplementedError

    def may_light(self) -> NDArray[np.bool_] | None:
        """(row, LED) which LEDs a pattern may light; None without a design."""
        leds, geometry, experiment = self.leds(), self.geometry, self.fpm
        if self.design() is None or leds is None or geometry is None or experiment is None:
            return None
        return starts.band_masks(experiment.design, leds, geometry.microscope.objective_na)

    def edit_level(self, row: int, led: int, level: float) -> None:
        """Set the drive level of one LED (its place in the list) in one row.

        Raises
        ------
        SettingsError
            If the row may not light that LED: it lies in the other band.
        """
        design, leds = self.design(), self.leds()
        if design is None or leds is None:
            return
        levels = design[0][row].copy()
        levels[led] = min(max(level, 0.0), 1.0)
        allowed, name = self._allowed(row)
        if not allowed[led]:
            self._note_refusal(f"Refused level of LED {leds.numbers[led]}")
            raise SettingsError(
                f"LED {leds.numbers[led]} cannot be lit in {name!r}: it lies in the other field or near the edge",
                "choose a pattern of its own field",
            )
        self._set_row(f"Level in {name}", row, levels, f"level {row} {led}")

    def edit_row(self, what: str, row: int, levels: FloatArray, key: str = "") -> str:
        """Give a pattern other levels, as one step of undo.

        Parameters
        ----------
        what
            What was done, for the undo list: "Paint" becomes "Paint 12 LEDs in dark field 1".
        levels
            (LED,) wanted; LEDs that the pattern may not light stay as they are.
        key
            Consecutive edits with the same key are one step.

        Returns
        -------
        A sentence if not all that was asked for is shown; else nothing.

        Raises
        ------
        SettingsError
            If only LEDs would change that the pattern may not light.
        """
        design = self.design()
        if design is None:
            return ""
        allowed, name = self._allowed(row)
        before = design[0][row]
        wanted = np.clip(levels, 0, 1)
        differs = ~np.isclose(wanted, before, atol=1e-9)
        changes = differs & allowed
        if not changes.any():
            if not differs.any():
                return ""
            self._note_refusal(f"Refused {what.lower()}")
            raise SettingsError(
                f"{name!r} may light none of these LEDs: they lie in the other field or near the edge",
                "choose a pattern of their own field",
            )
        label = f"{what} {counted(int(changes.sum()), 'LED')} in {name}"
        self._set_row(label, row, np.where(changes, wanted, before), key)
        left = int((differs & ~allowed).sum())
        notes = [f"{counted(left, 'LED lies', 'LEDs lie')} in the other field and stay as they are"] if left else []
        return "; ".join([*notes, *self._hidden(row, np.where(changes, wanted, before))])

    def _hidden(self, row: int, wanted: FloatArray) -> list[str]:
        """In a sentence, what the array cannot show of levels (LED,)."""
        design, experiment = self.design(), self.fpm
        assert design is not None and experiment is not None
        most = experiment.design.maximum_lit
        dark = int(((wanted > 0) & (design[0][row] <= 0)).sum())
        if not dark:
            return []
        why = f"at most {most} may be lit at once" if most is not None and (wanted > 0).sum() > most else "too faint"
        return [f"{counted(dark, 'LED stays', 'LEDs stay')} dark: {why}"]

    def move_row(self, row: int, to: int) -> None:
        """Put a pattern in another place; those between make room.

        Raises
        ------
        SettingsError
            If the place is one of the other field.
        """
        order = list(range(self._design_settings().rows))
        order.insert(to, order.pop(row))
        self._reorder(f"Move {self._name(row)} to place {to + 1}", order, row, to)

    def swap_rows(self, first: int, second: int) -> None:
        """Exchange two patterns.

        Raises
        ------
        SettingsError
            If they are of different fields.
        """
        order = list(range(self._design_settings().rows))
        order[first], order[second] = order[second], order[first]
        self._reorder(f"Swap {self._name(first)} and {self._name(second)}", order, first, second)

    def add_row(self, row: int) -> int:
        """Add a copy of a pattern behind it, and return its place.

        Raises
        ------
        SettingsError
            If the settings allow no more, or a fixed total exposure leaves too little for each.
        """
        settings, bright = self._design_settings(), self._is_bright(row)
        key = "bright_field_rows" if bright else "dark_field_rows"
        if getattr(settings, key) >= MOST_ROWS:
            raise SettingsError(f"there are {MOST_ROWS} patterns of this field", "more are not possible: remove one")
        order = list(range(settings.rows))
        order.insert(row + 1, row)
        self._renumber(f"Add a pattern after {self._name(row)}", key, order)
        return row + 1

    def remove_row(self, row: int) -> None:
        """Remove a pattern.

        Raises
        ------
        SettingsError
            If it is the only one of the bright field.
        """
        settings, bright = self._design_settings(), self._is_bright(row)
        if bright and settings.bright_field_rows == 1:
            raise SettingsError(
                "this is the only bright-field pattern, and the first estimate of an object comes from one",
                "change its LEDs instead",
            )
        order = [place for place in range(settings.rows) if place != row]
        self._renumber(f"Remove {self._name(row)}", "bright_field_rows" if bright else "dark_field_rows", order)

    # Parts -----------------------------------------------------------------------------------------------

    def _design_settings(self) -> Design:
        experiment = self.fpm
        if experiment is None or self.design() is None:
            raise SettingsError("there are no patterns yet", "open data with a geometry, or choose a geometry")
        return experiment.design

    def _name(self, row: int) -> str:
        return starts.row_names(self._design_settings())[row]

    def _is_bright(self, row: int) -> bool:
        return row < self._design_settings().bright_field_rows

    def _allowed(self, row: int) -> tuple[NDArray[np.bool_], str]:
        mask = self.may_light()
        assert mask is not None
        return mask[row], self._name(row)

    def _set_row(self, label: str, row: int, levels: FloatArray, key: str) -> None:
        design = self.design()
        assert design is not None
        changed = design[0].copy()
        changed[row] = levels
        self._take(label, replace(self._state, levels=changed), key)

    def _take(self, label: str, state: State, key: str = "") -> None:
        for array in (state.levels, state.exposures):
            if array is not None:
                array.setflags(write=False)
        self._change(label, state, key)

    def _reorder(self, label: str, order: list[int], first: int, second: int) -> None:
        if self._is_bright(first) != self._is_bright(second):
            raise SettingsError(
                "bright-field patterns come first, dark-field patterns after them",
                "move a pattern among those of its own field",
            )
        design = self.design()
        if first == second or design is None:
            return
        self._take(label, replace(self._state, levels=design[0][order], exposures=design[1][order]))

    def _renumber(self, label: str, key: str, order: list[int]) -> None:
        """Take patterns by their places, and as many of a field as there are then."""
        settings, design, experiment = self._design_settings(), self.design(), self.fpm
        assert design is not None and experiment is not None
        change = len(order) - settings.rows
        settings = settings.replace(**{key: getattr(settings, key) + change})
        starts.start_exposures(settings)  # whether each frame is long enough
        exposures = design[1][order]
        if settings.total_exposure is not None:
            exposures = np.maximum(exposures * settings.total_exposure / exposures.sum(), settings.minimum_exposure)
        self._take(
            label, State(experiment=experiment.replace(design=settings), levels=design[0][order], exposures=exposures)
        )
