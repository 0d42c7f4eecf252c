"""Every plot and drawing can be copied and saved: as PNG, SVG, and as numbers with their units."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pyqtgraph as pg
import pytest
import tifffile
from PyQt6.QtCore import QPoint, Qt
from PyQt6.QtGui import QContextMenuEvent, QGuiApplication, QImage
from PyQt6.QtTest import QTest
from PyQt6.QtWidgets import QApplication, QMenu, QWidget

from ptychoui.design.sight import Sight
from ptychoui.devices.timeline import Timing
from ptychoui.errors import DataError
from ptychoui.gui.compare.curves import CurvesPlot
from ptychoui.gui.devices.timeline_view import TimelineView
from ptychoui.gui.shell.main_window import MainWindow
from ptychoui.gui.training.led_sight import FrequencyMap
from ptychoui.gui.training.pictures_view import CurvePanel
from ptychoui.gui.widgets.contrast_bar import ContrastBar, Histogram
from ptychoui.gui.widgets.coverage_plot import CoveragePlot
from ptychoui.gui.widgets.figure_menu import FigureMenu, Map, Table, file_name, numbers_as, svg_of, with_unit
from ptychoui.gui.widgets.files import Files
from ptychoui.gui.widgets.image_panel import ImagePanel
from ptychoui.gui.widgets.led_plot import LedPlot
from ptychoui.gui.widgets.loss_plot import LossPlot
from ptychoui.gui.widgets.memory_bars import MemoryBars
from ptychoui.gui.widgets.notices import notices
from ptychoui.gui.widgets.residual_plot import ResidualPlot
from ptychoui.gui.widgets.strategy_bars import StrategyBar, StrategyBars
from ptychoui.gui.widgets.strategy_plots import DepthPlot, RacePlot
from ptychoui.session.comparison_export import Curve
from ptychoui.training.events import ShownArray

DRAWN = (MemoryBars, StrategyBars, CoveragePlot, TimelineView, Histogram)
"""Drawings that are no plots of pyqtgraph."""


def rows_of(menu: FigureMenu) -> list[list[str]]:
    numbers = menu.numbers()
    assert numbers is not None
    return list(csv.reader(io.StringIO(numbers_as(numbers, "csv").decode())))


def test_every_plot_of_the_window_has_the_menu(window: MainWindow) -> None:
    plots: list[QWidget] = [*window.findChildren(pg.PlotWidget)]
    for kind in DRAWN:
        plots += window.findChildren(kind)
    assert len(plots) >= 14
    for plot in plots:
        menus = plot.findChildren(FigureMenu, options=Qt.FindChildOption.FindDirectChildrenOnly)
        assert len(menus) == 1, plot.objectName() or type(plot.parent())
        assert plot.accessibleName() and menus[0].title


def test_no_plot_anywhere_goes_without() -> None:
    """Whoever adds a plot adds its menu: in the same file."""
    package = Path(str(pg.__file__)).parent  # what is looked for is not in there
    gui = Path(__file__).resolve().parents[3] / "ptychoui" / "gui"
    assert gui.is_dir() and package.is_dir()
    without = [
        path.name
        for path in gui.rglob("*.py")
        if "pg.PlotWidget(self" in (text := path.read_text(encoding="utf-8"))
        and "FigureMenu(" not in text
        and path.name != "log_plot.py"  # those that are made of it have their own
    ]
    assert not without


@pytest.fixture
def plot(qtbot: Any, qapp: object) -> CurvesPlot:
    made = CurvesPlot("number of images", "phase error (rad)")
    qtbot.addWidget(made)
    made.resize(400, 300)
    made.show_curves(
        [Curve(title="learned", x=(2.0, 4.0), y=(0.25, 0.125)), Curve(title="singles", x=(2.0,), y=(0.5,))]
    )
    made.show()
    return made


def test_curves_are_written_with_names_and_units(plot: CurvesPlot) -> None:
    assert rows_of(plot.figure) == [
        ["curve", "number of images", "phase error (rad)"],
        ["learned", "2", "0.25"],
        ["learned", "4", "0.125"],
        ["singles", "2", "0.5"],
    ]
    assert with_unit("loss") == "loss (no unit)" and with_unit("step") == "step"
    assert file_name("Phase error (rad) of designs") == "phase-error-rad-of-designs" and file_name("§") == "figure"


def test_a_logarithmic_axis_changes_no_number(qtbot: Any, qapp: object) -> None:
    plot = LossPlot()
    qtbot.addWidget(plot)
    plot.training.setData(np.array([1.0, 2.0]), np.array([0.1, 0.001]))
    plot.held_out.setVisible(False)
    assert rows_of(plot.figure)[1:] == [["training", "1", "0.1"], ["training", "2", "0.001"]]


def test_svg_has_lines_and_marks_as_lines(plot: CurvesPlot) -> None:
    QApplication.processEvents()
    root = ElementTree.fromstring(svg_of(plot.plot, "Curves"))
    tags = [part.tag.rpartition("}")[2] for part in root.iter()]
    assert "image" not in tags and tags.count("text") > 4
    assert tags.count("path") + tags.count("polyline") + tags.count("polygon") + tags.count("circle") > 3
    texts = " ".join("".join(part.itertext()) for part in root.iter() if part.tag.endswith("text"))
    assert "phase error (rad)" in texts and "learned" in texts


def test_files_are_written_and_said(plot: CurvesPlot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[str, str]] = []

    def hear(level: str, text: str, _hint: str) -> None:
        told.append((level, text))

    notices().told.connect(hear)
    names = iter((tmp_path / "a.png", tmp_path / "b.svg", tmp_path / "v1.5", tmp_path / "c.csv", tmp_path / "c.tif"))
    monkeypatch.setattr(Files, "to_save", classmethod(lambda cls, *_: str(next(names))))
    for _ in range(3):
        plot.figure.save_picture()
    plot.figure.save_values()
    plot.figure.save_values()
    notices().told.disconnect(hear)
    assert QImage(str(tmp_path / "a.png")).width() == 2 * plot.plot.width()
    assert (tmp_path / "b.svg").read_bytes().lstrip().startswith(b"<?xml")
    assert (tmp_path / "v1.5.png").exists() and (tmp_path / "c.csv").exists()
    assert [level for level, _ in told] == ["info"] * 4 + ["error"]
    plot.figure.copy_picture()
    clipboard = QGuiApplication.clipboard()
    assert clipboard is not None and clipboard.image().width() == 2 * plot.plot.width()


def test_a_right_click_and_the_menu_key_open_it_and_a_drag_zooms(plot: CurvesPlot) -> None:
    port = plot.plot.viewport()
    QTest.mousePress(port, Qt.MouseButton.RightButton, pos=QPoint(60, 60))
    QTest.mouseRelease(port, Qt.MouseButton.RightButton, pos=QPoint(160, 160))
    assert QApplication.activePopupWidget() is None
    QTest.mouseClick(port, Qt.MouseButton.RightButton, pos=QPoint(60, 60))
    menu = QApplication.activePopupWidget()
    assert isinstance(menu, QMenu)
    texts = [action.text().replace("&", "") for action in menu.actions()]
    assert texts == ["Copy picture", "Save picture…", "Save values…", "Fit"] and menu.actions()[2].isEnabled()
    menu.close()
    QApplication.sendEvent(plot.plot, QContextMenuEvent(QContextMenuEvent.Reason.Keyboard, QPoint(5, 5)))
    menu = QApplication.activePopupWidget()
    assert isinstance(menu, QMenu)
    menu.close()


def test_without_numbers_no_values_are_offered(qtbot: Any, qapp: object) -> None:
    bars = MemoryBars()
    qtbot.addWidget(bars)
    menu = bars.figure.open(QPoint(0, 0))
    assert [action.isEnabled() for action in menu.actions()] == [True, True, False]
    menu.close()
    bars.figure.save_values()  # nothing happens


def test_maps_keep_the_size_of_their_pixels() -> None:
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    found = Map(values, 0.25, "NA", "LEDs that see a frequency")
    lines = numbers_as(found, "csv").decode().splitlines()
    assert lines[0] == "# LEDs that see a frequency; rows run down; edge of a pixel 0.25 NA"
    np.testing.assert_array_equal(np.loadtxt(lines, delimiter=","), values)
    with tifffile.TiffFile(io.BytesIO(numbers_as(found, "tif"))) as file:
        np.testing.assert_array_equal(file.asarray(), values)
        assert file.imagej_metadata is not None and file.imagej_metadata["unit"] == "NA"
        over, under = file.pages[0].tags["XResolution"].value  # type: ignore[union-attr]
        assert under / over == 0.25
    with pytest.raises(DataError, match="without an ending"):
        numbers_as(found, "")
    with pytest.raises(DataError, match="tif"):
        numbers_as(Table(("a",), [(1,)]), "tif")


def test_drawings_give_the_numbers_they_draw(qtbot: Any, qapp: object) -> None:
    memory, strategies, coverage, leds = MemoryBars(), StrategyBars(), CoveragePlot(), LedPlot()
    bar, timeline, curve, sight = ContrastBar("phase", "gray"), TimelineView(), CurvePanel(), FrequencyMap("Seen")
    depth, race, residual = DepthPlot(), RacePlot(), ResidualPlot()
    for widget in (memory, strategies, coverage, leds, bar, timeline, curve, sight, depth, race, residual):
        qtbot.addWidget(widget)
    memory.show_memory("reversible", 1000, {"store_all": 4000})
    assert rows_of(memory.figure)[1:] == [["reversible, measured", "1000"], ["back-propagation would take", "4000"]]
    strategies.show_bars((StrategyBar(name="store_all", title="Back-propagation", keeps="all", bytes=7, note="1 s"),))
    assert rows_of(strategies.figure)[1] == ["Back-propagation", "7", "predicted", "1 s"]
    coverage.set_geometry(np.array([[0.1, -0.2]]), 0.3)
    assert rows_of(coverage.figure) == [["pupil at x (NA)", "pupil at y (NA)", "radius (NA)"], ["0.1", "-0.2", "0.3"]]
    leds.set_leds(np.array([[0.1, 0.2], [0.3, 0.4]]), np.array([7, 9]), 0.1, np.array([[1.0, 2.0, 0], [3.0, 4.0, 0]]))
    leds.set_levels(np.array([0.5, 1.0]))
    assert rows_of(leds.figure) == [
        ["LED", "NA x", "NA y", "x (mm)", "y (mm)", "level (0 to 1)"],
        ["7", "0.1", "0.2", "1", "2", "0.5"],
        ["9", "0.3", "0.4", "3", "4", "1"],
    ]
    bar.set_images([np.array([[0.0, 1.0, 1.0]], np.float32)])
    counted = rows_of(bar.histogram.figure)
    assert sum(int(row[2]) for row in counted[1:]) == 3 and counted[-1][2] == "2"
    assert float(counted[1][0]) == 0 and float(counted[-1][1]) == 1 and counted[0][0].startswith("phase")
    curve.show_array(ShownArray(title="Weights", values=np.array([3.0, 5.0], np.float32), unit="mm"))
    assert [row[2] for row in rows_of(curve.figure)[1:]] == ["3", "5"] and curve.figure.title == "Weights"
    sight.show_map(np.array([[1.0, 2.0], [3.0, 4.0]]), 0.5, 4, (0.1, 0.2), "LEDs")
    found = sight.figure.numbers()
    assert isinstance(found, Map) and found.pixel == 0.5
    np.testing.assert_array_equal(found.values, [[3, 4], [1, 2]])  # rows run down, y runs up
    depth.show_memory(None, {("reversible", 8): 2_000_000})
    assert rows_of(depth.figure)[1:] == [["Reversible", "measured", "8", "2"]]
    for empty in (race.figure, residual.figure, timeline.figure):
        assert empty.numbers() is None
    assert Timing().settle_ms >= 0 and Sight is not None
    image = ImagePanel("Phase")
    qtbot.addWidget(image)
