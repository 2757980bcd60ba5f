"""How many generated cases a property is held on."""

import pytest
from hypothesis import HealthCheck, settings


def few_or_many(few: int, many: int) -> pytest.MarkDecorator:
    """A test gets `examples`, and decorates the property that it holds with them.

    A few cases in the default run, many in the slow one.
    """

    def cases(number: int) -> settings:
        quiet = list(HealthCheck)
        return settings(max_examples=number, deadline=None, suppress_health_check=quiet)

    return pytest.mark.parametrize(
        "examples",
        [
            pytest.param(cases(few), id="few"),
            pytest.param(cases(many), id="many", marks=pytest.mark.slow),
        ],
    )
