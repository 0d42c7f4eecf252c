"""One colour table: the palette, the plots and the pictures of LEDs all take their colours from here."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from PyQt6.QtCore import Qt
from PyQt6.QtGui import QColor, QFont, QGuiApplication, QPalette
from PyQt6.QtWidgets import QApplication, QWidget


@dataclass(frozen=True, slots=True, kw_only=True)
class Colours:
    """Colours of a theme as ``#rrggbb``.

    Attributes
    ----------
    levels
        Colours of an LED from level 0 to level 1; full level is the lightest of them on either ground.
    lit_ring
        Colour of the ring around an LED at full level; that of fainter ones lies between ``line`` and it.
    """

    window: str
    base: str
    raised: str
    line: str
    text: str
    muted: str
    accent: str
    on_accent: str
    second: str
    good: str
    warning: str
    error: str
    plot: str
    levels: tuple[str, ...]
    lit_ring: str


DARK = Colours(
    window="#1f2328",
    base="#16191d",
    raised="#2b3037",
    line="#3a4149",
    text="#dde2e8",
    muted="#98a2ad",
    accent="#58a6e8",
    on_accent="#0d1318",
    second="#f0a35e",
    good="#68c08a",
    warning="#e3b75f",
    error="#ef7d82",
    plot="#16191d",
    levels=("#2a2f36", "#6e3b1f", "#c8661d", "#f6ad3b", "#fff3c4"),
    lit_ring="#fff3c4",
)
LIGHT = Colours(
    window="#f2f4f6",
    base="#ffffff",
    raised="#e4e8ec",
    line="#c3cad1",
    text="#1c2228",
    muted="#5a6570",
    accent="#1868b0",
    on_accent="#ffffff",
    second="#a04d00",
    good="#19703d",
    warning="#8a5f00",
    error="#b3261e",
    plot="#ffffff",
    levels=("#d3d9df", "#e4d9a8", "#f0d86c", "#f9d93a", "#ffdc14"),
    lit_ring="#5c3d00",
)

READABLE = 4.5
"""Contrast of text with its ground, at least."""

_current = DARK
_text_scale = 1.0


def text_scale() -> float:
    """Size of the text relative to the desktop's; the style draws its icons and boxes as much larger."""
    return _text_scale


def colours() -> Colours:
    """Colours of the theme in use."""
    return _current


def resolve(theme: str) -> Colours:
    """Colours of ``dark``, ``light`` or ``system`` (what the desktop asks for, else dark)."""
    if theme == "system":
        hints = QGuiApplication.styleHints()
        scheme = hints.colorScheme() if hints is not None else Qt.ColorScheme.Unknown
        return LIGHT if scheme == Qt.ColorScheme.Light else DARK
    return LIGHT if theme == "light" else DARK


def apply(app: QApplication, theme: str, font_scale: float = 1.0) -> Colours:
    """Give the application and pyqtgraph the colours of a theme; views are told by their window."""
    global _current
    _current = resolve(theme)
    app.setPalette(palette(_current))
    pg.setConfigOptions(background=_current.plot, foreground=_current.muted, antialias=True)
    scale_font(app, font_scale)
    return _current


def scale_font(app: QApplication, scale: float) -> None:
    """Set the text size relative to the desktop's; everything is laid out by font metrics."""
    global _text_scale
    _text_scale = scale
    base = app.property("ptychoui_base_point_size")
    if base is None:
        base = app.font().pointSizeF()
        app.setProperty("ptychoui_base_point_size", base)
    font = QFont(app.font())
    font.setPointSizeF(max(6.0, float(base) * scale))
    app.setFont(font)
    for name in ("QDockWidgetTitle", "QTipLabel"):
        app.setFont(font, name)


def palette(c: Colours) -> QPalette:
    """Explicit palette of a theme: Fusion draws with it alone."""
    role, group = QPalette.ColorRole, QPalette.ColorGroup
    table = {
        role.Window: c.window,
        role.WindowText: c.text,
        role.Base: c.base,
        role.AlternateBase: c.raised,
        role.Text: c.text,
        role.Button: c.raised,
        role.ButtonText: c.text,
        role.BrightText: c.error,
        role.Highlight: c.accent,
        role.HighlightedText: c.on_accent,
        role.Link: c.accent,
        role.LinkVisited: c.accent,
        role.PlaceholderText: c.muted,
        role.ToolTipBase: c.raised,
        role.ToolTipText: c.text,
        role.Light: c.raised,
        role.Midlight: c.raised,
        role.Mid: c.line,
        role.Dark: c.line,
        role.Shadow: c.base,
    }
    result = QPalette()
    for which, colour in table.items():
        result.setColor(which, QColor(colour))
    faded = QColor(faded_text(c))
    for which in (role.WindowText, role.Text, role.ButtonText, role.HighlightedText):
        result.setColor(group.Disabled, which, faded)
    result.setColor(group.Disabled, role.Base, QColor(c.window))
    result.setColor(group.Disabled, role.Highlight, QColor(c.line))
    return result


def contrast(first: str, second: str) -> float:
    """Contrast of two colours as WCAG 2 defines it: 1 to 21, and 4.5 for text that is to be read."""
    light = []
    for name in (first, second):
        parts = np.array(QColor(name).getRgbF()[:3])
        linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
        light.append(float(linear @ (0.2126, 0.7152, 0.0722)) + 0.05)
    return max(light) / min(light)


@cache
def faded_text(c: Colours) -> str:
    """What cannot be used now: as faint as can still be read on any ground of the theme."""
    shares = (share / 100 for share in range(60, 0, -1))
    found = (blend(c.text, c.window, share) for share in shares)
    return next(name for name in found if min(contrast(name, ground) for ground in (c.window, c.raised)) >= READABLE)


def blend(first: str, second: str, share: float) -> str:
    """Mix two colours; ``share`` of the second."""
    a, b = (np.array(QColor(name).getRgb()[:3], dtype=float) for name in (first, second))
    return "#" + "".join(f"{round(v):02x}" for v in a + (b - a) * share)


@cache
def ramp(stops: tuple[str, ...], count: int = 256) -> NDArray[np.uint8]:
    """(count, 3) colours that run through the given stops."""
    rgb = np.array([QColor(stop).getRgb()[:3] for stop in stops], dtype=float)
    at = np.linspace(0, len(stops) - 1, count)
    return np.stack([np.interp(at, np.arange(len(stops)), rgb[:, i]) for i in range(3)], axis=1).astype(np.uint8)


def level_colours() -> tuple[QColor, ...]:
    """256 colours of an LED from dark to full level."""
    return _colours_along(colours().levels)


def ring_colours() -> tuple[QColor, ...]:
    """256 colours of the edge of an LED from dark to full level."""
    return _colours_along((colours().line, colours().lit_ring))


@cache
def _colours_along(stops: tuple[str, ...]) -> tuple[QColor, ...]:
    return tuple(QColor(int(r), int(g), int(b)) for r, g, b in ramp(stops))


def paint_choice(button: QWidget, chosen: bool) -> None:
    """Let one of several buttons be seen to be the chosen one."""
    c = colours()
    palette = QPalette(QApplication.palette())
    if chosen:
        for group in (QPalette.ColorGroup.Active, QPalette.ColorGroup.Inactive):
            palette.setColor(group, QPalette.ColorRole.Button, QColor(blend(c.accent, c.window, 0.5)))
    button.setPalette(palette)


def paint_plain(button: QWidget) -> None:
    """Give a button the colour of all others."""
    button.setPalette(QPalette(QApplication.palette()))


def paint_primary(button: QWidget) -> None:
    """Give the button that is pressed most the colour of the theme."""
    c = colours()
    palette = QPalette(QApplication.palette())
    for group in (QPalette.ColorGroup.Active, QPalette.ColorGroup.Inactive):
        palette.setColor(group, QPalette.ColorRole.Button, QColor(blend(c.accent, c.window, 0.5)))
        palette.setColor(group, QPalette.ColorRole.ButtonText, QColor(c.text))
    button.setPalette(palette)


def paint_band(band: QWidget, tone: str) -> None:
    """Let a line of text stand out by its ground."""
    palette = QPalette(QApplication.palette())
    palette.setColor(QPalette.ColorRole.Window, QColor(blend(tone, colours().window, 0.75)))
    band.setPalette(palette)


def dress_axes(plot: pg.PlotWidget) -> None:
    """Give a plot's ground and axes the colours and the text size of the theme."""
    c = _current
    font = QApplication.font()
    plot.setBackground(c.plot)
    for name in ("left", "bottom"):
        axis = plot.getAxis(name)
        axis.setPen(c.line)
        axis.setTextPen(c.muted)
        axis.setTickFont(font)
        axis.label.setFont(font)
        axis.showLabel(axis.label.isVisible())  # makes room for it


def number_axes(plot: pg.PlotWidget, shown: bool) -> None:
    """Write numbers on the axes of a plot, or none: on those of nothing they would be taken for something."""
    for axis in ("left", "bottom"):
        plot.getAxis(axis).setStyle(showValues=shown)
