"""The program as a whole: version, help and words that are none."""

from __future__ import annotations

import argparse

import pytest

from ptychoui import cli


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["--version"], ["--help"], ["train", "--help"], ["bench", "--help"]):
        with pytest.raises(SystemExit) as end:
            cli.main(words)
        assert end.value.code == 0
        assert "ptychoui" in capsys.readouterr().out


def test_a_word_where_a_number_is_due(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["train", "e.toml", "--steps", "many"]) == 2
    told = capsys.readouterr().err
    assert len(told.splitlines()) == 1 and "--steps" in told and "ptychoui train --help" in told


def test_every_command_is_known_as_one() -> None:
    """Any other first word is a file that the window opens."""
    (commands,) = (action for action in cli._parser()._actions if isinstance(action, argparse._SubParsersAction))
    assert tuple(commands.choices) == cli.COMMANDS
