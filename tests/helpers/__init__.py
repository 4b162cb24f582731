"""What several test modules share: toy plugins, records and files on disk that imitate the originals."""

from pathlib import Path

HELPERS = Path(__file__).parent
ROOT = HELPERS.parents[1]
RESULTS = ROOT / "results"
SHARED = ROOT.parent / "shared"
"""Real data and weights; tests that need it skip where it is absent."""
TOY = HELPERS / "toy.py"
