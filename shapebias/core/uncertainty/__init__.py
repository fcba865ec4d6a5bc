"""The uncertainty of numbers: intervals, and tests."""
