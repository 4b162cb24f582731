"""Sixteen everyday classes, each a group of ImageNet's classes. Imports the standard library only.

The grouping follows WordNet: Geirhos et al. 2018 (arXiv 1808.08750), as used for networks that see drawings
and silhouettes in Geirhos et al. 2019 (arXiv 1811.12231).
"""

_TABLE = """
    airplane 404
    bear 294-297
    bicycle 444 671
    bird 8 10-16 18-20 22-24 80-83 87-96 98-100 127-133 135-145
    boat 472 554 625 814 914
    bottle 440 720 737 898 899 901 907
    car 436 511 817
    cat 281-286
    chair 423 559 765 857
    clock 409 530 892
    dog 152-191 193-203 205-226 228-241 243-250 252-257 259 261-263 265-268
    elephant 385 386
    keyboard 508 878
    knife 499
    oven 766
    truck 555 569 656 675 717 734 864 867
"""


def _labels(ranges: list[str]) -> tuple[int, ...]:
    """Return all labels of ranges such as `8` and `10-16`."""
    ends = [text.split("-") for text in ranges]
    return tuple(label for both in ends for label in range(int(both[0]), int(both[-1]) + 1))


MEMBERS = {name: _labels(ranges) for name, *ranges in (line.split() for line in _TABLE.strip().splitlines())}
"""The labels of the ImageNet classes of each class; a class's own label is its place here."""

NAMES, GROUPS = tuple(MEMBERS), tuple(MEMBERS.values())
