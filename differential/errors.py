"""The base of all exceptions that smearcount raises on purpose."""


class SmearcountError(Exception):
    """An error that the user can understand and correct; the message says what is wrong and what to do."""
