"""Ablation: which units and groups of units a network's decisions depend on."""
