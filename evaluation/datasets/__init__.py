"""Dataset kinds: each module checks one row format and turns it into an `Item`; `loading` reads the files."""
