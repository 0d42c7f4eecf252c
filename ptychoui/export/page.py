"""A page for the notebook: one self-contained HTML file of facts, sentences, tables and figures."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;"
    "color:#222;background:#fff}"
    "th{text-align:left;padding-right:1.5rem;font-weight:600;vertical-align:top}"
    "img{max-width:100%}td{overflow-wrap:anywhere;padding-right:1.5rem}"
)


def page(title: str, rows: Iterable[tuple[str, str]], *parts: str) -> str:
    """A page with a title, a table of facts, and parts that `section`, `table` and `picture` made."""
    cells = "".join(f"<tr><th>{html.escape(name)}</th><td>{html.escape(value)}</td></tr>" for name, value in rows)
    return (
        f"<!doctype html><html lang='en'><meta charset='utf-8'><title>{html.escape(title)}</title>"
        f"<style>{STYLE}</style><h1>{html.escape(title)}</h1><table>{cells}</table>{''.join(parts)}</html>\n"
    )


def section(title: str, sentences: Iterable[str] = ()) -> str:
    """A heading and sentences below it."""
    said = "".join(f"<p>{html.escape(sentence.rstrip('.'))}.</p>" for sentence in sentences if sentence)
    return f"<h2>{html.escape(title)}</h2>{said}"


def table(header: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """Lines of cells under a header."""
    head = "".join(f"<th>{html.escape(cell)}</th>" for cell in header)
    body = "".join(f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in line)}</tr>" for line in lines)
    return f"<table><tr>{head}</tr>{body}</table>"


def pictures(figures: Mapping[str, bytes]) -> str:
    """PNG files under their titles, inside the page."""
    return "".join(
        f"<h2>{html.escape(name)}</h2>"
        f"<img alt='{html.escape(name, True)}' src='data:image/png;base64,{base64.b64encode(data).decode()}'>"
        for name, data in figures.items()
    )


def png_of(figure: Figure, dpi: int = 110) -> bytes:
    """A figure as a PNG file, with so many pixels an inch."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi)
    return buffer.getvalue()
