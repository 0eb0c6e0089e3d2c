"""The error of the simulation."""

from smearcount.differential.errors import SmearcountError


class SimulationError(SmearcountError):
    """The export asked for cannot be simulated."""
