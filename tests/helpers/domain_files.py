"""Domain generalization sets in their exact layout, with tiny pictures in place of theirs."""

from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = {
    "PACS": ("dog", "elephant", "giraffe", "guitar", "horse", "house", "person"),
    "VLCS": ("bird", "car", "chair", "dog", "person"),
    "office_home": tuple(f"Thing_{number}" for number in range(65)),
    "terra_incognita": (
        "bird", "bobcat", "cat", "coyote", "dog", "empty", "opossum", "rabbit", "raccoon", "squirrel",
    ),
    "domain_net": tuple(f"thing_{number}" for number in range(345)),
}  # fmt: skip
DOMAINS = {
    "PACS": ("art_painting", "cartoon", "photo", "sketch"),
    "VLCS": ("Caltech101", "LabelMe", "SUN09", "VOC2007"),
    "office_home": ("Art", "Clipart", "Product", "Real World"),
    "terra_incognita": ("location_38", "location_43", "location_46", "location_100"),
    "domain_net": ("clipart", "infograph", "painting", "quickdraw", "real", "sketch"),
}


def write(root: Path, name: str, *, images: int = 3, width: int = 10, height: int = 8) -> Path:
    """`name` under `root`, with `images` pictures a class; a picture shows its class and its domain."""
    for number, domain in enumerate(DOMAINS[name]):
        for label, one in enumerate(CLASSES[name]):
            folder = root / name / domain / one
            folder.mkdir(parents=True)
            for at in range(images + number % 2):
                picture(label, number, at, width, height).save(folder / f"pic_{at:03d}.jpg", quality=95)
    return root / name


def picture(label: int, domain: int, at: int, width: int, height: int) -> Image.Image:
    """A stripe whose place is the class and whose color is the domain, in noise."""
    rng = np.random.default_rng([label, domain, at])
    pixels = rng.integers(0, 60, (height, width, 3))
    pixels[:, (label * width // 7) % width, :] += np.array([120, 60 * (domain % 3), 180 - 50 * domain % 180])
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def write_label_files(folder: Path, *, first: int = 1) -> None:
    """The lists that PACS is delivered with, beside its folder `kfold`: labels from 1."""
    for domain in DOMAINS["PACS"]:
        lines = [
            f"{domain}/{one}/{path.name} {first + label}"
            for label, one in enumerate(CLASSES["PACS"])
            for path in sorted((folder / "kfold" / domain / one).iterdir())
        ]
        for part in ("train", "crossval", "test"):
            (folder / f"{domain}_{part}_kfold.txt").write_text("\n".join(lines) + "\n")
