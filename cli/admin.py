"""`bastion-admin`: the way into the program."""

import gc
import sys


def main() -> None:
    """The entry point: runs what was typed, and ends the process."""
    try:
        # Importing everything takes most of a second, in which ctrl-c shall be quiet as well. None
        # of it is ever garbage: looking for some meanwhile, and later on, costs a sixth of it.
        gc.disable()
        from cli.program import start  # noqa: PLC0415

        gc.freeze()
        gc.enable()
        status = start()
    except KeyboardInterrupt:
        status = 130
    sys.exit(status)


if __name__ == "__main__":
    main()
