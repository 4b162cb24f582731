"""Which suites are of street scenes."""

OF_CITYSCAPES = (
    "cityscapes-acdc", "cityscapes-acdc-pooled", "cityscapes-c-live", "dark-zurich", "nighttime-driving",
    "bdd100k",
)  # fmt: skip
SUITES = (*OF_CITYSCAPES, "camvid-dusk")
