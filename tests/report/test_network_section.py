"""The section on the network of the page of a run, and the load of a run in `topology`."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import clustersim as cs
from clustersim.analysis.network_slowdown import slowdowns_by_size
from clustersim.cli.main import main
from clustersim.report.of_run.network_section import network_section
from clustersim.report.page import Figure, Table
from clustersim.report.run_answer import run_answer
from clustersim.report.run_tables import RunTables
from clustersim.simulation.metrics import network_loss

FABRIC = {"type": "rail-optimised", "rails": 1, "unit_nodes": 2, "oversubscription": {"leaf": 4}}
GANG = {
    "name": "gang",
    "weight": 1,
    "sizes": {8: 1, 16: 1, 32: 1},
    "duration": {"kind": "exponential", "average": "1 h"},
}
SCENARIO: dict[str, Any] = {
    "name": "gangs",
    "cluster": {
        "name": "eight nodes",
        "pools": {"gpu": {"accelerator": "H200", "nodes": 8, "fabric": FABRIC}},
    },
    "workload": {
        "generate": {
            "reference_accelerator": "H200",
            "arrivals": {"mean_interarrival": "30 min"},
            "classes": [GANG],
        },
        "jobs": 60,
    },
    "scheduler": {"placement": "random"},
    "network": {"communication_share": 0.5},
}


def saved(folder: Path, **changes: Any) -> Path:
    (folder / "s.yaml").write_text(json.dumps({**SCENARIO, **changes}))
    assert main(["run", str(folder / "s.yaml"), "--out", str(folder / "out"), "--quiet"]) == 0
    return folder / "out"


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(tmp_path_factory.mktemp("ran"))


def shown(folder: Path) -> str:
    text = re.sub(
        r"<script>.*?</script>", "", (folder / "report.html").read_text(), flags=re.DOTALL
    )
    return html.unescape(re.sub(r"<[^>]+>", " ", text)).replace("\xa0", " ")


def test_the_section_has_pictures_and_tables(ran: Path) -> None:
    result = cs.Result.load(ran)
    text, *parts = network_section(result, ran)
    assert isinstance(text, str)
    lost = result.attempts["network_s"] @ result.attempts["n_accelerators"]  # type: ignore[index]
    held = result.attempts["end_s"] - result.attempts["start_s"]  # type: ignore[index]
    share = lost / (held @ result.attempts["n_accelerators"])  # type: ignore[index]
    assert text.startswith(f"Jobs lose {share:.1%} of their".replace("%", " %"))
    figures = [part for part in parts if isinstance(part, Figure)]
    assert [figure.title for figure in figures] == [
        "Load of shared links",
        "Load of the links of pool gpu",
    ]
    tables = {part.title: part.frame for part in parts if isinstance(part, Table)}
    links = tables["Busiest shared links"]
    assert links["group"].tolist()[0].startswith("leaf ")
    assert links["mean"].is_monotonic_decreasing
    name, mean = links["group"][0], f"{links['mean'][0]:.0%}".replace("%", " %")
    assert f"leads out of {name} of pool gpu; its load is {mean} on average" in text
    assert tables["Network slowdown by job size"]["size"].tolist()[0] == "all"
    page = shown(ran)
    for words in ("Network slowdown by job size", "Busiest shared links", text):
        assert words in page


def test_runs_without_a_network_have_no_section(tmp_path: Path) -> None:
    without = {name: own for name, own in SCENARIO.items() if name != "network"}
    (tmp_path / "s.yaml").write_text(json.dumps(without))
    assert main(["run", str(tmp_path / "s.yaml"), "--out", str(tmp_path / "out"), "--quiet"]) == 0
    assert network_section(cs.Result.load(tmp_path / "out"), None) == []
    assert "Busiest shared links" not in shown(tmp_path / "out")


def test_without_contention_only_slowdowns_are_shown(tmp_path: Path) -> None:
    folder = saved(tmp_path, network={"contention": False})
    lost, why, table = network_section(cs.Result.load(folder), None)
    assert "Jobs lose " in str(lost)
    assert "network.contention is false" in str(why)
    assert isinstance(table, Table)


def test_a_full_fabric_has_no_links_to_show(tmp_path: Path) -> None:
    pool = {"accelerator": "H200", "nodes": 8, "fabric": {**FABRIC, "oversubscription": {}}}
    folder = saved(tmp_path, cluster={"name": "full", "pools": {"gpu": pool}})
    parts = network_section(cs.Result.load(folder), None)
    assert parts[1] == "No job used a link that can be full."
    assert not any(isinstance(part, Figure) for part in parts)


def test_a_result_in_python_has_no_fabric(ran: Path) -> None:
    spec = cs.topology.resolve_cluster(SCENARIO["cluster"], cs.load_catalogue())
    jobs = pd.DataFrame({"job_id": [1], "submit_s": 0, "n_accelerators": 32, "duration_s": 60})
    scheduling = cs.Scheduling(placement="consolidate")
    result = cs.simulate(jobs, cs.compile_cluster(spec), scheduling, network={})
    titles = [part.title for part in network_section(result, None) if isinstance(part, Figure)]
    assert titles == ["Load of shared links"]


def test_topology_shows_the_load_of_a_run(
    ran: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "busy.svg"
    assert main(["topology", "--load", str(ran), "--plot", str(picture)]) == 0
    printed = capsys.readouterr().out
    assert "Load of shared links" in printed
    assert "mean load of shared links:" in picture.read_text() or picture.stat().st_size > 10_000
    assert main(["topology", "--load", str(ran), "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert {row["group"] for row in data["load"]} == {0, 1, 2, 3}
    for arguments, problem in (
        (["h20-pod", "--load", str(ran)], "says on which topology it ran; leave out FILE"),
        ([], "needs FILE, --load DIR or --from FILE"),
        (["--load", str(tmp_path)], "has no"),
    ):
        assert main(["topology", *arguments]) == 2
        assert problem in capsys.readouterr().err


def test_metrics_draws_the_distributions_of_runs(
    ran: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    packed = saved(tmp_path, scheduler={"placement": "topology_aware"})
    picture = tmp_path / "slow.png"
    words = ["metrics", "p95_network_slowdown", str(ran), str(packed), "--plot", str(picture)]
    assert main(words) == 0
    assert f"wrote {picture}" in capsys.readouterr().out
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert main([*words[:-1], str(tmp_path / "b.png"), "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["files"] == [str(tmp_path / "b.png")]
    assert main(["metrics", str(ran), "--plot", str(tmp_path / "c.png"), "--quiet"]) == 0
    assert (tmp_path / "c.png").is_file()
    capsys.readouterr()
    for arguments, problem in (
        (["utilisation", str(ran), "--plot", "x.png"], "utilisation: no statistic over jobs"),
        (["p95_wait_s", "--plot", "x.png"], "--plot: needs the folder of at least one run"),
    ):
        assert main(["metrics", *arguments]) == 2
        assert problem in capsys.readouterr().err


def test_the_answer_begins_with_the_network_if_it_costs_much(ran: Path, tmp_path: Path) -> None:
    result = cs.Result.load(ran)
    lost = network_loss(result.attempts)  # type: ignore[arg-type]
    assert lost > 0.1
    answer = run_answer(result, RunTables.of(result))
    share = f"{lost:.1%}".replace("%", " %")
    mean = slowdowns_by_size(result)["mean"][0]
    assert answer.sentence.startswith(
        f"Jobs lose {share} of their accelerator time to the network; finished jobs run {mean:.2f} "
    )
    assert answer.hinges_on[0].startswith(f"The network: it takes {share}")
    assert "placement (random)" in answer.hinges_on[0]
    assert "(topology_aware)" in answer.next_steps[0]
    assert answer.sentence in shown(ran)
    near = saved(tmp_path, scheduler={"placement": "topology_aware"})
    answer = run_answer(cs.Result.load(near), RunTables.of(cs.Result.load(near)))
    assert "less oversubscription" in answer.next_steps[0]


def test_the_answer_leaves_the_network_out_if_it_costs_little(tmp_path: Path) -> None:
    result = cs.Result.load(saved(tmp_path, network={"communication_share": 0.02}))
    assert 0 < network_loss(result.attempts) <= 0.1  # type: ignore[arg-type]
    answer = run_answer(result, RunTables.of(result))
    texts = (answer.sentence, *answer.hinges_on, *answer.next_steps)
    assert not any("etwork" in text for text in texts)
