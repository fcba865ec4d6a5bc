"""Reading stores and interpreting their numbers. Never imports torch or textual."""
