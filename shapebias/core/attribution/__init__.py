"""Which attribution methods there are, and what a store holds of what they found."""
