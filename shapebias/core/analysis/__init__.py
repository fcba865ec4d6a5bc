"""What follows from the numbers of a store: accuracies, comparisons, detectors, twins, whether it is whole."""
