"""Adversarial attacks: which there are, and how they are carried out."""
