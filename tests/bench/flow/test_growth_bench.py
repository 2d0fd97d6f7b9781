"""No stage may cost more than its share: ten times the parts cost about ten times the processor seconds."""

from pathlib import Path

import pytest

from tests.bench.flow.growth import measure, planned

LINEAR = 10
TOLERATED = 1.5
NOTICEABLE_SECONDS = 1.0
"""Below this a stage's cost is mostly that of starting."""


@pytest.mark.bench
@pytest.mark.timeout(3600)
def test_no_stage_grows_faster_than_the_crawl(tmp_path: Path) -> None:
    few, many = (
        measure(planned(tmp_path / str(parts), parts, partitions=4), parts, count=100) for parts in (300, 3000)
    )
    growth = {name: seconds / max(few[name], NOTICEABLE_SECONDS) for name, seconds in many.items()}
    print(growth)
    assert {name: times for name, times in growth.items() if times > LINEAR * TOLERATED} == {}
