"""Adversarial attacks: their settings, and the attack itself."""
