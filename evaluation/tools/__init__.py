"""Tools of a dataset: the functions that an arm may call, and the programs that run the calls."""
