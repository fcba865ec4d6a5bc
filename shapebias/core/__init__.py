"""What a store holds and what its numbers mean. Never imports torch or textual."""
