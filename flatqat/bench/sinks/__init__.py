"""Where the curves of trainings go: one file for each tool that draws them."""
