"""The count of decodings of images that are corrupted live."""

from perf import live


def test_every_decoding_is_counted() -> None:
    """Each image is decoded once at least, and never for each of the 95 corruptions."""
    (row,) = live.rows(1)
    assert row.value is not None
    assert 1 <= row.value < 95
