"""Rules for texts that become grammars: their limits, and the JSON schemas of which a grammar holds every keyword."""
