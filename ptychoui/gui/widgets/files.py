"""Asking for files and folders, behind class methods that a test can patch."""

from __future__ import annotations

from PyQt6.QtWidgets import QFileDialog, QWidget


class Files:
    """Names of files and folders."""

    @classmethod
    def to_open(cls, parent: QWidget) -> str:
        """A file to open, or nothing."""
        return QFileDialog.getOpenFileName(
            parent,
            "Open",
            "",
            "All known (*.toml *.h5 *.hdf5 *.tif *.tiff *.mat *.npy *.json *.csv);;All files (*)",
        )[0]

    @classmethod
    def folder_to_open(cls, parent: QWidget) -> str:
        """A folder to open, or nothing."""
        return QFileDialog.getExistingDirectory(parent, "Open a folder of images or a run")

    @classmethod
    def to_save(cls, parent: QWidget, title: str, start: str, kinds: str) -> str:
        """A file to write, or nothing."""
        return QFileDialog.getSaveFileName(parent, title, start, kinds)[0]

    @classmethod
    def folder_to_save(cls, parent: QWidget, title: str, start: str) -> str:
        """A folder to write to, or nothing."""
        return QFileDialog.getExistingDirectory(parent, title, start)
