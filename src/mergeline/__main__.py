"""`python -m mergeline`."""

from mergeline.cli.main import run

if __name__ == "__main__":
    run()
