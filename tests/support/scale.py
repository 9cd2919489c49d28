"""Results of the scale experiments."""

from loadtest.results.metrics import Distribution
from loadtest.scale.experiments import Capacity, Overhead
from loadtest.scale.process_usage import Usage
from loadtest.scale.results import ScaleResults


def results(cores: dict[str, float], replicas: int = 1, machine_cores: int = 8) -> ScaleResults:
    found = ScaleResults({}, {}, machine_cores)
    found.capacities[replicas] = Capacity(100.0, 0, Usage(cores, {}))
    late = Distribution(5, 3.0, 3.0, 4.0, 5.0, 6.0, 7.0)
    found.overheads[replicas] = Overhead(50.0, 0, late, late, Usage({}, {}))
    return found
