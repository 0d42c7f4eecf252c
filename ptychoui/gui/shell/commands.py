"""Every command of the window: one table from which menus, the toolbar, tooltips and the shortcut list derive."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One command.

    Attributes
    ----------
    method
        Method of the window that does it.
    short
        Text on the toolbar; empty for an icon alone.
    tip
        Tooltip and status text: one sentence.
    """

    key: str
    text: str
    method: str
    tip: str
    shortcut: str = ""
    icon: str = ""
    short: str = ""
    checkable: bool = False


_ROWS = (
    Command(
        key="open",
        text="&Open…",
        method="choose_file",
        icon="open",
        shortcut="Ctrl+O",
        short="Open",
        tip="Open an LED stack, k-space, a training set, a reconstruction, an experiment or a geometry file",
    ),
    Command(
        key="open_folder",
        text="Open &folder…",
        method="choose_folder",
        shortcut="Ctrl+Shift+O",
        tip="Open a folder of images or a run folder",
    ),
    Command(
        key="reopen",
        text="Reopen the &last",
        method="reopen_last",
        shortcut="Ctrl+Alt+O",
        tip="Open again what was open last: the first of the recent files that is there",
    ),
    Command(
        key="sample_stack",
        text="Open sample &stack",
        method="open_sample_stack",
        icon="sample",
        short="Sample",
        tip="Open the small LED stack that comes with the program",
    ),
    Command(
        key="sample_objects",
        text="Open sample &objects",
        method="open_sample_objects",
        tip="Open the small training set that comes with the program",
    ),
    Command(
        key="sample_k_space",
        text="Open sample &k-space",
        method="open_sample_k_space",
        tip="Open the small file of multi-channel k-space that comes with the program",
    ),
    Command(
        key="mri_example",
        text="Open &MRI example",
        method="open_mri_example",
        icon="sample",
        tip="Open an experiment that learns to reconstruct simulated multi-channel MRI",
    ),
    Command(
        key="demo",
        text="Start &demo",
        method="start_demo",
        icon="demo",
        short="Start demo",
        shortcut="Ctrl+D",
        tip="Play the demonstration, full screen: it learns live and leaves what is open as it is",
    ),
    Command(
        key="save",
        text="&Save experiment",
        method="save",
        icon="save",
        shortcut="Ctrl+S",
        tip="Save all settings as a TOML file, which the command line reads too",
    ),
    Command(
        key="save_as",
        text="Save experiment &as…",
        method="save_as",
        shortcut="Ctrl+Shift+S",
        tip="Save all settings under another name",
    ),
    Command(
        key="export",
        text="&Export patterns…",
        method="export",
        icon="export",
        short="Export",
        shortcut="Ctrl+E",
        tip="Write the patterns as a file for hardware, a table or a picture",
    ),
    Command(
        key="array",
        text="Send to the &array…",
        method="send_to_array",
        icon="shine",
        short="Array",
        shortcut="Ctrl+Shift+E",
        tip="Show patterns on a real LED array, or an emulated one: panel Hardware",
    ),
    Command(
        key="array_dark",
        text="Array &dark",
        method="array_dark",
        icon="dark",
        shortcut="Ctrl+Shift+D",
        tip="Make the LED array dark at once, whatever it does",
    ),
    Command(key="close", text="&Close window", method="close", shortcut="Ctrl+W", tip="Close the window"),
    Command(key="quit", text="&Quit", method="close", shortcut="Ctrl+Q", tip="Leave the program; a run is saved first"),
    Command(key="undo", text="&Undo", method="undo", icon="undo", shortcut="Ctrl+Z", tip="Take back the last edit"),
    Command(key="redo", text="&Redo", method="redo", icon="redo", shortcut="Ctrl+Shift+Z", tip="Do it again"),
    Command(
        key="reset_design",
        text="&Reset patterns to their start",
        method="reset_design",
        tip="Throw away edited or learned levels and go back to the start named in the settings; can be undone",
    ),
    Command(
        key="train",
        text="&Train",
        method="train",
        icon="train",
        short="Train",
        shortcut="Ctrl+R",
        tip="Learn the patterns, starting from the ones shown",
    ),
    Command(
        key="train_later",
        text="Train &later",
        method="train_later",
        shortcut="Ctrl+Alt+R",
        tip="Put the open experiment at the end of the queue, which the panel of runs starts",
    ),
    Command(
        key="reconstruct",
        text="Re&construct stack",
        method="reconstruct",
        icon="reconstruct",
        short="Reconstruct",
        shortcut="Ctrl+Shift+R",
        tip="Turn the open LED stack into amplitude and phase, with the pupil and every LED's brightness",
    ),
    Command(
        key="calibrate",
        text="Cali&brate LED positions",
        method="calibrate",
        short="Calibrate",
        tip="Find the array's shift, rotation and height from the stack; the corrected geometry can be undone",
    ),
    Command(
        key="orientation",
        text="Test &orientation…",
        method="test_orientation",
        short="Orientation…",
        tip="Try the eight ways in which the array may be mirrored or turned before the camera, and rank them",
    ),
    Command(
        key="profile",
        text="Measure microscope &profile…",
        method="measure_profile",
        short="Profile…",
        tip="Measure the microscope once, by dark frames, a blank field and a known sample, for all later stacks",
    ),
    Command(
        key="field",
        text="Reconstruct the &full field…",
        method="full_field",
        short="Full field…",
        tip="Reconstruct all of the images in overlapping tiles, into a file; one that was stopped goes on",
    ),
    Command(
        key="frc",
        text="Compare two &halves of the LEDs",
        method="compare_halves",
        short="Compare halves",
        tip="Reconstruct two halves of the LEDs apart and show up to which resolution they agree",
    ),
    Command(
        key="strategies",
        text="Compare &gradient strategies…",
        method="compare_strategies",
        short="Strategies…",
        shortcut="Ctrl+G",
        tip="Run back-propagation, checkpoints and the reversible strategy side by side: same numbers, other memory",
    ),
    Command(
        key="designs",
        text="Compare &designs…",
        method="compare_designs",
        icon="compare",
        short="Compare designs",
        shortcut="Ctrl+Shift+G",
        tip="Hold learned, painted and hand-made patterns against each other, at equal light, by two judges",
    ),
    Command(
        key="daily",
        text="Dail&y use…",
        method="work_daily",
        short="Daily use…",
        shortcut="Ctrl+Alt+D",
        tip="A design and images of it give phase: a file, or a folder that is watched, set after set",
    ),
    Command(
        key="save_result",
        text="Save recons&truction…",
        method="save_result",
        short="Save result",
        tip="Write object, pupil and the misfit of every LED to a file",
    ),
    Command(
        key="pause",
        text="&Pause or continue",
        method="pause_or_continue",
        icon="pause",
        short="Pause",
        shortcut="Space",
        tip="Wait at the next layer, with a training saved, or go on",
    ),
    Command(
        key="stop",
        text="&Stop",
        method="stop",
        icon="stop",
        short="Stop",
        shortcut="Esc",
        tip="End the run at the next layer; what it has found is kept, a training can be resumed",
    ),
    Command(
        key="resume",
        text="&Resume the run",
        method="resume",
        icon="resume",
        tip="Take up the run of the opened or stopped run folder where it was left",
    ),
    Command(
        key="report",
        text="Re&port…",
        method="write_report",
        shortcut="Ctrl+Shift+P",
        tip="Write a page for the notebook, one file with figures, of the run or the reconstruction, and open it",
    ),
    Command(
        key="fit",
        text="&Fit images",
        method="fit_images",
        icon="fit",
        shortcut="Home",
        tip="Show the whole images (also: double-click)",
    ),
    Command(
        key="actual_size",
        text="&One to one",
        method="actual_size",
        shortcut="Ctrl+1",
        tip="One image pixel on one screen pixel",
    ),
    Command(
        key="auto_contrast",
        text="&Auto contrast",
        method="auto_contrast",
        icon="contrast",
        shortcut="C",
        tip="Set the limits to the 0.1 and 99.9 % of the images shown",
    ),
    Command(
        key="led_numbers",
        text="LED &numbers",
        method="show_led_numbers",
        shortcut="Ctrl+L",
        checkable=True,
        tip="Write the firmware number into every LED; zoom in (wheel) if they are too small for it",
    ),
    Command(key="theme_dark", text="&Dark", method="theme_dark", tip="Light text on dark ground"),
    Command(key="theme_light", text="&Light", method="theme_light", tip="Dark text on light ground"),
    Command(key="theme_system", text="&System", method="theme_system", tip="Follow the desktop"),
    Command(
        key="theme",
        text="Switch theme",
        method="switch_theme",
        icon="theme",
        shortcut="Ctrl+T",
        tip="Change between the dark and the light theme",
    ),
    Command(key="larger", text="&Larger text", method="larger_text", shortcut="Ctrl++", tip="Make all text larger"),
    Command(key="smaller", text="S&maller text", method="smaller_text", shortcut="Ctrl+-", tip="Make all text smaller"),
    Command(
        key="reset_layout",
        text="&Reset layout",
        method="reset_layout",
        tip="Put all panels back to where they were at the first start",
    ),
    Command(
        key="guide",
        text="&Guide",
        method="show_guide",
        shortcut="F1",
        tip="Every step from a file to patterns in a sentence: what it is for, where it is done, and whether it is",
    ),
    Command(
        key="problem",
        text="Report a &problem…",
        method="report_problem",
        tip="Collect versions, settings, messages and logs in one file, without the names of folders",
    ),
    Command(
        key="shortcuts",
        text="&Keyboard shortcuts",
        method="show_shortcuts",
        shortcut="Ctrl+Alt+/",
        tip="List all shortcuts",
    ),
    Command(key="about", text="&About ptychoui", method="show_about", tip="Version and licence"),
)

COMMANDS = {command.key: command for command in _ROWS}

MENUS: dict[str, tuple[str, ...]] = {
    "&File": (
        "open",
        "open_folder",
        "reopen",
        "@recent",
        "",
        "sample_stack",
        "sample_objects",
        "sample_k_space",
        "mri_example",
        "demo",
        "",
        "save",
        "save_as",
        "export",
        "array",
        "array_dark",
        "save_result",
        "report",
        "",
        "close",
        "quit",
    ),
    "&Edit": ("undo", "redo", "", "reset_design"),
    "&Run": (
        "train",
        "train_later",
        "reconstruct",
        "field",
        "daily",
        "pause",
        "stop",
        "",
        "resume",
        "",
        "calibrate",
        "orientation",
        "profile",
        "",
        "frc",
        "",
        "designs",
        "strategies",
    ),
    "&View": (
        "fit",
        "actual_size",
        "auto_contrast",
        "led_numbers",
        "",
        "@docks",
        "reset_layout",
        "",
        "theme_dark",
        "theme_light",
        "theme_system",
        "",
        "larger",
        "smaller",
    ),
    "&Help": ("guide", "shortcuts", "", "problem", "about"),
}
"""Menus: keys of commands, "" for a line, "@recent" and "@docks" for lists that the window fills."""

TOOLBAR = (
    "open",
    "sample_stack",
    "demo",
    "",
    "train",
    "reconstruct",
    "pause",
    "stop",
    "",
    "export",
    "array",
    "save",
    "",
    "undo",
    "redo",
    "",
    "fit",
    "auto_contrast",
    "theme",
)

OPENING = (
    "profile", "open", "open_folder", "reopen", "sample_stack", "sample_objects", "sample_k_space", "mri_example",
    "demo",
)  # fmt: skip
"""What cannot be done while a run is active, since something else would be open afterwards."""
