"""The errors a user can cause: one clear line that says what to do, and an exit code."""


class ShapebiasError(Exception):
    """The command cannot go on; its text is one line for the user. Exit code 1."""

    exit_code = 1


class UsageError(ShapebiasError):
    """The command line asks for something that does not exist or does not fit. Exit code 2."""

    exit_code = 2
