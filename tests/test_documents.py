"""What the documents say is so: commands exist, links lead somewhere, forms are kept."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import click
import pytest

from mergeline.cli.commands import commands as cli

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
KINDS = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
each_document = pytest.mark.parametrize(
    "path", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix()
)


def shell_blocks(text: str) -> list[str]:
    return re.findall(r"^```sh\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


def prose(path: Path) -> str:
    """A document without its fenced blocks."""
    text = path.read_text(encoding="utf-8")
    return re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)


def mergeline_commands(path: Path) -> list[list[str]]:
    """The words after each `mergeline`, in shell blocks and in code between backticks."""
    blocks = shell_blocks(path.read_text(encoding="utf-8"))
    lines = [line for block in blocks for line in re.split(r"\n|&&|\||;", block)]
    lines += re.findall(r"`((?:\.venv/bin/)?mergeline [^`]+)`", prose(path))
    commands = []
    for line in lines:
        found = re.match(r"\s*(?:\S*/)?mergeline\s+(.*)", line)
        if found:
            commands.append(shlex.split(found[1], comments=True))
    return commands


def resolve(words: list[str]) -> tuple[click.Command, list[str]]:
    """The command that the words name, and what follows its name."""
    command: click.Command = cli
    context = click.Context(cli)
    rest = list(words)
    while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        inner = command.get_command(context, rest[0])
        assert inner is not None, f"no such command: mergeline {' '.join(words)}"
        command = inner
        rest.pop(0)
    return command, rest


@each_document
def test_every_command_in_a_document_exists_with_its_options(path: Path) -> None:
    for words in mergeline_commands(path):
        command, rest = resolve(words)
        known = {option for param in command.params for option in param.opts} | {"--help", "-h"}
        used = {word.split("=")[0] for word in rest if word.startswith("-") and word != "-"}
        assert used <= known, f"mergeline {' '.join(words)}: {sorted(used - known)}"


@each_document
def test_every_relative_link_leads_to_a_file(path: Path) -> None:
    for link in re.findall(r"\]\(([^)#\s]+)", prose(path)):
        if not re.match(r"[a-z]+:", link):
            assert (path.parent / link).exists(), f"{path.name}: {link}"


def test_the_readme_is_read_in_three_minutes() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").split()) < 700


def test_the_changelog_has_the_form_that_it_names() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert text.startswith("# Changelog\n")
    assert "keepachangelog.com" in text
    headings = re.findall(r"^## (.*)$", text, flags=re.MULTILINE)
    assert headings[0] == "[Unreleased]"
    for heading in headings[1:]:
        assert re.fullmatch(r"\[\d+\.\d+\.\d+\] - \d{4}-\d{2}-\d{2}", heading), heading
    assert set(re.findall(r"^### (.*)$", text, flags=re.MULTILINE)) <= KINDS


def test_every_law_that_the_code_cites_is_in_the_design() -> None:
    laws = set(
        re.findall(r"^(\d+)\. \*\*", (ROOT / "docs/design.md").read_text(), flags=re.MULTILINE)
    )
    assert laws
    for path in [*ROOT.glob("src/**/*.py"), *ROOT.glob("tests/**/*.py")]:
        cited = set(re.findall(r"\b[Ll]aw (\d+)", path.read_text(encoding="utf-8")))
        assert cited <= laws, path


def test_contributing_names_every_task_and_no_other() -> None:
    recipes = (ROOT / "justfile").read_text(encoding="utf-8")
    tasks = set(re.findall(r"^([a-z0-9-]+)(?: \*\w+)?:(?!=)", recipes, flags=re.MULTILINE))
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `just ([a-z0-9-]+)`", text, flags=re.MULTILINE)) == tasks - {
        "default"
    }


def test_the_index_lists_every_document() -> None:
    index = (ROOT / "docs/README.md").read_text(encoding="utf-8")
    for path in [*DOCUMENTS, *ROOT.glob("docs/*.json")]:
        above = "" if path.parent.name == "docs" else "../"
        assert path == ROOT / "docs/README.md" or f"({above}{path.name})" in index, path.name


def test_one_version_of_actionlint_is_used_everywhere() -> None:
    places = [".ci/run", ".pre-commit-config.yaml", "CONTRIBUTING.md"]
    texts = [(ROOT / name).read_text(encoding="utf-8") for name in places]
    versions = [set(re.findall(r"cmd/actionlint@(v[\d.]+)", text)) for text in texts]
    assert all(len(found) == 1 and found == versions[0] for found in versions)


def test_no_tracked_file_names_a_folder_of_somebodys_machine() -> None:
    home = re.compile(r"(?<![\w.~-])/(?:" + "|".join(["home", "Users", "root", "work"]) + r")/\w")
    for name in tracked():
        if name == "uv.lock":
            continue
        try:
            text = (ROOT / name).read_text(encoding="utf-8")
        except (UnicodeDecodeError, FileNotFoundError):
            continue
        for line in text.splitlines():
            assert not home.search(line), f"{name}: {line.strip()[:120]}"


def tracked() -> list[str]:
    listed = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "-z"], capture_output=True, text=True, check=True
    )
    return [name for name in listed.stdout.split("\0") if name]
