"""The findings of Chen, Agarwal & Nguyen (2020, arXiv 2006.09373) on adversarially trained networks, and the built-in
pairs.

A built-in pair is a standard network, and one that differs from it only in adversarial training.
"""

DEMO_PAIR = ("demo-s", "demo-r")  # trained on drawn images
PHOTO_PAIR = ("photo-s", "photo-r")  # trained on photos
