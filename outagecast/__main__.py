"""`python -m outagecast` is the command `outagecast`."""

from outagecast.cli import main

if __name__ == "__main__":
    main()
