"""`python -m mergeline`."""

from mergeline.cli.main import main

if __name__ == "__main__":
    main()
