"""Draw test scenes of the suite `streets`: one row a scene, one column a weather, and the label map.

python scripts/streets_sheet.py [--scenes 2000 2001 ...] [--output docs/streets.jpg]
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from flatqat.data.images.palette import painted, palette
from flatqat.data.streets.names import CLASSES
from flatqat.scenes.load import WEATHERS, pixels
from flatqat.scenes.size import HEIGHT, WIDTH

GAP, HEADER = 4, 22
SCENES = (2000, 2003, 2011, 2013, 2016, 2039)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--scenes", type=int, nargs="+", default=SCENES)
    parser.add_argument("--output", type=Path, default=Path("docs/streets.jpg"))
    args = parser.parse_args()
    sheet(args.scenes).save(args.output, quality=70)


def sheet(scenes: list[int]) -> Image.Image:
    columns = (*WEATHERS, "labels")
    size = len(columns) * (WIDTH + GAP) - GAP, HEADER + len(scenes) * (HEIGHT + GAP) - GAP
    page = Image.new("RGB", size, "white")
    pen, font = ImageDraw.Draw(page), ImageFont.load_default(size=14)
    for column, name in enumerate(columns):
        pen.text((column * (WIDTH + GAP) + WIDTH / 2, HEADER / 2), name, "black", font, anchor="mm")
    for row, number in enumerate(scenes):
        drawn = pixels(number)
        shown = [drawn[weather][:3].transpose(1, 2, 0) for weather in WEATHERS]
        shown.append(painted(drawn["clear"][3], palette(CLASSES)))
        for column, image in enumerate(shown):
            at = column * (WIDTH + GAP), HEADER + row * (HEIGHT + GAP)
            page.paste(Image.fromarray(np.ascontiguousarray(image)), at)
    return page


if __name__ == "__main__":
    main()
