"""Right clicks on images: copies, files, and a region with its numbers."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PyQt6.QtCore import QPoint, Qt
from PyQt6.QtGui import QGuiApplication, QImage
from PyQt6.QtTest import QTest
from PyQt6.QtWidgets import QApplication, QMenu

from ptychoui.errors import DataError
from ptychoui.gui.look import luts
from ptychoui.gui.look.region import Region
from ptychoui.gui.widgets.contrast_bar import ContrastBar
from ptychoui.gui.widgets.files import Files
from ptychoui.gui.widgets.image_menu import copy_picture, save_picture, save_values, values_as
from ptychoui.gui.widgets.image_panel import ImagePanel
from ptychoui.gui.widgets.notices import notices

IMAGE = np.arange(48, dtype=np.float32).reshape(6, 8)


@pytest.fixture
def panel(qtbot: Any, qapp: object) -> Iterator[ImagePanel]:
    made = ImagePanel("Phase, reconstructed")
    qtbot.addWidget(made)
    made.resize(300, 240)
    made.set_image(IMAGE, 0.5)
    made.set_limits(0, 47)
    made.show()
    yield made
    made.hide()


@pytest.fixture
def told(qapp: object) -> Iterator[list[tuple[str, str]]]:
    heard: list[tuple[str, str]] = []

    def hear(level: str, text: str, _hint: str) -> None:
        heard.append((level, text))

    notices().told.connect(hear)
    yield heard
    notices().told.disconnect(hear)


def saved_as(monkeypatch: pytest.MonkeyPatch, path: Path | str) -> None:
    monkeypatch.setattr(Files, "to_save", classmethod(lambda cls, *_: str(path)))


def test_a_right_click_opens_the_menu_and_a_drag_does_not(panel: ImagePanel, qtbot: Any) -> None:
    port = panel._graphics.viewport()
    QTest.mousePress(port, Qt.MouseButton.RightButton, pos=QPoint(50, 50))
    QTest.mouseRelease(port, Qt.MouseButton.RightButton, pos=QPoint(120, 130))
    assert QApplication.activePopupWidget() is None
    QTest.mouseClick(port, Qt.MouseButton.RightButton, pos=QPoint(50, 50))
    menu = QApplication.activePopupWidget()
    assert isinstance(menu, QMenu)
    texts = [action.text().replace("&", "") for action in menu.actions() if action.text()]
    assert texts == ["Copy picture", "Save picture…", "Save values…", "Mark a region", "Fit", "One to one"]
    menu.actions()[4].trigger()
    menu.close()
    assert panel.has_region


def test_without_an_image_nothing_can_be_saved(qtbot: Any, panel: ImagePanel) -> None:
    panel.set_image(None, None)
    QTest.mouseClick(panel._graphics.viewport(), Qt.MouseButton.RightButton, pos=QPoint(50, 50))
    menu = QApplication.activePopupWidget()
    assert isinstance(menu, QMenu)
    assert not any(action.isEnabled() for action in menu.actions()[:3])
    menu.close()
    panel.toggle_region()
    assert not panel.has_region


def test_a_picture_is_copied_and_saved(
    panel: ImagePanel, told: list[tuple[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy_picture(panel)
    clipboard = QGuiApplication.clipboard()
    assert clipboard is not None and clipboard.image().width() == 2 * panel.width()
    saved_as(monkeypatch, tmp_path / "picture")
    save_picture(panel)
    assert QImage(str(tmp_path / "picture.png")).width() == 2 * panel.width()
    assert told[-1] == ("info", f"Written to {tmp_path / 'picture.png'}")


def test_values_are_saved_as_they_are(
    panel: ImagePanel, told: list[tuple[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved_as(monkeypatch, tmp_path / "values.tif")
    save_values(panel)
    with tifffile.TiffFile(tmp_path / "values.tif") as file:
        np.testing.assert_array_equal(file.asarray(), IMAGE)
        assert file.imagej_metadata is not None and file.imagej_metadata["unit"] == "um"
        over, under = file.pages[0].tags["XResolution"].value  # type: ignore[union-attr]
        assert under / over == 0.5
    panel.toggle_region()
    assert panel._region is not None
    panel._region.setPos((2, 1))
    panel._region.setSize((3, 4))
    saved_as(monkeypatch, tmp_path / "values.npy")
    save_values(panel)
    np.testing.assert_array_equal(np.load(tmp_path / "values.npy"), IMAGE[1:5, 2:5])
    saved_as(monkeypatch, tmp_path / "values.csv")
    save_values(panel)
    np.testing.assert_array_equal(np.loadtxt(tmp_path / "values.csv", delimiter=","), IMAGE[1:5, 2:5])
    first = (tmp_path / "values.csv").read_text(encoding="utf-8").splitlines()[0]
    assert first == "# Phase, reconstructed (rad); rows run down; edge of a pixel 0.5 um"


def test_what_cannot_be_written_is_said(
    panel: ImagePanel, told: list[tuple[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved_as(monkeypatch, "")
    save_values(panel)
    save_picture(panel)
    assert told == []
    saved_as(monkeypatch, tmp_path / "absent/values.tif")
    save_values(panel)
    saved_as(monkeypatch, tmp_path / "values.xyz")
    save_values(panel)
    assert [level for level, _ in told] == ["error", "error"] and not list(tmp_path.iterdir())
    with pytest.raises(DataError, match="without an ending"):
        values_as(IMAGE, "", None)


def test_values_without_a_pixel_size() -> None:
    with tifffile.TiffFile(io.BytesIO(values_as(IMAGE, "tif", None))) as file:
        np.testing.assert_array_equal(file.asarray(), IMAGE)
        assert "unit" not in (file.imagej_metadata or {})


def test_a_region_has_the_numbers_of_its_pixels(panel: ImagePanel) -> None:
    region = Region.inside(1.2, 1.9, 4.0, 3.0, (6, 8))
    assert region == Region(1, 2, 4, 3)
    part = IMAGE[1:5, 2:5]
    text = region.text(IMAGE, 0.5)
    assert text.startswith("3 × 4 px, 1.5 × 2 µm: mean ")
    assert f"mean {part.mean():.4g} ± {part.std():.2g}, {part.min():.4g} to {part.max():.4g}" in text
    assert Region.inside(-5, -5, 100, 100, (6, 8)) == Region(0, 0, 6, 8)
    assert Region.inside(7, 9, 2, 2, (6, 8)).text(IMAGE, None).endswith("no values")
    broken = IMAGE.copy()
    broken[0, 0] = np.nan
    assert "mean" in Region(0, 0, 2, 2).text(broken, None) and "nan" not in Region(0, 0, 2, 2).text(broken, None)


def test_a_region_stays_with_images_of_its_size(panel: ImagePanel) -> None:
    panel.toggle_region()
    first = panel.region
    assert first is not None and first.rows > 0 and first.columns > 0
    panel.set_image(IMAGE + 1, 0.5)
    assert panel.region == first
    panel.set_image(np.zeros((3, 3), np.float32), 0.5)
    assert panel.region is None and not panel.has_region
    panel.toggle_region()
    panel.toggle_region()
    assert panel.region is None


def test_regions_do_not_enter_the_contrast(panel: ImagePanel, qtbot: Any) -> None:
    """Limits are those of the picture, with or without a region."""
    bar = ContrastBar("phase", "gray")
    qtbot.addWidget(bar)
    bar.set_images([IMAGE])
    limits = bar.low, bar.high
    panel.toggle_region()
    bar.start_over()
    bar.set_images([IMAGE])
    assert (bar.low, bar.high) == limits


def test_gamma_moves_colours_and_no_limits(qtbot: Any, qapp: object) -> None:
    bar = ContrastBar("amplitude", "gray")
    qtbot.addWidget(bar)
    bar.set_images([IMAGE])
    limits, tables = (bar.low, bar.high), []
    bar.lut_changed.connect(tables.append)
    bar.set_gamma(0.5)
    assert bar.gamma_button.text() == "γ 0.5" and (bar.low, bar.high) == limits
    # Gray is its own place: a quarter of the range is shown as half of it was.
    assert tables[-1][64, 0] == round(255 * (64 / 255) ** 0.5)
    assert tables[-1][0, 0] == 0 and tables[-1][255, 0] == 255
    bar.set_gamma(1.0)
    np.testing.assert_array_equal(tables[-1], luts.lut("gray"))


def test_auto_may_be_chosen_for_every_picture(qtbot: Any, qapp: object) -> None:
    bar = ContrastBar("amplitude", "gray")
    qtbot.addWidget(bar)
    bar.set_images([IMAGE])
    bar.set_images([IMAGE * 10])
    assert bar.high < 50  # once
    bar.auto_always(True)
    bar.set_images([IMAGE * 100])
    assert bar.high > 4000
    bar.auto_always(False)
    bar.set_images([IMAGE])
    assert bar.high > 4000


def test_the_menu_of_the_bar_has_what_its_buttons_do(qtbot: Any, qapp: object) -> None:
    bar = ContrastBar("amplitude", "gray")
    qtbot.addWidget(bar)
    menu = bar.more.menu()
    assert menu is not None
    texts = [action.text() for action in menu.actions() if action.text()]
    assert texts[:4] == ["Auto", "Reset", "Auto for every picture", "Gamma"]
    gammas = menu.actions()[3].menu()
    assert gammas is not None
    gammas.actions()[0].trigger()
    assert bar.gamma == 0.3
