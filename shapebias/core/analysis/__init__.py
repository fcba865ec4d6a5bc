"""Analyses of the numbers in a store: accuracies, comparisons, detectors, twins, and verification."""
