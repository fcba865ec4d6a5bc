"""Sets of stimuli out of distribution: decisions of observers among sixteen categories, accuracies, and error
consistency.
"""
