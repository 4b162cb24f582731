"""Draw test scenes of the suite `streets`: one row a scene, one column a weather, and the label map.

python scripts/streets_sheet.py [--scenes 2000 2001 ...] [--output docs/streets.jpg]
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from flatqat.data.scenes.load import WEATHERS, pixels
from flatqat.data.scenes.scene import HEIGHT, WIDTH

GAP, HEADER = 4, 22
SCENES = (2000, 2003, 2011, 2013, 2016, 2039)
COLOURS = (
    (128, 64, 128), (244, 35, 232), (70, 70, 70), (102, 102, 156), (190, 153, 153), (153, 153, 153),
    (250, 170, 30), (220, 220, 0), (107, 142, 35), (152, 251, 152), (70, 130, 180), (220, 20, 60),
    (255, 0, 0), (0, 0, 142), (0, 0, 70), (0, 60, 100), (0, 80, 100), (0, 0, 230), (119, 11, 32),
)  # fmt: skip
"""Those that Cityscapes shows its classes in; what is not scored is black."""


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
    palette = np.zeros((256, 3), np.uint8)
    palette[: len(COLOURS)] = COLOURS
    for row, number in enumerate(scenes):
        drawn = pixels(number)
        shown = [drawn[weather][:3].transpose(1, 2, 0) for weather in WEATHERS]
        shown.append(palette[drawn["clear"][3]])
        for column, image in enumerate(shown):
            at = column * (WIDTH + GAP), HEADER + row * (HEIGHT + GAP)
            page.paste(Image.fromarray(np.ascontiguousarray(image)), at)
    return page


if __name__ == "__main__":
    main()
