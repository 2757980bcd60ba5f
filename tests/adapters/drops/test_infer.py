import gzip
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mergeline.adapters.drops.convert import convert
from mergeline.adapters.drops.infer import infer
from mergeline.core.data.first_contract import to_yaml
from mergeline.core.data.snapshot import Drop
from mergeline.core.declare.contract import Contract, Dialect, parse_contract
from mergeline.errors import DropError, NotFoundError

CSV = """\
id,when,at,n,x,flag,digit,code,empty,null
1,2013-01-01,2013-01-01T05:00:00Z,3,1.5,true,0,007,,a
2,2013-02-01,2013-01-01T06:00:00Z,NA,2,false,1,NA,,b
3,NA,2013-01-01T07:00:00Z,-4,,TRUE,1,x9,,b
"""


def contract_of(tmp_path: Path, content: bytes, name: str) -> tuple[Contract, str]:
    source = tmp_path / name
    source.write_bytes(content)
    text = to_yaml(infer(source, f"data/raw/t/{name}"))
    contract = parse_contract("t", text)
    target = tmp_path / "out.parquet"
    convert(source, Drop(name, ""), contract, target)
    return contract, text


@pytest.mark.parametrize("name", ["x.csv", "x.csv.gz"])
def test_a_csv_suggests_a_contract_that_it_meets(tmp_path: Path, name: str) -> None:
    content = CSV.encode()
    contract, text = contract_of(
        tmp_path, gzip.compress(content) if ".gz" in name else content, name
    )
    found = {name: (c.type, c.nullable) for name, c in contract.columns.items()}
    assert found == {
        "id": ("int64", False),
        "when": ("date", True),
        "at": ("datetime", False),
        "n": ("int64", True),
        "x": ("float64", True),
        "flag": ("bool", False),
        "digit": ("int64", False),
        "code": ("string", True),
        "empty": ("string", True),
        "null": ("string", False),
    }
    assert contract.null == ("", "NA")
    assert contract.source == "data/raw/t"
    assert contract.key == ()
    assert "  n: {type: int64, nullable: true}  # -4 … 3\n" in text


def test_json_lines_suggest_a_contract_that_they_meet(tmp_path: Path) -> None:
    content = b"""\
{"id": 1, "when": "2013-01-01", "x": 1, "text": "5", "flag": true}
{"id": 2, "when": "2013-01-02", "x": 1.5, "text": "6", "late": "2013-01-01T00:00:00Z"}
"""
    contract, _ = contract_of(tmp_path, content, "x.jsonl")
    assert {name: (c.type, c.nullable) for name, c in contract.columns.items()} == {
        "id": ("int64", False),
        "when": ("date", False),
        "x": ("float64", False),
        "text": ("string", False),
        "flag": ("bool", True),
        "late": ("datetime", True),
    }


def test_parquet_suggests_a_contract_that_it_meets(tmp_path: Path) -> None:
    pl.DataFrame(
        {
            "a": pl.Series([1, 2, None], dtype=pl.UInt16),
            "c": pl.Series(["x", "y", "x"], dtype=pl.Categorical),
            "t": pl.Series([0, 1, 2]).cast(pl.Datetime("ms")),
            "d": pl.Series([1.5, None, 2.0], dtype=pl.Float32),
        }
    ).write_parquet(tmp_path / "made.parquet")
    contract, _ = contract_of(tmp_path, (tmp_path / "made.parquet").read_bytes(), "x.parquet")
    assert {name: (c.type, c.nullable) for name, c in contract.columns.items()} == {
        "a": ("int64", True),
        "c": ("string", False),
        "t": ("datetime", False),
        "d": ("float64", True),
    }


def test_a_file_of_unknown_kind_or_none_is_said(tmp_path: Path) -> None:
    (tmp_path / "x.xlsx").write_bytes(b"")
    with pytest.raises(NotFoundError, match="no known format"):
        infer(tmp_path / "x.xlsx", "x.xlsx")
    with pytest.raises(NotFoundError, match="no such file"):
        infer(tmp_path / "none.csv", "none.csv")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("x.jsonl", b'{"a": 1}\n\n{"a": 2\n', "line 3 is not JSON"),
        ("x.jsonl", b"[1, 2]\n", "line 1 is not a JSON object"),
        ("x.jsonl", b"\xff{}\n", "line 1 is not JSON"),
        ("x.jsonl", b"[" * 100_000, "line 1 is not JSON"),
        ("x.parquet", b"", "cannot be read as parquet"),
        ("x.parquet", b"not Parquet at all", "cannot be read as parquet"),
    ],
)
def test_a_file_that_is_not_what_its_name_says_is_said(
    tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DropError, match=said) as caught:
        infer(tmp_path / name, f"data/raw/{name}")
    assert str(caught.value).startswith(f"data/raw/{name}: ")
    assert str(caught.value).endswith(". Get the drop again from its source.")


def text_of(tmp_path: Path, lines: list[str]) -> str:
    return contract_of(tmp_path, "\n".join([*lines, ""]).encode(), "x.csv")[1]


def test_digits_that_a_number_would_lose_are_text(tmp_path: Path) -> None:
    rows = [f"{at:05d},+41{at},{2**63 + at},{at}" for at in range(60)]
    text = text_of(tmp_path, ["zip,phone,long,n", *rows])
    kinds = {name: kind.type for name, kind in parse_contract("t", text).columns.items()}
    assert kinds == {"zip": "string", "phone": "string", "long": "string", "n": "int64"}


def test_numbers_that_are_not_finite_are_text_in_csv_and_absent_where_nan(tmp_path: Path) -> None:
    assert "  e: {type: string}" in text_of(tmp_path, ["e", "1.5", "1e400"])
    pl.DataFrame({"x": [1.5, float("nan")], "s": ["NaN", "b"]}).write_parquet(tmp_path / "n")
    contract, _ = contract_of(tmp_path, (tmp_path / "n").read_bytes(), "x.parquet")
    assert contract.null == ("NaN",)
    assert contract.columns["x"].type == "float64"
    assert contract.columns["x"].nullable
    contract, _ = contract_of(tmp_path, b'{"a": 1.5}\n{"a": NaN}\n', "x.jsonl")
    assert contract.columns["a"].nullable


def test_a_datetime_without_a_zone_is_said_to_be_taken_as_utc(tmp_path: Path) -> None:
    said = "; no zone in the file, taken as UTC\n"
    assert said in text_of(tmp_path, ["t", "2013-01-01T05:00:00"])
    assert said not in text_of(tmp_path, ["t", "2013-01-01T05:00:00+01:00"])
    pl.DataFrame({"t": pl.Series([0]).cast(pl.Datetime("us"))}).write_parquet(tmp_path / "t")
    assert said in contract_of(tmp_path, (tmp_path / "t").read_bytes(), "x.parquet")[1]


def test_a_key_is_guessed_from_rows_enough_and_an_id_before_another_column(tmp_path: Path) -> None:
    few = text_of(tmp_path, ["flag", "0", "1"])
    assert "key: []  # columns that together name a row; too few rows here to guess them" in few
    rows = [f"name{at},{at}" for at in range(20)]
    assert "key: [order_id]  # unique" in text_of(tmp_path, ["name,order_id", *rows])
    assert "key: [name]  # unique" in text_of(tmp_path, ["name,count", *rows])


@pytest.mark.parametrize("path", ["/tmp/x.csv", "../x.csv", "x.csv"])
def test_a_file_outside_the_data_leaves_its_folder_to_fill_in(tmp_path: Path, path: str) -> None:
    (tmp_path / "x.csv").write_text("a\n1\n")
    text = to_yaml(infer(tmp_path / "x.csv", path))
    assert "source: data/raw/TABLE  # the folder where the pointers will stand\n" in text


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("x.csv", "a,,c\n1,2,3\n", "column 2 has no name"),
        ("x.jsonl", '{"": 1}', "column 1 has no name"),
        ("x.csv", "a,b\n", "has no rows to infer from"),
        ("x.jsonl", "\n", "has no rows to infer from"),
        ("x.csv", "a,A\n1,2\n", "two names differ in case only"),
        ("x.csv", "a,a\n1,2\n", "line 1, column a: stands twice"),
        ("x.csv", "a,b\n1,2\n3\n4,5,6\n", "line 3: '3' has too few fields for the 2 columns\n"),
        ("x.csv", "a,b\n1,2\n3\n4,5,6\n", "line 4: '4,5,6' has too many fields"),
        ("x.jsonl", '{"a": [1]}\n{"a": {"x": 1}}\n', "line 1, column a: '[1]' is not JSON for a"),
        ("x.jsonl", '{"a": [1, "x"]}\n{"a": true}\n', "column a: 'true' is not JSON for a string"),
        ("x.jsonl", '{"a": 1}\n{"a": 9223372036854775808}\n', "line 2, column a: '92233720368547"),
        ("x.jsonl", '{"a": 1.5}\n{"a": 1e400}\n', "line 2, column a: 'inf' is not a finite number"),
    ],
)  # fmt: skip
def test_a_file_that_breaks_every_guess_is_refused_by_its_own_name(
    tmp_path: Path, name: str, content: str | bytes, said: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(DropError) as caught:
        infer(path, f"data/raw/{name}")
    assert said in str(caught.value)
    assert str(caught.value).startswith(f"data/raw/{name}: ")
    assert ".yaml" not in str(caught.value)


def test_a_folder_is_said_to_be_one(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"is a folder\. Name one of the files in it"):
        infer(tmp_path, "data/raw")


# --- what is proposed -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "dialect"),
    [
        ("a;b\n1;2\n", "{delimiter: ;}"),
        ("a\tb\n1\t2\n", '{delimiter: "\\t"}'),
        ("a|b\n1|2\n", "{delimiter: '|'}"),
        ("a;b\nx;1,5\ny;2\n", "{delimiter: ;, decimal: ','}"),
        ("a;b\nx;1.234,5\n", "{delimiter: ;, decimal: ',', thousands: .}"),
        ('a,b\nx,"1,234.5"\n', "{thousands: ','}"),
        ("1,,2.5,\n1,2,3,4\n", "{header: false}"),
        ("2013-01-01;x\n2013-01-02;y\n", "{delimiter: ;, header: false}"),
        ("# of 2013\na,b\n1,2\n", "{comment: '#'}"),
        ("a,b\nä,2\n".encode("utf-16"), "{encoding: utf-16}"),
        ("a\nGenève\n".encode("latin-1"), "{encoding: cp1252}"),
    ],
)
def test_the_dialect_of_a_file_is_proposed(
    tmp_path: Path, content: str | bytes, dialect: str
) -> None:
    """`contract_of` converts the file by what is proposed."""
    made = content.encode() if isinstance(content, str) else content
    _, text = contract_of(tmp_path, made, "x.csv")
    assert f"\ndialect: {dialect}\n" in text


def test_a_file_without_a_header_is_told_as_such(tmp_path: Path) -> None:
    contract, text = contract_of(tmp_path, b"1,2.5,a\n2,3.5,b\n", "x.csv")
    assert list(contract.columns) == ["column_1", "column_2", "column_3"]
    assert "# Look at this: the first line looks like a row, not like names: 1,2.5,a.\n" in text
    assert contract.columns["column_1"].type == "int64"


def test_a_header_above_texts_or_numbers_stays_one(tmp_path: Path) -> None:
    for content in ("a,b\nx,y\n", "a,2013\nx,y\n", "#id,n\n1,2\n"):
        contract, _ = contract_of(tmp_path, content.encode(), "x.csv")
        assert contract.dialect == Dialect(), content


def test_an_encoding_that_is_guessed_is_said_to_be(tmp_path: Path) -> None:
    _, text = contract_of(tmp_path, "a\nx\nGenève\n".encode("latin-1"), "x.csv")
    assert "# Look at this: line 3 is not UTF-8; that it is cp1252 is a guess.\n" in text


def test_forms_of_dates_and_booleans_are_proposed_where_only_one_explains_all(
    tmp_path: Path,
) -> None:
    rows = ["13/02/2013,02/13/2013,13.02.2013 05:00,Y,01/02/2013", "01/02/2013,,,N,01/02/2013"]
    contract, text = contract_of(
        tmp_path, "\n".join(["eu,us,at,flag,both", *rows, ""]).encode(), "x.csv"
    )
    found = {name: (column.type, column.format) for name, column in contract.columns.items()}
    assert found == {
        "eu": ("date", "%d/%m/%Y"),
        "us": ("date", "%m/%d/%Y"),
        "at": ("datetime", "%d.%m.%Y %H:%M"),
        "flag": ("bool", ""),
        "both": ("string", ""),
    }
    assert contract.columns["flag"].true == ("Y",)
    assert "a date of the format %d/%m/%Y or %m/%d/%Y: declare which" in text


def test_parquet_of_decimals_and_bytes_suggests_a_contract_that_it_meets(tmp_path: Path) -> None:
    sink = tmp_path / "made.parquet"
    table = pa.table(
        {
            "q": pa.array(["1.10"]).cast(pa.decimal128(9, 2)),
            "text": [b"a"],
            "raw": [b"\xff"],
        }
    )
    pq.write_table(table, sink)
    contract, _ = contract_of(tmp_path, sink.read_bytes(), "x.parquet")
    kinds = {name: column.type for name, column in contract.columns.items()}
    assert kinds == {"q": "decimal(9,2)", "text": "string", "raw": "binary"}


@pytest.mark.parametrize(
    "values", [[{"x": 1}], [[1, 2]], pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int64()))]
)
def test_nested_parquet_ends_in_a_sentence(tmp_path: Path, values: object) -> None:
    pq.write_table(pa.table({"n": [1], "deep": values}), tmp_path / "x.parquet")
    with pytest.raises(DropError, match=r"^d/x\.parquet: column deep holds ") as caught:
        infer(tmp_path / "x.parquet", "d/x.parquet")
    assert "`unknown_columns: ignore`" in caught.value.next_step


@pytest.mark.parametrize(
    ("name", "next_step"),
    [("x.xlsx", "Save the sheet as CSV"), ("x.ods", "Save the sheet"), ("x.xml", "Convert it")],
)
def test_workbooks_and_xml_end_in_what_to_do(tmp_path: Path, name: str, next_step: str) -> None:
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(NotFoundError) as caught:
        infer(tmp_path / name, name)
    assert caught.value.next_step.startswith(next_step)
