"""Tables in Markdown, which is how the Dagster UI shows more than one number."""

from collections.abc import Iterable, Sequence


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Rows under a head, one line each; None is an empty cell.

    Whatever a value holds stays inside its cell: a bar would end the cell, a line break the row.
    """
    return "\n".join(_row(cells) for cells in (head, ["---"] * len(head), *rows))


def _row(cells: Sequence[object]) -> str:
    texts = ["" if cell is None else " ".join(str(cell).splitlines()).replace("|", "\\|") for cell in cells]
    return f"| {' | '.join(texts)} |"
