"""Tests, in rooms of the same names as what they try. Fakes are imported as tests.ROOM.name."""
