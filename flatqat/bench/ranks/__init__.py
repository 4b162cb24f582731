"""The processes that train one cell together, each with its part of every batch."""
