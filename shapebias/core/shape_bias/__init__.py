"""Shape or texture: names of stimuli, the sixteen categories, decisions, and the comparison of observers."""
