"""What Chen, Agarwal & Nguyen (2020, arXiv 2006.09373) found for networks trained against attacks, and the pairs of
networks that come with the program: a standard one, and one that differs from it in nothing but that training."""

DEMO_PAIR = ("demo-s", "demo-r")  # of drawn images
PHOTO_PAIR = ("photo-s", "photo-r")  # of photos
