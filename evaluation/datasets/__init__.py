"""Dataset kinds: each module parses one row format into an `Item`; `loading` reads the files."""
