"""Requirements and cost of a profile, computed without starting it."""
