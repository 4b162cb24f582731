"""The benchmark: plan, train, evaluate, record, report, check."""
