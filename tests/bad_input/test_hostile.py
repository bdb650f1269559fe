"""Input that is made to break, or as good as: huge, tiny, endless and misleading."""

from __future__ import annotations

import re
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from clustersim import Policy
from clustersim.cli.main import main
from clustersim.errors import InputError
from clustersim.files import MOST_BYTES, parse_yaml, read_yaml
from clustersim.report.study import _write_table
from clustersim.scenario.changes import split_path
from clustersim.scheduling.plugins import interrupts_itself
from clustersim.scheduling.stalls import StalledError, stopped_when_stalled
from clustersim.simulation.simulate import Scheduling, simulate
from clustersim.spreadsheets import plain_cells
from clustersim.topology import Cluster, single_pool

Refuse = Callable[..., str]
RUN = ["run", "scenario.yaml", "--out", "out"]
CLASS = "workload/generate/classes/0/"

# --- Numbers --------------------------------------------------------------------------

ABSURD: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "a billion spares": (
        {
            "failures": {"sources": "meta-llama3", "spares": {"nodes": {"gpu": 10**9}}},
        },
        ("failures.spares.nodes.gpu", "10000000"),
    ),
    "a site of more nodes than numbers hold": (
        {"supply": {"site": {"limits": [{"nodes": 10**400}]}}},
        ("supply.site.limits[0].nodes", "10000000"),
    ),
    "a duration that is next to nothing": (
        {CLASS + "duration": {"kind": "constant", "value": "1e-320 min"}},
        ("duration.value", "'1e-320 min' is too small", "1 ns"),
    ),
    "a mean that is next to nothing": (
        {CLASS + "duration": {"kind": "exponential", "average": "1e-320 d"}},
        ("duration.average", "too small"),
    ),
    "failures without a pause": (
        {
            "failures": {
                "sources": [
                    {
                        "name": "f",
                        "time_to_failure": {"kind": "exponential", "average": "1e-6 d"},
                        "repair": {"kind": "constant", "value": "1 h"},
                    }
                ]
            }
        },
        ("failures", "sources.f: pool a would have a failure every", "must be at least 1 s"),
    ),
    "ageing that fails without a pause": (
        {
            "failures": {
                "sources": [
                    {
                        "name": "f",
                        "time_to_failure": {"kind": "weibull", "scale": "1 ms", "shape": 2},
                        "repair": {"kind": "constant", "value": "1 ns"},
                    }
                ]
            }
        },
        ("sources.f: pool a would have a failure every",),
    ),
    "tokens that are next to nothing": (
        {
            CLASS + "duration": None,
            CLASS + "model": "llama3-8b",
            CLASS + "tokens": {"kind": "constant", "value": 1e-320},
        },
        ("tokens.value", "0.000000001"),
    ),
    "a weight that is next to nothing": (
        {CLASS + "weight": 1e-320},
        ("classes[0].weight", "0.000000001"),
    ),
}


@pytest.mark.parametrize("case", ABSURD)
def test_absurd_numbers(refuse: Refuse, write_scenario: Callable[..., None], case: str) -> None:
    edits, words = ABSURD[case]
    write_scenario({"scheduler/placement": "consolidate", **edits})
    refuse(RUN, "scenario.yaml: ", *words)


# --- YAML -----------------------------------------------------------------------------


def bomb(levels: int) -> str:
    """Ten aliases a level: a few hundred bytes that stand for ten to the power of the levels."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{k}: &a{k} [{', '.join([f'*a{k - 1}'] * 10)}]" for k in range(1, levels)]
    return "\n".join(lines)


def test_aliases_that_multiply_are_refused_at_once(refuse: Refuse) -> None:
    Path("scenario.yaml").write_text(bomb(9))
    began = time.process_time()
    message = refuse(RUN, "scenario.yaml: ", "more than 100,000 values", "aliases")
    assert len(message) < 300
    assert time.process_time() - began < 5


def test_a_few_aliases_are_as_good_as_what_they_repeat(tmp_path: Path) -> None:
    path = tmp_path / "f.yaml"
    path.write_text("a: &a {x: 1}\nb: [*a, *a]\n")
    assert read_yaml(path) == {"a": {"x": 1}, "b": [{"x": 1}, {"x": 1}]}


def test_a_value_that_contains_itself(refuse: Refuse) -> None:
    Path("scenario.yaml").write_text("cluster: &c [*c]\n")
    refuse(RUN, "scenario.yaml: ", "contains itself")


def test_a_bomb_in_an_option(refuse: Refuse, write_scenario: Callable[..., None]) -> None:
    write_scenario({})
    flat = "{" + bomb(8).replace("\n", ", ") + "}"
    message = refuse([*RUN, "--set", f"workload={flat}"], "not valid YAML")
    assert len(message) < 400


def test_a_file_of_five_megabytes(refuse: Refuse) -> None:
    Path("scenario.yaml").write_text("cluster: x\n" + "# filler\n" * (5 * MOST_BYTES // 9))
    refuse(RUN, "scenario.yaml: ", "larger than 1 MB", "CSV")


def test_as_large_as_a_file_may_be(tmp_path: Path) -> None:
    path = tmp_path / "f.yaml"
    path.write_text("a: 1\n".ljust(MOST_BYTES, "#"))
    assert read_yaml(path) == {"a": 1}


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16(refuse: Refuse, encoding: str) -> None:
    mark = {"utf-16-le": b"\xff\xfe", "utf-16-be": b"\xfe\xff"}.get(encoding, b"")
    Path("scenario.yaml").write_bytes(mark + "cluster: mixed-small\n".encode(encoding))
    refuse(RUN, "scenario.yaml: is text in UTF-16; save it as UTF-8")


@pytest.mark.parametrize("order", ["LE", "BE"])
@pytest.mark.parametrize("wide", ["UTF-16", "UTF-32"])
@pytest.mark.parametrize("text", ["cluster: mixed-small\n", "说明: 训练作业\n名称: 甲\n"])
def test_wide_characters_without_a_mark(refuse: Refuse, wide: str, order: str, text: str) -> None:
    Path("scenario.yaml").write_bytes(text.encode(f"{wide}{order}"))
    reported = (
        f"is text in {wide} without a byte order mark; save it as UTF-8 (iconv -f {wide}{order} "
    )
    refuse(RUN, f"scenario.yaml: {reported}-t UTF-8)")


@pytest.mark.parametrize("encoding", ["utf-32", "utf-32-le", "utf-32-be"])
def test_utf_32(refuse: Refuse, encoding: str) -> None:
    mark = {"utf-32-le": b"\xff\xfe\0\0", "utf-32-be": b"\0\0\xfe\xff"}.get(encoding, b"")
    Path("scenario.yaml").write_bytes(mark + "cluster: mixed-small\n".encode(encoding))
    refuse(RUN, "scenario.yaml: is text in UTF-32; save it as UTF-8")


def test_what_else_is_no_yaml(refuse: Refuse) -> None:
    Path("scenario.yaml").write_bytes("name: Größe\n".encode("latin-1"))
    refuse(RUN, "is not UTF-8 text (byte 0xf6 in line 1), perhaps Latin-1")
    Path("scenario.yaml").write_bytes(b"PK\x03\x04" + bytes(100))
    refuse(RUN, "is a ZIP archive or an Excel workbook", "a YAML file is expected")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("horizon", "9" * 400),
        ("horizon", "9" * 400 + " d"),
        ("horizon", f"1 {'x' * 400}"),
        ("horizon", int("9" * 400)),
        ("workload/jobs", int("9" * 400)),
        ("workload/load", int("9" * 300)),
        ("workload/load", "9" * 400),
        ("seed", "9" * 400),
        ("time_zone", "9" * 400),
        ("start", "9" * 400),
        ("scheduler/policy", "9" * 400),
        ("9" * 400, 1),
        ("workload/generate/classes/0/sizes", {int("9" * 400): 1}),
        ("workload/generate/classes/0/duration", {"kind": "constant", "value": "9" * 400 + " s"}),
    ],
)
def test_numbers_of_400_digits_are_cut_in_messages(
    refuse: Refuse, write_scenario: Callable[..., None], field: str, value: object
) -> None:
    write_scenario({field: value})
    reported = refuse(RUN, "scenario.yaml: ", "...")
    assert not re.search(r"\w{80}", reported.replace("scenario.yaml", ""))


def test_huge_values_are_cut_in_messages(
    refuse: Refuse, write_scenario: Callable[..., None]
) -> None:
    write_scenario({"scheduler/policy": "x" * 50_000, "horizon": [["y" * 1000] * 100] * 20})
    assert len(refuse(RUN, "scenario.yaml: ")) < 2000


def test_repeated_values_are_counted_as_often_as_they_are_repeated() -> None:
    parse_yaml(bomb(4))
    with pytest.raises(ValueError, match="more than 100,000 values"):
        parse_yaml(bomb(5))


def test_a_long_list_is_refused_before_all_of_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not YAML comes after the values that are too many."""
    monkeypatch.setattr("clustersim.files.MOST_VALUES", 1000)
    with pytest.raises(ValueError, match="more than 1,000 values"):
        parse_yaml("a: [" + "1," * 1001 + "}")


# --- Names ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("all", "'all' is reserved for all pools together in results"),
        ("ALL", "'ALL' is reserved"),
        ("vc a", "'vc a' is reserved for virtual clusters in results"),
        ("h200.new", "write, for example, 'h200-new'"),
    ],
)
def test_names_that_pools_cannot_have(
    refuse: Refuse, write_scenario: Callable[..., None], name: str, words: str
) -> None:
    pools = {name: {"accelerator": "H200", "nodes": 1}}
    write_scenario({"cluster": {"name": "c", "pools": pools}})
    refuse(RUN, "cluster: pools: ", words)


def test_a_path_leads_to_names_with_dots_in_quotes() -> None:
    assert split_path('catalogue."My.Chip".price') == ["catalogue", "My.Chip", "price"]
    for wrong in ("", "a..b", ".a", "a.", "a.'b", 'a."".c'):
        with pytest.raises(InputError, match="is not a path"):
            split_path(wrong)


def test_a_class_with_a_dot_in_its_name_can_be_changed(
    write_scenario: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    write_scenario({CLASS + "name": "qwen2.5"})
    change = 'workload.generate.classes."qwen2.5".weight=3'
    assert main([*RUN, "--set", change]) == 0
    assert "weight: 3" in (Path("out") / "provenance.json").read_text().replace('"', "")


# --- Spreadsheets -----------------------------------------------------------------------


def test_texts_that_a_spreadsheet_would_run_are_shown_instead(tmp_path: Path) -> None:
    table = pd.DataFrame(
        {
            "case": ["=cmd|calc", "@SUM(A1)", "+1+cmd", "-2+3", "as it is", "-", "-5", "+1e9"],
            "=header": range(8),
            "mean": [-1.5] * 8,
        }
    )
    _write_table(table, tmp_path / "points")
    lines = (tmp_path / "points.csv").read_text().splitlines()
    assert lines[0] == "case,'=header,mean"
    shown = [line.split(",")[0] for line in lines[1:]]
    assert shown == ["'=cmd|calc", "'@SUM(A1)", "'+1+cmd", "'-2+3", "as it is", "-", "-5", "+1e9"]
    assert {line.split(",")[2] for line in lines[1:]} == {"-1.5"}
    categories = pd.DataFrame({"case": pd.Categorical(["=1", "b"])})
    assert plain_cells(categories)["case"].tolist() == ["'=1", "b"]


# --- Policies ---------------------------------------------------------------------------

ONE: Cluster = single_pool(8)
JOBS = pd.DataFrame(
    {"job_id": [1, 2], "submit_s": [0.0, 1.0], "n_accelerators": [8, 8], "duration_s": [5.0, 5.0]}
)
MINE = "from clustersim import Policy\nimport sys\n\nclass Mine(Policy):\n"
LEAVES = {
    "leaves with 0": ("sys.exit(0)", "SystemExit: 0"),
    "leaves": ("raise SystemExit", "SystemExit"),
    "interrupts": ("raise KeyboardInterrupt", "KeyboardInterrupt"),
    "closes": ("raise GeneratorExit", "GeneratorExit"),
}


@pytest.mark.parametrize("where", ["schedule(self, now)", "submit(self, job)", "__init__(self, q)"])
@pytest.mark.parametrize("case", LEAVES)
def test_a_policy_that_leaves_is_a_fault_of_its_file(
    refuse: Refuse, write_scenario: Callable[..., None], case: str, where: str
) -> None:
    body, words = LEAVES[case]
    extra = "" if where.startswith("schedule") else "    def schedule(self, now):\n        pass\n"
    Path("mine.py").write_text(f"{MINE}{extra}    def {where}:\n        {body}\n")
    write_scenario({"scheduler/policy": "mine.py"})
    refuse(RUN, "mine.py: ", words)
    assert main(["check-policy", "mine.py"]) == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    "body", ["while True:\n            pass", "for _ in iter(int, 1):\n            pass"]
)
def test_a_policy_that_never_comes_to_an_end_is_stopped(body: str) -> None:
    Path("mine.py").write_text(f"{MINE}    def schedule(self, now):\n        {body}\n")
    with pytest.raises(InputError, match=r"in schedule: did not finish within 1 s"):
        simulate(JOBS, ONE, Scheduling(policy="mine.py", longest_call_s=1.0))


@pytest.mark.slow
def test_a_policy_that_catches_everything_is_stopped_too() -> None:
    body = "while True:\n            try:\n                x = 1\n            except Exception:\n"
    source = f"{MINE}    def schedule(self, now):\n        {body}                pass\n"
    Path("mine.py").write_text(source)
    with pytest.raises(InputError, match="did not finish"):
        simulate(JOBS, ONE, Scheduling(policy="mine.py", longest_call_s=0.6))


@pytest.mark.slow
def test_a_placement_whose_construction_never_ends_is_stopped() -> None:
    Path("mine.py").write_text(
        "from clustersim.scheduling import Pooled\n\nclass Mine(Pooled):\n"
        "    def __init__(self, n_nodes, chips_per_node):\n        while True:\n            pass\n"
    )
    with pytest.raises(InputError, match=r"in __init__: did not finish within 0\.6 s"):
        simulate(JOBS, ONE, Scheduling(placement="mine.py", longest_call_s=0.6))


class Slow(Policy):
    """Takes its time at every pass, but comes to an end."""

    def schedule(self, now: float) -> None:
        time.sleep(0.4)
        for job in list(self.waiting):
            self.start(job)


@pytest.mark.slow
def test_a_slow_policy_is_not_stopped() -> None:
    result = simulate(JOBS, ONE, Scheduling(policy=Slow, longest_call_s=0.9))
    assert result.jobs["finish_s"].tolist() == [5.0, 10.0]


@pytest.mark.slow
def test_no_progress_is_reported_from_progress() -> None:
    with pytest.raises(StalledError), stopped_when_stalled(lambda: 0, 0.6):
        time.sleep(5)
    with stopped_when_stalled(time.monotonic, 0.6):
        time.sleep(1.5)
    assert signal.getsignal(signal.SIGVTALRM) == signal.SIG_DFL
    assert all(thread.name != "stalls" for thread in threading.enumerate())


@pytest.mark.usefixtures("interruptible")
def test_who_raises_an_interrupt() -> None:
    def raised(own: bool) -> KeyboardInterrupt:
        try:
            if own:
                raise KeyboardInterrupt
            signal.raise_signal(signal.SIGINT)
            time.sleep(1)
        except KeyboardInterrupt as error:
            return error
        raise AssertionError

    assert interrupts_itself(raised(True), (Slow,)) == (Slow.__module__ in __name__)
    assert not interrupts_itself(raised(False), (Slow,))
