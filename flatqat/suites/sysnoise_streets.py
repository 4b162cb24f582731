"""Rendered street scenes through other resizes and color conversions; ships with flatqat."""

from dataclasses import replace

from flatqat.suites import _sysnoise, streets

SUITE = replace(
    streets.SUITE,
    name="sysnoise-streets",
    title="rendered street scenes under system noise",
    protocol=(
        f"{streets.PROTOCOL.format(shifts='the same scenes in clear weather')}; {_sysnoise.THERE_AND_BACK}; "
        f"{_sysnoise.COLOR}; label maps stay; {_sysnoise.MEAN}"
    ),
    shifts=_sysnoise.in_memory(streets.SUITE.shifts[0].build),
)
