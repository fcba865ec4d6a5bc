"""Sets of stimuli out of distribution: what people and models decide for them, accuracies, and error consistency.

They decide among sixteen everyday categories, or among those that a network's own classes make up.
"""
