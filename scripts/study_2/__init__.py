"""The second study: the runs of its plan, docs/study-2-plan.md, and its page, docs/study-2.md."""
