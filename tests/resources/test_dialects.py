"""How a text table is written is found out from its first bytes, the same for the same bytes."""

import codecs

import pytest

from resources.dialects import Dialect, sniff

GERMAN = "id;preis;ort\n1;1.234,50;Köln\n2;0,75;Mölln\n3;NULL;Ulm\n"
PLAIN = "id,price,city\n1,1.5,Ulm\n2,NA,Bonn\n3,,Kiel\n"


@pytest.mark.parametrize(
    ("data", "encoding"),
    [
        (PLAIN.encode(), "utf-8"),
        (GERMAN.encode(), "utf-8"),
        (codecs.BOM_UTF8 + PLAIN.encode(), "utf-8-sig"),
        (GERMAN.encode("latin-1"), "latin-1"),
        ((GERMAN + "4;1,0;„Köln“\n").encode("cp1252"), "cp1252"),
        (GERMAN.encode("utf-16"), "utf-16"),
        (GERMAN.encode("utf-16-be"), "utf-16-be"),
        (GERMAN.encode("utf-16-le"), "utf-16-le"),
        (GERMAN.encode()[: GERMAN.encode().index("ö".encode()) + 1], "utf-8"),
    ],
    ids=["ascii", "utf-8", "mark", "latin-1", "windows", "utf-16", "big", "little", "cut within a character"],
)
def test_the_encoding_is_found(data: bytes, encoding: str) -> None:
    assert sniff(data).encoding == encoding


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found(delimiter: str) -> None:
    text = "id,city,note\n" + "".join(f'{n},Ulm,"a; b, c|d"\n' for n in range(9))
    written = "\n".join(delimiter.join(p.split(",", 2)) for p in text.splitlines()) + "\n"
    assert sniff(written.encode()).delimiter == delimiter


def test_the_ending_decides_where_two_delimiters_fit() -> None:
    data = b"a,b\tc\n1,2\t3\n4,5\t6\n"
    assert (sniff(data, "x.csv").delimiter, sniff(data, "x.TSV.gz").delimiter) == (",", "\t")


@pytest.mark.parametrize(
    ("text", "quote"),
    [("a,b\n'x, y',1\n", "'"), ('a,b\n"x, y",1\n', '"'), ("a,b\nit's,1\n", '"'), ('a,b\n5" pipe,1\n', None)],
)
def test_the_quote_is_what_wraps_fields_and_not_any_sign_within(text: str, quote: str | None) -> None:
    assert sniff(text.encode()).quote == quote


@pytest.mark.parametrize(
    ("text", "is_decimal"),
    [
        (GERMAN, True),
        ("a;b\n1.5;x\n2.5;y\n", False),
        ("a;b\n1,234;x\n12,345;y\n", False),
        ('a,b\n"1,5",x\n"2,5",y\n', False),
    ],
    ids=["commas", "points", "thousands", "commas delimit"],
)
def test_a_decimal_comma_needs_evidence(text: str, is_decimal: bool) -> None:
    assert sniff(text.encode()).decimal_comma is is_decimal


def test_only_null_strings_that_occur_are_taken_for_missing() -> None:
    assert sniff(PLAIN.encode()).null_values == ("", "NA")
    assert sniff(b"a,b\nNULL,-\n?,N/A\nnull,nan\nNone,x-y\n").null_values == (
        "", "N/A", "NULL", "null", "None", "-", "?", "nan",
    )  # fmt: skip


def test_a_name_in_the_header_is_no_null_string() -> None:
    assert sniff(b"None,-\n1,2\n").null_values == ("",)


def test_the_row_where_the_sample_ends_counts_for_nothing() -> None:
    assert sniff(b"a;b,c\n1;2,3\n4;5,6\n7;8").delimiter == ","


def test_a_single_column_has_the_usual_dialect() -> None:
    assert sniff(b"id\n1\n2\n") == Dialect(null_values=("",))


@pytest.mark.parametrize(
    "given",
    [{"delimiter": ";;"}, {"delimiter": "§"}, {"quote": ","}, {"encoding": "ebcdic"}, {"null_values": ("a,b",)}],
)
def test_a_dialect_that_cannot_be_is_refused_by_its_field(given: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=f"field {next(iter(given))}"):
        Dialect(**given)  # type: ignore[arg-type]
