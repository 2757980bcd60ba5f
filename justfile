# The names of what one does in this repository. `just` comes with `uv sync`: .venv/bin/just
export PATH := justfile_directory() / ".venv/bin:" + env("PATH")

# List the tasks
default:
    @just --list --unsorted

# Install what uv.lock pins into .venv
setup:
    uv sync --locked --compile-bytecode

# Install the hooks that check a commit and a push
hooks:
    pre-commit install

# Run all checks that take seconds, the fastest first
check: style spelling lock workflows types

# Check lint rules and formatting
style:
    ruff check
    ruff format --check

# Correct lint findings and formatting where ruff can
fix:
    ruff check --fix
    ruff format

# Check spelling
spelling:
    codespell

# Check that uv.lock fits pyproject.toml
lock:
    uv lock --check

# Check the workflows; needs actionlint on the PATH, see CONTRIBUTING.md
workflows:
    zizmor --offline --quiet --persona pedantic .
    actionlint -shellcheck= -pyflakes=

# Build the documents as a site into site/; broken links are errors
site:
    uv run --quiet --locked --isolated --only-group docs mkdocs build --strict

# Check types
types:
    mypy

# Run the quick tests, or those named: `just test tests/core`
test *arguments:
    pytest -n logical {{ arguments }}

# Run the tests that take minutes
slow *arguments:
    pytest -m slow -n logical --dist loadgroup {{ arguments }}

# Run the tests on a real forge; FORGE_HOME names it, see CONTRIBUTING.md
forge *arguments:
    pytest -m forge {{ arguments }}

# Run the tests on a real S3 server
s3 *arguments:
    uv sync --locked --compile-bytecode --extra s3
    pytest -m s3 {{ arguments }}

# Run the quick tests and report which lines they ran
coverage *arguments:
    pytest -n logical --cov {{ arguments }}

# Run telling tests with other versions than uv.lock's: `just resolutions lowest-direct 3.12`
resolutions *arguments:
    bash .ci/resolutions {{ arguments }}

# Build wheel and sdist into dist/ and check both
package:
    rm -rf dist
    uv build --quiet
    twine check --strict dist/*

# Run everything from a clean clone of HEAD
ci:
    bash .ci/run
