"""Plays a recording on its stdout: python -m tests.recorder.player CAST SPEED IDLE."""

import sys
from pathlib import Path

from recorder import Reader
from recorder.replay import Pace, play

if __name__ == "__main__":
    pace = Pace(speed=float(sys.argv[2]), idle=float(sys.argv[3]))
    play(Reader(Path(sys.argv[1])), pace, sys.stdout)
