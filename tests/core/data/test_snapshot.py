from hypothesis import given
from hypothesis import strategies as st

from mergeline.core.data.snapshot import (
    Drop,
    PinnedSnapshot,
    Snapshot,
    drop_md5,
    file_name,
    pin,
    plan_commit,
    pointers_digest,
)
from mergeline.core.declare.contract import parse_contract
from mergeline.core.declare.strict import read_json, write_json

CONTRACT = parse_contract("t", "source: d\nformat: csv\ncolumns: {a: {type: int64}}\n")
OTHER = parse_contract("t", "source: d\nformat: csv\ncolumns: {a: {type: int32}}\n")
A, B = Drop("d/a.csv", "a" * 32, 1), Drop("d/b.csv", "b" * 32)


def test_a_digest_depends_on_content_and_not_on_order_paths_or_repetition() -> None:
    digest = Snapshot("t", CONTRACT, (A, B)).digest
    assert Snapshot("t", CONTRACT, (B, A)).digest == digest
    assert Snapshot("t", CONTRACT, (B, A, Drop("d/c.csv", A.md5))).digest == digest
    assert Snapshot("t", CONTRACT, (Drop("d/renamed.csv", A.md5), B)).digest == digest
    assert Snapshot("t", CONTRACT, (A,)).digest != digest
    assert Snapshot("t", OTHER, (A, B)).digest != digest


def test_the_digest_of_file_pointers_is_that_of_the_snapshot() -> None:
    snapshot = Snapshot("t", CONTRACT, (A, B))
    assert pointers_digest(CONTRACT, [B.md5, A.md5]) == snapshot.digest
    assert pointers_digest(CONTRACT, ["c" * 32 + ".dir"]) != snapshot.digest


def test_a_file_is_named_by_drop_and_contract() -> None:
    assert file_name(CONTRACT, A) != file_name(OTHER, A)
    assert drop_md5(file_name(CONTRACT, A)) == A.md5
    foreign = ("part-00000-1b.zstd.parquet", "part-00000-2c.zstd.parquet")
    assert len({drop_md5(name) for name in foreign}) == 2
    twice = Snapshot("t", CONTRACT, (B, A, Drop("d/z.csv", A.md5)))
    assert list(twice.files.values()) == [A, B]


def test_a_pin_reads_back_and_does_not_depend_on_the_order_of_drops() -> None:
    text = write_json(pin(Snapshot("t", CONTRACT, (B, A))))
    assert text == write_json(pin(Snapshot("t", CONTRACT, (A, B))))
    pinned = read_json(PinnedSnapshot, text, where="x")
    assert [drop.path for drop in pinned.drops] == ["d/a.csv", "d/b.csv"]
    assert pinned.contract == CONTRACT.digest


names = st.sets(st.text("abcdef", min_size=1, max_size=2))


@given(names, names)
def test_a_commit_plan_makes_the_wanted_files_of_the_current_ones(
    current: set[str], wanted: set[str]
) -> None:
    plan = plan_commit(current, wanted)
    assert (current - set(plan.removes)) | set(plan.adds) == wanted
    assert not set(plan.adds) & current
    assert bool(plan.adds or plan.removes) == (current != wanted)
