"""`python -m shapebias` is the `shapebias` command."""

from shapebias.cli import main

if __name__ == "__main__":
    main()
