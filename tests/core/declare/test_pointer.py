import pytest

from mergeline.core.declare.pointer import Pointer, is_no_drop, parse_pointer, without_replaced
from mergeline.errors import DeclarationError

MD5 = "f69f5b72bc79a92dc70c63c9aa142e36"


@pytest.mark.parametrize(
    ("text", "target", "md5", "size"),
    [
        ("outs:\n- md5: {}\n  size: 4\n  hash: md5\n  path: x.csv\n", "d/x.csv", MD5, 4),
        ("outs:\n- md5: {}\n  path: 2013-01.csv.gz\n", "d/2013-01.csv.gz", MD5, None),
        ("outs:\n- hash: md5\n  md5: '{}'\n  path: 'a b.csv'\n", "d/a b.csv", MD5, None),
        ("# n\nouts:\n- md5: {}.dir\n  size: 4\n  path: x\n", "d/x", f"{MD5}.dir", 4),
        ("desc: months\nouts:\n- md5: {}\n  path: x.csv\n", "d/x.csv", MD5, None),
    ],
)
def test_what_dvc_add_writes_is_read(text: str, target: str, md5: str, size: int | None) -> None:
    expected = Pointer("d/x.csv.dvc", target, md5, size)
    assert parse_pointer("d/x.csv.dvc", text.format(MD5)) == expected
    assert parse_pointer("d/x.csv.dvc", text.format(MD5).encode()) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "outs: []\n",
        f"outs:\n- md5: {MD5}\n  path: x.csv\n- md5: {MD5}\n  path: y.csv\n",
        "outs:\n- path: x.csv\n",
        f"outs:\n- md5: {MD5[:-1]}\n  path: x.csv\n",
        f"outs:\n- md5: {MD5}\n  path: ../../x.csv\n",
        f"outs:\n- md5: {MD5}\n  path: /x.csv\n",
        f"outs:\n- md5: {MD5}\n  path: 2013\n",
        f"outs:\n- md5: {MD5}\n  md5: {MD5}\n  path: x.csv\n",
        f"<<<<<<< HEAD\nouts:\n- md5: {MD5}\n  path: x.csv\n",
    ],
)
def test_what_is_no_pointer_is_refused(text: str) -> None:
    with pytest.raises(DeclarationError, match=r"d/x\.csv\.dvc"):
        parse_pointer("d/x.csv.dvc", text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("outs:\n- md5: {}\n  sizee: 4\n  path: x.csv\n", "'sizee' (did you mean 'size'?)"),
        ("outs:\n- md55: {}\n  path: x.csv\n", "'md55' (did you mean 'md5'?)"),
        ("outss:\n- md5: {}\n  path: x.csv\n", "'outss' (did you mean 'outs'?)"),
        ("outs:\n- md5: {}\n  path: x.csv\n  3: 4\n", "3 (known: cache, "),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest_known_one(text: str, said: str) -> None:
    with pytest.raises(DeclarationError) as caught:
        parse_pointer("d/x.csv.dvc", text.format(MD5))
    assert str(caught.value).startswith(f"d/x.csv.dvc: unknown key {said}")


def test_what_dvc_import_writes_is_read() -> None:
    text = (
        f"md5: {MD5}\nfrozen: true\ndeps:\n- path: x\n  repo: {{url: u, rev_lock: r}}\nouts:\n"
        f"- md5: {MD5}\n  size: 4\n  hash: md5\n  path: x.csv\n  push: false\nmeta: {{a: 1}}\n"
    )
    assert parse_pointer("d/x.csv.dvc", text).target == "d/x.csv"


@pytest.mark.parametrize(
    "out",
    [
        "- path: raw\n  files:\n  - relpath: a.csv\n    md5: 1\n    cloud: {s3: {version_id: x}}\n",
        "- path: a.csv\n  etag: x\n  version_id: y\n",
    ],
)
def test_a_pointer_to_versions_of_a_bucket_ends_in_what_to_do(out: str) -> None:
    with pytest.raises(DeclarationError, match="names versions of a bucket") as caught:
        parse_pointer("data/raw.dvc", f"outs:\n{out}")
    assert "`dvc pull` and `dvc add`" in caught.value.next_step


@pytest.mark.parametrize(
    ("path", "is_none"),
    [
        ("README.md", True), ("readme", True), ("LICENSE.txt", True), (".DS_Store", True),
        (".hidden/a.csv", True), ("_SUCCESS", True), ("_delta_log/0.json", True),
        ("Thumbs.db", True), ("sub/desktop.ini", True), ("a.csv", False), ("sub/a_b.csv", False),
        ("readme_2013.csv", False), ("licenses.csv", False), ("a.csv.gz", False),
    ],
)  # fmt: skip
def test_a_file_in_a_folder_of_drops_is_none_by_its_name(path: str, is_none: bool) -> None:
    assert is_no_drop(path) == is_none


CORRECTION = f"meta:\n  replaces: 01.csv\n  by: us\nouts:\n- md5: {MD5}\n  path: 01-b.csv\n"


def test_a_pointer_can_say_which_drop_its_own_replaces() -> None:
    assert parse_pointer("d/01-b.csv.dvc", CORRECTION).replaces == "d/01.csv"
    far = CORRECTION.replace("01.csv", "../e/01.csv")
    assert parse_pointer("d/01-b.csv.dvc", far).replaces == "e/01.csv"
    for wrong in ("3", "[01.csv]", "/01.csv", "''"):
        with pytest.raises(DeclarationError, match=r"meta\.replaces is the name of one drop"):
            parse_pointer("d/01-b.csv.dvc", CORRECTION.replace("01.csv", wrong))


def pointers(**replaced: str | None) -> list[Pointer]:
    return [Pointer(f"{of}.dvc", of, MD5, None, other) for of, other in replaced.items()]


def test_a_drop_that_another_replaces_does_not_count() -> None:
    assert [one.target for one in without_replaced(pointers(a=None, b="a", c="b", d=None))] == [
        "c",
        "d",
    ]


@pytest.mark.parametrize(
    ("said", "replaced"),
    [
        ("b.dvc: replaces aa, which no pointer of the table names", {"a": None, "b": "aa"}),
        ("a.dvc: replaces b, and is replaced by it", {"a": "b", "b": "a"}),
        ("a.dvc: replaces a, and is replaced by it", {"a": "a"}),
    ],
)
def test_a_replacement_of_what_is_not_there_or_in_a_circle_is_refused(
    said: str, replaced: dict[str, str | None]
) -> None:
    with pytest.raises(DeclarationError) as caught:
        without_replaced(pointers(**replaced))
    assert str(caught.value).startswith(said)
