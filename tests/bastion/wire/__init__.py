"""Tests of the wire, with their peers."""
