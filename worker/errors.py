"""What can go wrong with the queue and around it."""

from smearcount.differential.errors import SmearcountError


class WorkerError(SmearcountError):
    """A worker cannot be started as it is set up."""


class BrokerUnavailable(WorkerError):
    """The broker does not answer; another try may succeed."""
