"""Shape or texture: names of stimuli, the sixteen categories, decisions, and observers beside each other."""
