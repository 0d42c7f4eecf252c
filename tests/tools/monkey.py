"""Random valid actions on the real window: what throws, what freezes, what grows.

    xvfb-run -s "-screen 0 1920x1080x24" python tests/tools/monkey.py [--seeds 10] [--seconds 180]

Every seed is a process with folders of its own. In it a mouse clicks whatever is enabled, fields are typed into, LEDs
and pictures are clicked, dragged and zoomed, panels are closed and floated, files (good, bad and absent ones) are opened,
runs are started, paused and stopped. A timer of 5 ms notes how late the window's events are. Printed are, per seed, the
actions done, exceptions that nobody caught, the longest gap, and how much the process has grown after its first third.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
import traceback
from collections import deque
from pathlib import Path
from typing import Any

NEVER = ("quit", "close", "demo", "larger", "smaller")
TYPED = (
    "",
    "0",
    "1",
    "2",
    "3",
    "0.5",
    "0,25",
    "-4",
    "1e9",
    "nan",
    "abc",
    "12",
    "1 2 3",
    "0.1-0.3",
    "µm",
    "100000000000",
)
LONGEST_GAP_S = 1.0


def main() -> int:
    """Run every seed in a process of its own and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=180.0)
    parser.add_argument("--only", type=int)
    arguments = parser.parse_args()
    if arguments.only is not None:
        print(json.dumps(Monkey(arguments.only, arguments.seconds).run()))
        return 0
    bad = 0
    for seed in range(arguments.first, arguments.first + arguments.seeds):
        with tempfile.TemporaryDirectory() as scratch:
            environment = os.environ | {"PTYCHOUI_CONFIG": f"{scratch}/config", "PTYCHOUI_STATE": f"{scratch}/state"}
            command = [sys.executable, __file__, "--only", str(seed), "--seconds", str(arguments.seconds)]
            done = subprocess.run(
                command, cwd=scratch, env=environment, capture_output=True, text=True, timeout=arguments.seconds + 120
            )
        if done.returncode or not done.stdout.strip():
            print(f"seed {seed}: the process ended with {done.returncode}\n{done.stderr[-4000:]}", flush=True)
            bad += 1
            continue
        found = json.loads(done.stdout.strip().splitlines()[-1])
        print(
            f"seed {seed}: {found['actions']} actions, {len(found['exceptions'])} exceptions, longest gap "
            f"{found['gap_s']:.2f} s, p99 {found['p99_ms']:.0f} ms, grown by {found['grown_mb']:.1f} MB, "
            f"load {os.getloadavg()[0]:.1f}",
            flush=True,
        )
        for text in found["exceptions"] + found["slow"]:
            print(text, flush=True)
        bad += bool(found["exceptions"]) or found["gap_s"] > LONGEST_GAP_S
    return 1 if bad else 0


class Monkey:
    """Drives one window."""

    def __init__(self, seed: int, seconds: float) -> None:
        self.random, self.seconds = random.Random(seed), seconds
        self.last: deque[str] = deque(maxlen=12)
        self.exceptions: list[str] = []
        self.gaps: list[float] = []
        self.slow: list[str] = []
        self.actions = 0

    def run(self) -> dict[str, Any]:
        """Open the window, act for a while, close it."""
        from PyQt6.QtCore import QTimer
        from PyQt6.QtWidgets import QApplication

        from ptychoui.gui.look import theme
        from ptychoui.gui.shell import app as application
        from ptychoui.gui.shell.main_window import MainWindow
        from ptychoui.session.preferences import Preferences

        application.install_hooks([])
        told = sys.excepthook

        def report(kind: type[BaseException], error: BaseException, trace: Any) -> None:
            text = "".join(traceback.format_exception(kind, error, trace))
            self.exceptions.append(f"after {list(self.last)}:\n{text}")
            told(kind, error, trace)

        sys.excepthook = report
        sys.setswitchinterval(application.SWITCH_INTERVAL_S)
        app: QApplication = application.make_application()
        theme.apply(app, "dark")
        self.files = self._make_files()
        self._answer_for_people()
        self.window = MainWindow(Preferences())
        self.window.apply_theme()
        self.window.resize(1280, 800)
        self.window.show()
        began = time.perf_counter()
        third: list[int] = []
        beat = began

        def tick() -> None:
            nonlocal beat
            now = time.perf_counter()
            late = now - beat - 0.005
            self.gaps.append(max(0.0, late))
            if late > 0.4:
                self.slow.append(f"  {late:.2f} s after {list(self.last)[-3:]}")
            beat = now

        def act() -> None:
            if time.perf_counter() - began > self.seconds:
                acting.stop()
                for widget in QApplication.topLevelWidgets():
                    if widget is not self.window and widget.isVisible():
                        widget.close()
                self.window.controller.stop()
                QTimer.singleShot(0, lambda: app.exit(0))
                return
            if not third and time.perf_counter() - began > self.seconds / 3:
                third.append(_resident())
            acting.setInterval(self.random.choice((5, 20, 60, 150)))
            self.act()

        beating, acting = QTimer(), QTimer()
        beating.timeout.connect(tick)
        beating.start(5)
        acting.timeout.connect(act)
        acting.start(200)
        app.exec()
        beating.stop()
        grown = _resident() - (third[0] if third else 0)
        self.window.controller.shut_down(60)
        ordered = sorted(self.gaps)
        return {
            "actions": self.actions,
            "exceptions": self.exceptions,
            "gap_s": ordered[-1],
            "p99_ms": ordered[int(0.99 * (len(ordered) - 1))] * 1e3,
            "grown_mb": grown / 1e6,
            "slow": self.slow,
        }

    def _make_files(self) -> list[str]:
        from ptychoui.paths import resources, sample_data

        here = Path.cwd()
        (here / "junk.tif").write_bytes(b"II*\x00junk")
        (here / "junk.toml").write_text("a = [")
        (here / "empty").mkdir()
        good = [sample_data() / "stack.ome.tif", sample_data() / "objects.h5", sample_data() / "heads.kspace.h5"]
        good += list((resources() / "experiments").glob("first_light.toml"))
        good += list((resources() / "geometries").glob("*.toml"))[:2]
        bad = [here / "junk.tif", here / "junk.toml", here / "absent.h5", here / "empty"]
        return [str(path) for path in good + bad]

    def _answer_for_people(self) -> None:
        """File dialogs are the desktop's own: here they answer at once."""
        from ptychoui.gui.widgets.files import Files

        def opened(*_: Any) -> str:
            return self.random.choice([*self.files, ""])

        def saved(*_: Any) -> str:
            return self.random.choice(["", "saved.toml", "saved.h5", "saved.json", "/absent/saved.toml"])

        for name in ("to_open", "folder_to_open"):
            setattr(Files, name, classmethod(opened))
        for name in ("to_save", "folder_to_save"):
            setattr(Files, name, classmethod(saved))

    def act(self) -> None:
        """One random action in the window that a person could use now."""
        from PyQt6.QtWidgets import QApplication, QMenu

        self.actions += 1
        popup = QApplication.activePopupWidget()
        if popup is not None:
            self.last.append("popup")
            actions = [a for a in popup.actions() if a.isEnabled()] if isinstance(popup, QMenu) else []
            popup.close()
            if actions and self.random.random() < 0.6:
                chosen = self.random.choice(actions)
                if chosen.objectName() not in NEVER and chosen.menu() is None:
                    chosen.trigger()
            return
        top = QApplication.activeModalWidget() or self.random.choice(
            [self.window] * 4 + [w for w in QApplication.topLevelWidgets() if w.isVisible() and w.isWindow()]
        )
        kinds = [self._click, self._click, self._type, self._choose, self._point, self._key, self._tab, self._slide]
        if top is self.window:
            kinds += [self._command, self._command, self._dock, self._resize]
        self.random.choice(kinds)(top)

    def _visible(self, top: Any, kind: Any) -> list[Any]:
        return [w for w in top.findChildren(kind) if w.isVisible() and w.isEnabled() and w.width() > 3]

    def _one(self, top: Any, kind: Any) -> Any:
        found = self._visible(top, kind)
        return self.random.choice(found) if found else None

    def _command(self, _top: Any) -> None:
        actions = [(k, a) for k, a in self.window.actions_by_key.items() if a.isEnabled() and k not in NEVER]
        key, action = self.random.choice(actions)
        self.last.append(f"command {key}")
        action.trigger()

    def _click(self, top: Any) -> None:
        from PyQt6.QtCore import Qt
        from PyQt6.QtTest import QTest
        from PyQt6.QtWidgets import QAbstractButton

        button = self._one(top, QAbstractButton)
        if button is not None:
            name = button.accessibleName() or button.text() or button.objectName()
            if any(word in name.lower() for word in ("demo", "quit")):
                return
            self.last.append(f"click {name!r}")
            QTest.mouseClick(button, Qt.MouseButton.LeftButton)

    def _type(self, top: Any) -> None:
        from PyQt6.QtCore import Qt
        from PyQt6.QtTest import QTest
        from PyQt6.QtWidgets import QLineEdit

        line = self._one(top, QLineEdit)
        if line is not None:
            text = self.random.choice(TYPED)
            self.last.append(f"type {text!r} into {line.accessibleName() or line.parentWidget().accessibleName()!r}")
            line.setFocus()
            line.selectAll()
            QTest.keyClicks(line, text)
            QTest.keyClick(line, self.random.choice((Qt.Key.Key_Return, Qt.Key.Key_Tab, Qt.Key.Key_Escape)))

    def _choose(self, top: Any) -> None:
        from PyQt6.QtWidgets import QComboBox

        box = self._one(top, QComboBox)
        if box is not None and box.count():
            self.last.append(f"choose in {box.accessibleName()!r}")
            box.setCurrentIndex(self.random.randrange(box.count()))
            box.activated.emit(box.currentIndex())

    def _point(self, top: Any) -> None:
        """Click, drag, zoom or hover over a plot or a picture."""
        import pyqtgraph as pg
        from PyQt6.QtCore import QPoint, QPointF, Qt
        from PyQt6.QtGui import QWheelEvent
        from PyQt6.QtTest import QTest
        from PyQt6.QtWidgets import QApplication

        view = self._one(top, pg.GraphicsView)
        if view is None:
            return
        port = view.viewport()

        def anywhere() -> Any:
            return QPoint(self.random.randrange(max(1, port.width())), self.random.randrange(max(1, port.height())))

        place, button = anywhere(), self.random.choice((Qt.MouseButton.LeftButton, Qt.MouseButton.RightButton))
        how = self.random.choice(("click", "drag", "wheel", "hover", "double"))
        self.last.append(f"{how} on {type(view.parentWidget()).__name__}")
        if how == "click":
            QTest.mouseClick(port, button, pos=place)
        elif how == "double":
            QTest.mouseDClick(port, Qt.MouseButton.LeftButton, pos=place)
        elif how == "hover":
            QTest.mouseMove(port, place)
        elif how == "drag":
            QTest.mousePress(port, Qt.MouseButton.LeftButton, pos=place)
            QTest.mouseMove(port, anywhere())
            QTest.mouseRelease(port, Qt.MouseButton.LeftButton, pos=anywhere())
        else:
            spot = QPointF(place)
            angle = QPoint(0, self.random.choice((-360, -120, 120, 360)))
            event = QWheelEvent(
                spot,
                QPointF(port.mapToGlobal(place)),
                QPoint(),
                angle,
                Qt.MouseButton.NoButton,
                Qt.KeyboardModifier.NoModifier,
                Qt.ScrollPhase.NoScrollPhase,
                False,
            )
            QApplication.sendEvent(port, event)

    def _key(self, top: Any) -> None:
        from PyQt6.QtCore import Qt
        from PyQt6.QtTest import QTest
        from PyQt6.QtWidgets import QApplication

        keys = [Qt.Key.Key_Tab, Qt.Key.Key_Space, Qt.Key.Key_Home, Qt.Key.Key_C, Qt.Key.Key_Down, Qt.Key.Key_Return]
        key = self.random.choice(keys if top is self.window else [*keys, Qt.Key.Key_Escape])
        self.last.append(f"key {key.name}")
        QTest.keyClick(QApplication.focusWidget() or top, key)

    def _tab(self, top: Any) -> None:
        from PyQt6.QtWidgets import QTabBar

        bar = self._one(top, QTabBar)
        if bar is not None and bar.count():
            place = self.random.randrange(bar.count())
            if bar.isTabEnabled(place) and bar.isTabVisible(place):
                self.last.append(f"tab {bar.tabText(place)!r}")
                bar.setCurrentIndex(place)

    def _slide(self, top: Any) -> None:
        from PyQt6.QtWidgets import QAbstractSlider

        slider = self._one(top, QAbstractSlider)
        if slider is not None:
            self.last.append(f"slide {slider.accessibleName() or type(slider).__name__}")
            slider.setValue(self.random.randint(slider.minimum(), slider.maximum()))

    def _dock(self, _top: Any) -> None:
        name, dock = self.random.choice(list(self.window.panels.docks.items()))
        how = self.random.choice(("show", "show", "hide", "float", "dock", "raise"))
        self.last.append(f"{how} panel {name}")
        if how in ("float", "dock"):
            dock.setFloating(how == "float")
        elif how == "raise":
            dock.raise_()
        else:
            dock.setVisible(how == "show")

    def _resize(self, _top: Any) -> None:
        size = self.random.choice(((1280, 720), (1920, 1080), (900, 560), (1440, 900)))
        self.last.append(f"resize {size}")
        self.window.resize(*size)


def _resident() -> int:
    """Resident memory of this process in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    raise SystemExit(main())
