"""Errors that a user can cause: each has one line that says what to do, and an exit code."""


class ShapebiasError(Exception):
    """The command cannot continue. Its text is one line for the user. Exit code 1."""

    exit_code = 1


class UsageError(ShapebiasError):
    """The command line asks for something that does not exist or is not possible. Exit code 2."""

    exit_code = 2
