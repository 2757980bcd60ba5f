import gzip
from pathlib import Path

import polars as pl
import pytest

from mergeline.adapters.drops import convert
from mergeline.adapters.drops.infer import infer
from mergeline.core.contract import Contract, parse_contract
from mergeline.core.inference import to_yaml
from mergeline.core.snapshot import Drop
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
    assert contract.key == ("id",)
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
        ("x.jsonl", b"\xff\xfe\n", "line 1 is not JSON"),
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


def test_values_of_no_one_type_are_taken_for_text(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_bytes(b'{"a": [1, "x"]}\n{"a": true}\n')
    [column] = infer(tmp_path / "x.jsonl", "x.jsonl").columns
    assert column.type == "string"
