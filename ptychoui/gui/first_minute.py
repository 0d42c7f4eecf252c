"""The demonstration in a window that writes down what it shows, for `bench.first_minute`.

python -m ptychoui.gui.first_minute STEPS
"""

from __future__ import annotations

import sys


def main(steps: int) -> int:
    """Show the window, start the demonstration, and write every change of what can be seen to stderr."""
    print("starting", file=sys.stderr, flush=True)
    from PyQt6.QtCore import QTimer

    from ptychoui.engine.waiting import choose_waiting
    from ptychoui.gui.look import theme
    from ptychoui.gui.shell import app as application
    from ptychoui.gui.shell.main_window import MainWindow
    from ptychoui.session.preferences import Preferences

    choose_waiting(asleep=True)
    sys.setswitchinterval(application.SWITCH_INTERVAL_S)
    app = application.make_application()
    theme.apply(app, "dark")
    window = MainWindow(Preferences())
    window.apply_theme()
    window.resize(1280, 720)
    window.show()
    last = [""]

    def look() -> None:
        panels, history = window.panels, window.document.history
        snapshot = history.snapshot
        seen = " | ".join(
            (
                panels.state.text(),
                panels.busy_text.text(),
                panels.run.time_left.text(),
                panels.progress.score.text(),
                "" if snapshot is None else f"picture {snapshot.step}",
            )
        )
        if seen != last[0]:
            last[0] = seen
            print(seen, file=sys.stderr, flush=True)
        if history.step >= steps:
            window.controller.stop()

    timer = QTimer()
    timer.timeout.connect(look)
    timer.start(50)
    QTimer.singleShot(0, window.controller.start_demo)
    return int(app.exec())


if __name__ == "__main__":
    raise SystemExit(main(int(sys.argv[1])))
