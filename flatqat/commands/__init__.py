"""The command line, one file per group: each command parses its options, calls one function and prints."""
