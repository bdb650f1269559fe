"""`clustersim validate` and `clustersim.validate`: windows, files, text, errors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import clustersim as cs
from clustersim.cli.main import main
from clustersim.report.of_validation.answer import validation_answer
from clustersim.report.of_validation.page import validation_page
from clustersim.validation.case import case_of
from clustersim.workload import JobLog


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def site() -> pd.DataFrame:
    """The log of a site in which no user has more than 8 of 24 accelerators."""
    generator = np.random.default_rng(3)
    jobs = pd.DataFrame(
        {
            "job_id": np.arange(120),
            "submit_s": np.sort(generator.integers(0, 86400, 120)),
            "n_accelerators": generator.choice([2, 4, 8], 120),
            "duration_s": generator.integers(600, 7200, 120),
            "user": generator.choice(list("abc"), 120),
        }
    )
    start_s = np.empty(120)
    for _, own in jobs.groupby("user"):  # three users of 8: nobody waits for another
        rows = cs.replay(own, policy="fcfs", accelerators=8).jobs
        start_s[own.index] = rows["start_s"]
    return jobs.assign(start_s=start_s, vc=np.where(jobs["user"] == "a", "a", "bc"))


def test_a_limit_of_each_user_is_found_without_its_value(site: pd.DataFrame) -> None:
    found = cs.validate(site, accelerators=24, policies=["fcfs"])
    first = found.explanation
    assert first is not None
    assert first.name == "a limit of 8 running accelerators of a user"
    assert first.distance_s == 0.0
    sentence = validation_answer(found).sentence
    assert sentence.startswith("No: the nearest policy is fcfs, whose waits are ")
    assert "most of this is explained by a limit of 8 running accelerators of a user" in sentence
    assert sentence.endswith("granted to it, the distance is 0 s (100 % less).")


def test_groups_hold_what_was_recorded(site: pd.DataFrame) -> None:
    found = cs.validate(site, accelerators=24, policies=["fcfs", "easy"], mechanisms=False)
    groups = found.groups
    wait = site["start_s"] - site["submit_s"]
    row = groups.iloc[0]
    assert row["recorded_mean_wait_s"] == pytest.approx(wait.mean())
    assert row["recorded_p95_wait_s"] == pytest.approx(np.quantile(wait, 0.95))
    for kind, part in groups.groupby("kind"):
        assert part["jobs"].sum() == len(site), kind
    own = groups[(groups["kind"] == "partition") & (groups["group"] == "a")].iloc[0]
    assert own["recorded_mean_wait_s"] == pytest.approx(wait[site["vc"] == "a"].mean())
    hours = groups[groups["kind"] == "hour"].set_index("group")
    at = site["submit_s"] // 3600 == 5
    assert hours.loc["05", "recorded_median_wait_s"] == pytest.approx(wait[at].median())
    # The distance of all is not above that within partitions and sizes.
    table = found.policies.iloc[1:]
    assert (table["wasserstein_s"] <= table["distance_s"] + 1e-9).all()
    assert (table["distance_s"] <= table["error_s"] + 1e-9).all()


def test_the_result_is_the_same_again(site: pd.DataFrame) -> None:
    one, two = (cs.validate(site, accelerators=24, policies=["easy", "fcfs"]) for _ in range(2))
    assert one.policies.equals(two.policies)
    assert one.mechanisms.equals(two.mechanisms)
    assert one.jobs.equals(two.jobs)


def test_a_window_begins_with_what_ran_and_waited() -> None:
    """At 100 s, job 2 runs for 50 s more, job 3 waits; job 1 has ended."""
    jobs = pd.DataFrame(
        {
            "job_id": [1, 2, 3, 4, 5],
            "submit_s": [0.0, 10.0, 20.0, 120.0, 300.0],
            "start_s": [0.0, 50.0, 150.0, 250.0, 350.0],
            "n_accelerators": 4,
            "duration_s": [50.0, 100.0, 100.0, 100.0, 10.0],
            "estimate_s": [60.0, 120.0, 100.0, 100.0, 10.0],
        }
    )
    log = JobLog(jobs, 5, "jobs", "table")
    case = case_of(log, accelerators=4, since_s=100.0, until_s=200.0)
    assert case.jobs["job_id"].tolist() == [2, 3, 4]
    assert case.jobs["submit_s"].tolist() == [100.0, 100.0, 120.0]
    assert case.jobs["duration_s"].tolist() == [50.0, 100.0, 100.0]
    assert case.jobs["estimate_s"].tolist() == [70.0, 100.0, 100.0]
    assert case.compared.tolist() == [False, False, True]
    assert case.start_s.tolist() == [100.0, 150.0, 250.0]
    found = cs.validate(log, accelerators=4, since=100.0, until="200 s", policies=["fcfs"])
    assert found.starts["fcfs"].tolist() == [100.0, 150.0, 250.0]
    assert found.agrees
    assert any("1 of 5 jobs" in note and "2 jobs that ran" in note for note in found.notes)


def test_the_size_of_the_cluster_is_assumed_if_it_is_not_given(site: pd.DataFrame) -> None:
    found = cs.validate(site, policies=["fcfs"])
    start, end = site["start_s"], site["start_s"] + site["duration_s"]
    most = max(
        int(site["n_accelerators"][(start <= t) & (end > t)].sum()) for t in start
    )  # fmt: skip
    assert found.case.cluster.n_chips == most
    assert any("assumed" in note for note in found.notes)
    assert any("assumed" in text for text in validation_answer(found).hinges_on)


def test_waits_that_are_known_without_starts() -> None:
    jobs = pd.DataFrame(
        {"job_id": [1, 2], "submit_s": 0.0, "n_accelerators": 8, "duration_s": 100.0}
    )
    found = cs.validate(
        jobs, accelerators=8, policies=["fcfs"], recorded_wait={"mean": "80 s", "median": 60.0}
    )
    assert found.distance_s == 30.0
    assert found.policies["median_wait_s"].tolist() == [60.0, 50.0]
    reasons = {each.untested for each in found.tested if each.key == "start order"}
    assert reasons == {"this needs recorded starts"}
    assert found.use.empty


def test_jobs_that_can_never_run_are_left_out(site: pd.DataFrame) -> None:
    jobs = site.assign(n_accelerators=site["n_accelerators"].where(site.index != 7, 64))
    found = cs.validate(jobs, accelerators=24, policies=["fcfs"], mechanisms=False)
    assert len(found.jobs) == len(site) - 1
    assert "1 job can never run on the cluster and are left out" not in found.notes
    assert "1 job can never run on the cluster and is left out" in found.notes
    assert any(
        note.startswith("why: 1 job asks for more accelerators than the largest pool has (64; it")
        for note in found.notes
    )
    lab = {"accelerator": "H200", "nodes": 3, "chips_per_node": 8, "queues": ["main"]}
    named = site.assign(vc=np.where(site.index == 7, "mian", "main"))
    found = cs.validate(
        named,
        cluster={"name": "lab", "pools": {"h200": lab}},
        policies=["fcfs"],
        mechanisms=False,
    )
    (why,) = (note for note in found.notes if note.startswith("why: "))
    assert "'mian'" in why
    assert "did you mean 'main'?" in why


def test_the_command_without_a_page(site: pd.DataFrame, capsys: pytest.CaptureFixture[str]) -> None:
    site.to_csv("site.csv", index=False)
    command = ["validate", "site.csv", "--accelerators", "24", "--policies", "fcfs"]
    assert main([*command, "--out", "out", "--no-report"]) == 0
    text = capsys.readouterr().out
    assert "recorded" in text
    assert "a limit of 8 running accelerators of a user" in text
    assert "Answer: No: the nearest policy is" in text
    jobs = pd.read_parquet("out/jobs.parquet")
    assert jobs["recorded_start_s"].tolist() == site["start_s"].tolist()
    assert "fcfs_start_s" in jobs
    for name in ("policies", "groups", "mechanisms", "capacity"):
        assert len(pd.read_csv(f"out/{name}.csv")) > 0
    assert not Path("out/report.html").exists()
    assert main([*command, "--out", "out"]) == 2
    assert "exists already" in capsys.readouterr().err
    assert main([*command, "--json", "--no-mechanisms"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["mechanisms"] == []
    assert data["policies"][0]["waits"] == "recorded"


@pytest.mark.slow
def test_the_page(site: pd.DataFrame, capsys: pytest.CaptureFixture[str]) -> None:
    site.to_csv("site.csv", index=False)
    command = ["validate", "site.csv", "--accelerators", "24", "--policies", "fcfs,easy"]
    assert main([*command, "--placement", "spread", "--out", "out"]) == 0
    assert "page: out/report.html" in capsys.readouterr().out.replace("\\", "/")
    content = json.loads(Path("out/validation.json").read_text(encoding="utf-8"))
    assert content["answer"]["sentence"].startswith("No: ")
    assert content["command"] == (
        "clustersim validate site.csv --accelerators 24 --policies fcfs,easy --placement spread "
        "--out again"
    )
    assert content["placement"] == "spread"
    assert {"fcfs_start_s", "easy_start_s"} <= set(pd.read_parquet("out/jobs.parquet"))
    for name in ("waits", "mechanisms", "groups", "hours", "weeks", "capacity"):
        assert Path(f"out/figures/{name}.png").stat().st_size > 1000
    page = Path("out/report.html").read_text(encoding="utf-8")
    assert page.count("data:image/svg") == 6


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--policies", "fcfs,eazy"], "did you mean 'easy'"),
        (["--policies", ""], "must name one policy or more"),
        (["--policy", "easy"], "use --policies, such as --policies easy"),
        (["--partition-column", "uzer"], "did you mean 'user'"),
        (["--since", "3"], "'3' has no unit"),
        (["--since", "9 d"], "no job was submitted between --since and --until"),
        (["--recorded-wait", "mean=60 s"], "has recorded starts"),
        (["--cluster", "philly-like", "--accelerators", "8"], "not allowed with argument"),
        (["--accelerators", "0"], "allowed: 1 to"),
        (["--accelerators", "1"], "no job of the log can run on the cluster: 20 jobs ask for more"),
    ],
)
def test_unusable_options(
    arguments: list[str], words: str, site: pd.DataFrame, capsys: pytest.CaptureFixture[str]
) -> None:
    site.head(20).to_csv("site.csv", index=False)
    try:
        code = main(["validate", "site.csv", *arguments, "--out", "o"])
    except SystemExit as error:
        code = int(str(error.code))
    assert code == 2
    err = capsys.readouterr().err
    assert words in err
    assert "Traceback" not in err
    assert not Path("o").exists()


def test_the_page_says_why_no_mechanism_was_tested(site: pd.DataFrame) -> None:
    def said(jobs: pd.DataFrame) -> str:
        found = cs.validate(jobs, accelerators=240, policies=["fcfs"], mechanisms=False)
        (lacks,) = [
            section
            for section in validation_page(found, {}).sections
            if section.title == "What the simulation lacks"
        ]
        (text,) = lacks.parts
        return str(text)

    assert said(site) == "Mechanisms were not tested (--no-mechanisms)."
    same = said(site.assign(start_s=site["submit_s"]))
    assert same == "There is no difference to explain: the distance is at most 1 s."


def test_a_log_in_which_every_job_starts_before_its_submission(site: pd.DataFrame) -> None:
    early = site.assign(start_s=site["submit_s"] - 3600.0)
    with pytest.raises(cs.InputError, match=r"no wait to compare.* more than 60 s before"):
        cs.validate(early, accelerators=24)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "no recorded start of any job"),
        (["--recorded-wait", "mean=60 s"], "without recorded starts, "),
        (["--recorded-wait", "mean", "--accelerators", "8"], "must be like"),
        (["--recorded-wait", "men=60 s", "--accelerators", "8"], "did you mean 'mean'"),
        (["--recorded-wait", "median=60 s", "--accelerators", "8"], "the mean is needed"),
    ],
)
def test_logs_without_starts(
    arguments: list[str], words: str, site: pd.DataFrame, capsys: pytest.CaptureFixture[str]
) -> None:
    site.drop(columns="start_s").to_csv("site.csv", index=False)
    assert main(["validate", "site.csv", *arguments]) == 2
    assert words in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.full
def test_kth_has_a_night_queue(shared_data: Path) -> None:
    """Four months of KTH SP2: easy waits too little, and long jobs start in the evening."""
    log: Any = cs.read_jobs(shared_data / "traces" / "swf_kth_sp2.parquet")
    found = cs.validate(log, accelerators=100, until="120 d", policies=["easy"])
    assert not found.agrees
    first = found.explanation
    assert first is not None
    assert first.key == "hours"
    assert first.distance_s < 0.8 * found.distance_s


def test_options_are_those_of_the_candidates_that_have_them(site: pd.DataFrame) -> None:
    quotas = {"quotas": {"limits": {"user": dict.fromkeys("abc", 8)}}}
    options = {**quotas, "attained": "time"}
    found = cs.validate(
        site, accelerators=24, policies=["fcfs", "las"], options=options, mechanisms=False
    )
    assert "option attained applies to las only" in found.notes
    for policy, own in (("fcfs", quotas), ("las", options)):
        replayed = cs.replay(site, policy=policy, accelerators=24, options=own).jobs
        assert found.starts[policy].tolist() == replayed["start_s"].tolist()
        plain = cs.replay(site, policy=policy, accelerators=24).jobs
        assert plain["start_s"].tolist() != replayed["start_s"].tolist()


def test_mechanisms_are_tested_with_the_options(site: pd.DataFrame) -> None:
    quotas = {"quotas": {"limits": {"user": dict.fromkeys("abc", 8)}}}
    found = cs.validate(site, accelerators=24, policies=["easy"], options=quotas)
    exact = next(each for each in found.tested if each.key == "estimates")
    twice = site.assign(estimate_s=2.0 * site["duration_s"])
    own = cs.replay(twice, policy="easy", accelerators=24, options=quotas).jobs["start_s"]
    assert exact.start_s is not None
    assert exact.start_s.tolist() == own.tolist()


def test_options_of_the_command(
    site: pd.DataFrame, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    site.to_csv("jobs.csv", index=False)
    words = ["validate", "jobs.csv", "--accelerators", "24", "--no-mechanisms", "--no-report"]
    given = ["--option", "attained=time", "--policies", "fcfs,las"]
    assert main([*words, *given, "--out", "valid"]) == 0
    written = json.loads(Path("valid/validation.json").read_text())
    assert written["options"] == {"attained": "time"}
    assert "--option attained=time" in written["command"]
    capsys.readouterr()
    assert main([*words, "--option", "atained=time", "--policies", "las"]) == 2
    assert "did you mean 'attained'" in capsys.readouterr().err
    assert main([*words, "--placement-option", "rail=1"]) == 2
    assert "placement pooled" in capsys.readouterr().err
