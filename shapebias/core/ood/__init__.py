"""Out of distribution: sets of stimuli of the sixteen categories, what is decided for them, and who errs alike."""
