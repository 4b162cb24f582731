"""Draw every corruption at every severity: one row a corruption, one column a severity.

    python scripts/contact_sheet.py [--images FILE ...] [--output docs/corruptions.jpg]

Images are cut to their middle square and resized to 224 pixels, for which the table of ImageNet-C was made;
with several, rows take them in turn. Without any, scikit-learn's `china.jpg` is taken.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont, ImageOps
from sklearn.datasets import load_sample_image

from flatqat.data.corruptions.apply import corrupt
from flatqat.data.corruptions.names import NAMES, SEVERITIES

SIDE, CELL, GAP, LABELS, HEADER = 224, 104, 3, 150, 24


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--images", type=Path, nargs="+", default=[])
    parser.add_argument("--output", type=Path, default=Path("docs/corruptions.jpg"))
    args = parser.parse_args()
    found = [Image.open(path).convert("RGB") for path in args.images]
    images = found or [Image.fromarray(load_sample_image("china.jpg"))]
    sheet([ImageOps.fit(image, (SIDE, SIDE)) for image in images]).save(args.output, quality=72)


def sheet(images: list[Image.Image]) -> Image.Image:
    step = CELL + GAP
    page = Image.new("RGB", (LABELS + len(SEVERITIES) * step, HEADER + len(NAMES) * step), "white")
    pen, font = ImageDraw.Draw(page), ImageFont.load_default(size=14)
    for column, severity in enumerate(SEVERITIES):
        pen.text((LABELS + column * step + CELL / 2, HEADER / 2), str(severity), "black", font, anchor="mm")
    for row, name in enumerate(NAMES):
        top = HEADER + row * step
        pen.text((6, top + CELL / 2), name, "black", font, anchor="lm")
        pixels = torch.from_numpy(np.array(images[row % len(images)])).permute(2, 0, 1)[None]
        for column, severity in enumerate(SEVERITIES):
            result = corrupt(pixels, torch.tensor([row]), name=name, severity=severity, table="imagenet")
            cell = Image.fromarray(result[0].permute(1, 2, 0).contiguous().numpy())
            page.paste(cell.resize((CELL, CELL), Image.Resampling.LANCZOS), (LABELS + column * step, top))
    return page


if __name__ == "__main__":
    main()
