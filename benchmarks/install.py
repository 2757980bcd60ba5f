"""How long `pip install mergeline` takes, and how much it brings, with each extra.

    python benchmarks/install.py

Builds the wheel of this tree, then installs it with pip into an environment of its own, without
pip's cache. The size is that of all files beyond an empty environment's, with compiled bytecode.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent


def size(folder: Path) -> int:
    """Bytes of the files below a folder."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir())


def main() -> None:
    """Print a row for each way to install."""
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch)
        subprocess.run(
            ["uv", "build", "--quiet", "--wheel", "--out-dir", scratch, ROOT], check=True
        )
        wheel = next(out.glob("*.whl"))
        print("| install | packages | seconds | MB |\n|---|--:|--:|--:|")
        for extra in ("", "[serve]", "[train]"):
            environment = out / f"with{extra.strip('[]')}"
            subprocess.run([sys.executable, "-m", "venv", environment], check=True)
            empty = size(environment)
            pip = [environment / "bin/pip", "--disable-pip-version-check", "--no-cache-dir"]
            began = time.monotonic()
            subprocess.run([*pip, "install", "--quiet", f"{wheel}{extra}"], check=True)
            took = time.monotonic() - began
            packages = len(list(environment.glob("lib/*/site-packages/*.dist-info"))) - 1
            megabytes = (size(environment) - empty) / 1e6
            print(f"| `mergeline{extra}` | {packages} | {took:.0f} | {megabytes:.0f} |", flush=True)


if __name__ == "__main__":
    main()
