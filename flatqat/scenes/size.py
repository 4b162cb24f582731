"""Height and width of every scene, in pixels."""

HEIGHT, WIDTH = 96, 192
