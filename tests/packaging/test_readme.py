"""The examples of the README as the check of the installation takes them."""

from __future__ import annotations

import re

import pytest

from clustersim.cli.main import COMMANDS
from tests.packaging.readme import Example, examples
from tests.packaging.reductions import LEFT_OUT, reduced, why_left_out
from tests.packaging.user import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
TEXT = """\
# Title

Try `clustersim catalogue H20`, not `clustersim study`; `cs.load_plan("a.yaml")`, `cs.Streams`.

```sh
clustersim run a.yaml --out out/a   # a comment
clustersim run b.yaml \\
    --out out/b --set 'x={y: 1}'

pip install torch
```

```yaml
# a.yaml
extends: b.yaml
```

```yaml
performance: {draw: 3}
```

```python
import clustersim
```

```text
clustersim never
```

In `clustersim topology
mixed-small` a line breaks.
"""


def test_examples_of_a_text() -> None:
    assert examples(TEXT) == [
        Example(3, "command", "clustersim catalogue H20"),
        Example(3, "python", 'import clustersim as cs\n\ncs.load_plan("a.yaml")\n'),
        Example(6, "command", "clustersim run a.yaml --out out/a"),
        Example(7, "command", "clustersim run b.yaml --out out/b --set 'x={y: 1}'"),
        Example(10, "command", "pip install torch"),
        Example(14, "file", "# a.yaml\nextends: b.yaml\n", "a.yaml"),
        Example(19, "snippet", "performance: {draw: 3}\n"),
        Example(23, "python", "import clustersim\n"),
        Example(30, "command", "clustersim topology mixed-small"),
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("clustersim plan p.yaml --out o", "clustersim plan p.yaml --out o --quick"),
        ("clustersim plan p.yaml --quick --out o", "clustersim plan p.yaml --quick --out o"),
        ("clustersim run --from a --run b --out c", "clustersim run --from a --run b --out c"),
        ("clustersim run s.yaml --out o", "clustersim run s.yaml --out o --set workload.jobs=300"),
        ("clustersim trace a.csv", "clustersim trace a.csv"),
        ("replications: 5 # or", "replications: 2 # or"),
    ],
)
def test_reductions(text: str, expected: str) -> None:
    assert reduced(text) == expected


def test_most_of_the_readme_is_tried() -> None:
    """What is left out is left out for a reason that another check or a cluster makes good."""
    found = examples(README)
    commands = [e.text for e in found if e.kind == "command" and why_left_out(e) is None]
    tried = {text.split()[1].replace("-", "_") for text in commands if text.startswith("clusters")}
    assert tried == {*COMMANDS} - {"measure"}
    assert [e.text for e in found if e.kind == "python" and why_left_out(e) is None]
    assert {e.name for e in found if e.kind == "file"} >= {"living.yaml", "my_policy.py"}
    left_out = [e for e in found if why_left_out(e) is not None]
    assert len(left_out) < len(found) / 5
    assert set(map(why_left_out, left_out)) <= {*LEFT_OUT.values()}


def test_files_of_the_project_in_the_readme_exist() -> None:
    named = re.findall(r"(?<![\w/.])(?:experiments|topologies|clustersim|tests)/[\w./-]*\w", README)
    assert len(named) > 20
    assert [path for path in named if not (ROOT / path).exists()] == []
