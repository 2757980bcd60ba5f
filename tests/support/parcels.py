"""The small project of the tests: will a parcel be late? Its files are in `project/`."""

from __future__ import annotations

import random
from pathlib import Path

MODEL = "late"
PROJECT = Path(__file__).parent / "project"
MODEL_YAML = (PROJECT / "models/late.yaml").read_text(encoding="utf-8")

# Edits of the project: path, old text, new text.
BETTER = ("params.yaml", "C: 1.0", "C: 0.5")
OTHER = ("params.yaml", "C: 1.0", "C: 2.0")
WORSE = ("params.yaml", "use: [weight, distance]", "use: [weight]")


def drop(month: int, rows: int = 400) -> str:
    """A month's parcels as CSV: heavy ones are a little late, those that go far mostly are."""
    made = random.Random(month)
    lines = ["id,day,weight,distance,late"]
    for number in range(rows):
        weight, distance = made.uniform(0, 30), made.uniform(0, 1000)
        late = 0.05 * (weight - 15) + 0.01 * (distance - 500) + made.gauss(0, 1.5) > 0
        day = f"2024-{month:02d}-{number % 28 + 1:02d}"
        late_text = "true" if late else "false"
        lines.append(f"{month * 10_000 + number},{day},{weight:.3f},{distance:.3f},{late_text}")
    return "\n".join(lines) + "\n"
