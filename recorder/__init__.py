"""The recorder: keeps sessions, seals them, plays them back. Knows nothing of the bastion."""
