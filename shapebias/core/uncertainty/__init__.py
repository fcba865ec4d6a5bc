"""How certain numbers are: intervals, and tests."""
