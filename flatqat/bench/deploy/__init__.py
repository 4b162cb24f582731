"""The deployment of stored cells: what needs a results folder."""
