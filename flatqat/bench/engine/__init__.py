"""The benchmark itself: `run` trains, measures, evaluates and records every cell of a plan."""
