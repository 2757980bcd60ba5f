from mergeline.core.data.violations import Broken, Refusal, Violation, refuse


def test_a_violation_reads_as_a_sentence() -> None:
    whole = Violation("f.csv", "is missing", line=1, column="day")
    cell = Violation("f.csv", "is not an int16", line=17, row=16, column="delay", value="12x")
    row = Violation("f.parquet", "is above 3", row=2, column="delay", value="4")
    assert str(whole) == "line 1, column day: is missing"
    assert str(cell) == "line 17, column delay: '12x' is not an int16"
    assert str(row) == "row 2, column delay: '4' is above 3"


def test_a_long_value_is_cut() -> None:
    text = str(Violation("f.csv", "is not a date", line=2, column="day", value="x" * 5000))
    assert len(text) < 150
    assert "…" in text


def test_a_refusal_says_how_many_more() -> None:
    shown = tuple(Violation("f", "is absent", line=n, column="a") for n in range(2, 7))
    text = str(Refusal("f", "data/t.yaml", shown, (Broken("a", "is absent", 1234),)))
    assert text.startswith("breaks data/t.yaml in 1,234 places\n  line 2, column a: is absent\n")
    assert text.endswith("\n  and 1,229 more; in all a is absent × 1,234")


def test_the_error_of_a_refusal_carries_it_as_data() -> None:
    error = refuse("f.csv", "data/t.yaml", [Violation("f.csv", "is missing", 1, column="a")])
    assert error.refusal.total == 1
    assert error.exit_code == 2
    assert str(error).startswith("f.csv: breaks data/t.yaml in 1 place\n")
    assert "dvc add" in error.next_step


def test_the_next_step_stands_on_a_line_below_the_places() -> None:
    error = refuse("f.csv", "data/t.yaml", [Violation("f.csv", "is missing", 1, column="a")])
    assert str(error).endswith(
        "\n  line 1, column a: is missing\n"
        "Mend the drop and `dvc add` it again, or change data/t.yaml."
    )
