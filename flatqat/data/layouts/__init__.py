"""How image sets lie on disk, one layout a file: each reads its files into a `Stored`. No torch."""
