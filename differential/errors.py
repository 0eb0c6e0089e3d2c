"""The one exception tree: everything smearcount raises on purpose descends from SmearcountError."""


class SmearcountError(Exception):
    """Something went wrong that the user can understand and mend; the message says what and how."""
