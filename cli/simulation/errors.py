"""What can go wrong while simulating an analyzer."""

from smearcount.differential.errors import SmearcountError


class SimulationError(SmearcountError):
    """The export asked for cannot be simulated."""
