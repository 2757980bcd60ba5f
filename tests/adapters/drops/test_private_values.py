"""A refused drop is told with its places; of a private column without its values."""

import io
import traceback
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mergeline.adapters.drops.convert import convert
from mergeline.core.data.snapshot import Drop
from mergeline.core.declare.contract import parse_contract
from mergeline.errors import DropError

COLUMNS = "id: {type: int64}, street: {type: string, allowed: [A]}, age: {type: int8, max: 99}"


def refusal(
    content: str | bytes, path: str, folder: Path, *, more: str = "", private: str = "street"
) -> DropError:
    form = path.removesuffix(".gz").rpartition(".")[2]
    contract = parse_contract("t", f"source: d\nformat: {form}\n{more}columns: {{{COLUMNS}}}\n")
    source = folder / "source"
    source.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(DropError) as caught:
        convert(
            source, Drop(path, ""), contract, folder / "out", private=frozenset(private.split())
        )
    assert not (folder / "out").exists()
    return caught.value


def parquet(street: object) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.table({"id": [1], "street": [street], "age": [200]}), buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "path"),
    [
        ("id,street,age\n1,secret,200\n", "a.csv"),
        ("id,street,age\n1,A,200\n1,secret\n", "a.csv"),  # too few fields
        ("id,street,age\n1,A,200\n1,secret,3,secret\n", "a.csv"),
        ('id,street,age\n1,"A"secret,200\n', "a.csv"),
        ("1,secret,200\n1,secret,2\n", "a.csv"),  # no line of names
        ("secret,secret,2\n", "a.csv"),
        ('{"id": 1, "street": "secret", "age": 200}\n', "a.jsonl"),
        ('{"id": 1, "street": ["secret"], "age": 200}\n', "a.jsonl"),
        ('{"id": 1, "street": "secret\n', "a.jsonl"),
        (parquet("secret"), "a.parquet"),
        (parquet(b"secret"), "a.parquet"),
        (b"PAR1secret", "a.parquet"),
        ("id,street,age\nsecret", "a.csv.gz"),
    ],
)
def test_no_message_on_a_drop_quotes_a_private_value(
    content: str | bytes, path: str, tmp_path: Path
) -> None:
    error = refusal(content, path, tmp_path)
    assert "secret" not in str(error)
    assert "secret" not in repr(getattr(error, "refusal", None))
    assert "secret" not in "".join(traceback.format_exception(error))


def test_the_place_is_told_and_values_of_other_columns(tmp_path: Path) -> None:
    lines = str(refusal("id,street,age\n1,secret,120\n", "a.csv", tmp_path)).splitlines()
    assert lines[1:3] == [
        "  line 2, column street: a private value is not one of A",
        "  line 2, column age: '120' is above 99",
    ]


@pytest.mark.parametrize("key", ["[street]", "[id, street]"])
def test_a_private_key_that_stands_twice_is_not_quoted(key: str, tmp_path: Path) -> None:
    error = refusal("id,street,age\n7,A,2\n7,A,2\n", "a.csv", tmp_path, more=f"key: {key}\n")
    assert f"column {key[1:-1]}: a private value names a row" in str(error)


def test_a_column_that_is_new_is_named(tmp_path: Path) -> None:
    error = refusal("id,street,age,floor\n1,A,2,3\n", "a.csv", tmp_path)
    assert "column floor: is not declared" in str(error)


def test_without_a_private_column_of_the_table_all_is_quoted(tmp_path: Path) -> None:
    error = refusal("id,street,age\n1,secret,2\n1,secret\n", "a.csv", tmp_path, private="other")
    assert "'secret' is not one of A" in str(error)
    assert "'1,secret' has too few fields" in str(error)
