"""What settings are made of: durations, sizes and counts, as they are written."""

from datetime import timedelta
from typing import Annotated

from pydantic import Field

from bastion.durations import parse_duration, parse_size
from bastion.toml_model import text

Seconds = Annotated[float, text(lambda words: parse_duration(words).total_seconds())]
Lifetime = Annotated[timedelta, text(parse_duration)]
Ending = Annotated[timedelta | None, text(lambda words: parse_duration(words) if words else None)]
Size = Annotated[int, text(parse_size)]
Count = Annotated[int, Field(strict=True, ge=1, le=1_000_000)]
