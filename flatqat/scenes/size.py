"""Height and width of every drawn scene, in pixels. No imports, so that the suite can name them."""

HEIGHT, WIDTH = 96, 192
