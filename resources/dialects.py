"""How a text table is written: its encoding, its delimiter, its quotes, and what stands for a missing value.

Belongs here: the dialect, and finding it out from the first bytes. Does not belong here: reading rows (`csv_rows.py`).
"""

import codecs
import csv
import io
import re
from collections import Counter
from dataclasses import dataclass
from typing import Final, Literal

Encoding = Literal["utf-8", "utf-8-sig", "latin-1", "cp1252", "utf-16", "utf-16-le", "utf-16-be"]
ENCODINGS: Final = ("utf-8", "utf-8-sig", "latin-1", "cp1252", "utf-16", "utf-16-le", "utf-16-be")
DELIMITERS: Final = (",", ";", "\t", "|")
QUOTES: Final = ('"', "'")
NULLS: Final = ("", "NA", "N/A", "NULL", "null", "None", "-", "?", "nan", "NaN")
"""Texts that are taken for a missing value where a whole field holds nothing else."""
SAMPLE_BYTES: Final = 1 << 20
"""What `sniff` should see of a file: 1 MiB holds thousands of rows and is read in milliseconds."""
MOST_SAMPLED_ROWS: Final = 5_000

_COMMA_NUMBER: Final = re.compile(r"[+-]?\d{1,3}(\.\d{3})*,\d+|[+-]?\d+,\d+")
_POINT_NUMBER: Final = re.compile(r"[+-]?\d+\.\d+")
_THOUSANDS: Final = re.compile(r"[+-]?\d{1,3}(,\d{3})+")


def _is_one_sign(text: str) -> bool:
    return len(text) == 1 and text.isascii() and text not in "\r\n"


@dataclass(frozen=True, kw_only=True)
class Dialect:
    """How a CSV file with a header is written. Its values are text; a dialect guesses no types.

    Attributes:
        encoding: How characters became bytes; a byte order mark is never part of the first name.
        delimiter: One ASCII character between fields.
        quote: One ASCII character around fields that hold a delimiter or a line end, doubled inside; None: there are
            no quotes, and `"` is a character like any other.
        decimal_comma: Numbers are written `1.234,5`; a field that is such a number as a whole is read as `1234.5`.
        null_values: Texts that stand for a missing value. An empty field is always missing.
    """

    encoding: Encoding = "utf-8"
    delimiter: str = ","
    quote: str | None = '"'
    decimal_comma: bool = False
    null_values: tuple[str, ...] = ("NA", "")

    def __post_init__(self) -> None:
        if self.encoding not in ENCODINGS:
            raise ValueError(f"field encoding: {self.encoding!r} is none of {', '.join(ENCODINGS)}")
        if not _is_one_sign(self.delimiter):
            raise ValueError(f"field delimiter: {self.delimiter!r} is not one ASCII character; write ',' ';' or a tab")
        if self.quote is not None and (not _is_one_sign(self.quote) or self.quote == self.delimiter):
            raise ValueError(f"field quote: {self.quote!r} is not one ASCII character other than the delimiter")
        if bad := [v for v in self.null_values if self.delimiter in v or "\n" in v]:
            raise ValueError(f"field null_values: {bad} hold the delimiter or a line end, so no plain field can be one")


USUAL: Final = Dialect()
"""UTF-8, commas, `"`, and `NA` for a missing value."""


def sniff(data: bytes, name: str = "") -> Dialect:
    """The dialect that fits the first bytes of a file best; the same bytes give the same answer.

    Args:
        data: The first bytes, unpacked; `SAMPLE_BYTES` are plenty.
        name: File name; the ending `.tsv` decides between a tab and another delimiter that fits as well.

    What the sample does not show cannot be known: a file that turns out otherwise further down is refused with the
    byte or the row when it is read.
    """
    encoding = _encoding(data)
    text = data.decode("utf-8" if encoding == "utf-8-sig" else encoding, errors="replace").removeprefix("\ufeff")
    quote = _quote(text)
    delimiter, rows = max(
        ((d, _rows(text, d, quote)) for d in _by_likelihood(name)), key=lambda found: _regularity(found[1])
    )
    fields = Counter(field for row in rows[1:] for field in row)
    return Dialect(
        encoding=encoding,
        delimiter=delimiter,
        quote=quote,
        decimal_comma=_has_decimal_comma(fields, delimiter),
        null_values=tuple(text for text in NULLS if not text or text in fields),
    )


def _encoding(data: bytes) -> Encoding:
    if data.startswith(codecs.BOM_UTF8):
        return "utf-8-sig"
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    # Text in a Western script has a zero in every other byte of UTF-16, and none in the other encodings.
    for encoding, zeros in (("utf-16-le", data[1::2]), ("utf-16-be", data[::2])):
        if len(data) > 3 and zeros.count(0) > 0.7 * len(zeros):
            return "utf-16-le" if encoding == "utf-16-le" else "utf-16-be"
    try:
        codecs.getincrementaldecoder("utf-8")().decode(data)  # the sample may end within a character
    except UnicodeDecodeError:
        # 0x80 to 0x9f are letters and quotation marks in Windows' table, and control characters in latin-1.
        return "cp1252" if any(0x80 <= byte <= 0x9F for byte in data) and _fits(data, "cp1252") else "latin-1"
    return "utf-8"


def _fits(data: bytes, encoding: str) -> bool:
    try:
        data.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def _quote(text: str) -> str | None:
    """The quote that wraps more fields; the usual one where none does."""
    wrapped = {q: len(re.findall(rf"(?:^|[,;\t|]){q}[^{q}\n]*{q}(?=[,;\t|\r\n]|$)", text, re.M)) for q in QUOTES}
    if any(wrapped.values()):
        return max(QUOTES, key=lambda q: wrapped[q])
    # A `"` that wraps nothing is an inch mark or the like; read as a quote it would swallow line ends.
    return None if '"' in text else '"'


def _by_likelihood(name: str) -> tuple[str, ...]:
    """`max` keeps the first of equals."""
    return ("\t", *(d for d in DELIMITERS if d != "\t")) if ".tsv" in name.lower() else DELIMITERS


def _rows(text: str, delimiter: str, quote: str | None) -> list[list[str]]:
    quoting: Literal[0, 3] = csv.QUOTE_NONE if quote is None else csv.QUOTE_MINIMAL
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, quotechar=quote, quoting=quoting)
    rows: list[list[str]] = []
    try:
        for row in reader:
            rows.append(row)
            if len(rows) > MOST_SAMPLED_ROWS:
                break
    except csv.Error:
        return rows[:1]  # with this delimiter it is no table
    # The sample may end within a row.
    return rows[:-1] if len(rows) > 2 and not text.endswith(("\n", "\r")) else rows


def _regularity(rows: list[list[str]]) -> tuple[float, int]:
    """Share of rows with as many fields as the header, 0.0 if there is one field; then the number of fields."""
    width = len(rows[0]) if rows else 0
    if width < 2:
        return 0.0, width
    return sum(len(row) == width for row in rows) / len(rows), width


def _has_decimal_comma(fields: Counter[str], delimiter: str) -> bool:
    """Where commas separate fields, `1,5` in quotes is as likely a list; it is then never taken for a number."""
    if delimiter == ",":
        return False
    commas = sum(n for text, n in fields.items() if _COMMA_NUMBER.fullmatch(text) and not _THOUSANDS.fullmatch(text))
    return commas > sum(n for text, n in fields.items() if _POINT_NUMBER.fullmatch(text))
