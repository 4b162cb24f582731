"""The command line, one file a group: each command parses its options, calls one function and prints."""
