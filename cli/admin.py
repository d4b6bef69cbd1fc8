"""`bastion-admin`: the way into the program."""

import sys


def main() -> None:
    """The entry point: runs what was typed, and ends the process."""
    try:
        # Importing everything takes most of a second, in which ctrl-c shall be quiet as well.
        from cli.program import start  # noqa: PLC0415

        status = start()
    except KeyboardInterrupt:
        status = 130
    sys.exit(status)


if __name__ == "__main__":
    main()
