"""`python -m mergeline`."""

from mergeline.cli import main

if __name__ == "__main__":
    main()
