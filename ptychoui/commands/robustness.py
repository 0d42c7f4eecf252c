"""The command ``ptychoui robustness``: how well a design holds when the microscope is not as stated."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ptychoui.commands.options import add_json, add_threads, check_output, print_json, say, use_threads, whole

if TYPE_CHECKING:
    from ptychoui.tasks.fpm.robustness import RobustnessCard


def add_commands(commands: Any) -> None:
    """Add the command, with its words, to the parser of ``ptychoui``."""
    parser = commands.add_parser("robustness", help="try a design on a microscope that is not as stated")
    parser.add_argument("design", metavar="RUN|DESIGN.json", help="a run folder, or patterns that export wrote as json")
    parser.add_argument(
        "--against",
        default="half_circles",
        metavar="NAME",
        help="half_circles, hybrid, random_partition, singles or dense_random (default: half_circles)",
    )
    parser.add_argument("--draws", type=whole(1), default=5, help="how often what is random is drawn (default: 5)")
    parser.add_argument("-o", "--output", metavar="FILE", help="write the card: as JSON, or as a table (FILE.txt)")
    add_threads(parser)
    add_json(parser)
    parser.set_defaults(run=_robustness)


def _robustness(arguments: argparse.Namespace) -> int:
    from ptychoui.data.files import json_text, write_atomic

    use_threads(arguments)
    if arguments.output:
        check_output(arguments.output, others=[arguments.design])
    card = (_of_patterns if Path(arguments.design).is_file() else _of_run)(arguments)
    if arguments.output:
        plain = Path(arguments.output).suffix.lower() == ".txt"
        write_atomic(Path(arguments.output), _table(card) if plain else json_text(card.record()) + "\n")
    if arguments.json:
        print_json(card.record())
    else:
        print(_table(card), end="")
    return 0


def _of_patterns(arguments: argparse.Namespace) -> RobustnessCard:
    from ptychoui.export.json_file import load_patterns
    from ptychoui.tasks.fpm.robustness import robustness
    from ptychoui.tasks.fpm.robustness_runs import design_of_patterns

    design, parameters = design_of_patterns(load_patterns(arguments.design), say)
    return robustness(design, parameters, arguments.against, arguments.draws, tell=_tried)


def _of_run(arguments: argparse.Namespace) -> RobustnessCard:
    from ptychoui.export.report import write_report
    from ptychoui.tasks.fpm.robustness import robustness
    from ptychoui.tasks.fpm.robustness_runs import design_of_run, keep_card
    from ptychoui.training.evaluation import load_run
    from ptychoui.training.run_folder import RunFolder

    folder = RunFolder.open(arguments.design)  # nobody else works on it until the card is kept
    try:
        trainer = load_run(arguments.design)
        design, parameters = design_of_run(trainer)
        card = robustness(design, parameters, arguments.against, arguments.draws, trainer.step, _tried)
        keep_card(folder.path, card)
        trainer.folder = folder
        say(f"report: {write_report(trainer)}")
    finally:
        folder.close()
    return card


def _tried(title: str) -> None:
    say(f"trying: {title}")


def _table(card: RobustnessCard) -> str:
    """The card in columns of equal width, then what it rests on, and what hurts most."""
    lines = card.cells()
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    shown = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    return "\n".join([*shown, "", card.basis, card.sentence, *card.notes, ""])
