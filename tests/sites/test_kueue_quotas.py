"""Quotas of Kueue divide the nodes of a topology: small clusters worked out by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

import clustersim as cs
from clustersim.cli.main import main
from clustersim.sites import read_site
from clustersim.sites.kueue_quotas import LabelledNode, NodeQueues, node_queues
from clustersim.topology import resolve_cluster


def flavor(name: str, **labels: str) -> dict[str, Any]:
    spec = {"nodeLabels": labels} if labels else {}
    return {"kind": "ResourceFlavor", "metadata": {"name": name}, "spec": spec}


def cluster_queue(name: str, quotas: dict[str, int], **spec: Any) -> dict[str, Any]:
    flavors = [
        {
            "name": each,
            "resources": [
                {"name": "cpu", "nominalQuota": "4000"},
                {"name": "nvidia.com/gpu", "nominalQuota": str(quota)},
            ],
        }
        for each, quota in quotas.items()
    ]
    groups = [{"coveredResources": ["cpu", "nvidia.com/gpu"], "flavors": flavors}]
    return {
        "kind": "ClusterQueue",
        "metadata": {"name": name},
        "spec": {"resourceGroups": groups, **spec},
    }


def local_queue(name: str, target: str, namespace: str = "team") -> dict[str, Any]:
    meta = {"name": name, "namespace": namespace}
    return {"kind": "LocalQueue", "metadata": meta, "spec": {"clusterQueue": target}}


def found(items: list[dict[str, Any]], nodes: list[LabelledNode]) -> NodeQueues:
    result = node_queues(items, nodes)
    assert result is not None
    return result


H100, A100 = LabelledNode({"pool": "h100"}, 8), LabelledNode({"pool": "a100"}, 8)
FLAVORS = [flavor("h100", pool="h100"), flavor("a100", pool="a100")]


def test_each_cluster_queue_has_nodes_for_its_quota() -> None:
    items = [
        *FLAVORS,
        cluster_queue("research", {"h100": 16}),
        cluster_queue("prod", {"h100": 8, "a100": 16}),
        local_queue("llm", "research"),
        local_queue("vision", "research", "other"),
        local_queue("batch", "prod"),
    ]
    own = found(items, [H100] * 4 + [A100] * 2)
    assert sorted(own.queues[:4]) == [(), ("batch",), ("llm", "vision"), ("llm", "vision")]
    assert own.queues[4:] == (("batch",), ("batch",))
    assert any("flavor h100, 1 node has no queue (8 accelerators)" in note for note in own.notes)


def test_a_cohort_is_one_share() -> None:
    items = [
        *FLAVORS,
        cluster_queue("a", {"h100": 8}, cohort="all"),
        cluster_queue("b", {"h100": 8}, cohortName="below"),
        {"kind": "Cohort", "metadata": {"name": "below"}, "spec": {"parentName": "all"}},
        cluster_queue("alone", {"h100": 8}),
        *(local_queue(f"lq-{name}", name) for name in ("a", "b", "alone")),
    ]
    own = found(items, [H100] * 3)
    assert sorted(own.queues) == [("lq-a", "lq-b"), ("lq-a", "lq-b"), ("lq-alone",)]


def test_a_quota_of_less_than_whole_nodes_is_rounded_up() -> None:
    items = [*FLAVORS, cluster_queue("a", {"h100": 12}), local_queue("lq", "a")]
    own = found(items, [H100] * 3)
    assert own.queues == (("lq",), ("lq",), ())
    assert any("rounded to whole nodes" in note for note in own.notes)


def test_nodes_out_of_service_are_spread_over_the_shares() -> None:
    """Four of six nodes work: each of two equal shares has two of them and one that is out."""
    out = LabelledNode({"pool": "h100"}, 8, in_service=False)
    items = [
        *FLAVORS,
        *(cluster_queue(name, {"h100": 24}) for name in "ab"),
        *(local_queue(f"lq-{name}", name) for name in "ab"),
    ]
    queues = found(items, [out, H100, H100, out, H100, H100]).queues
    working = [queues[place] for place in (1, 2, 4, 5)]
    assert sorted(working) == [("lq-a",), ("lq-a",), ("lq-b",), ("lq-b",)]
    assert {queues[0], queues[3]} == {("lq-a",), ("lq-b",)}


def test_quotas_that_exceed_the_nodes_share_them() -> None:
    items = [
        *FLAVORS,
        *(cluster_queue(name, {"h100": 16}) for name in "ab"),
        *(local_queue(f"lq-{name}", name) for name in "ab"),
    ]
    own = found(items, [H100] * 3)
    assert set(own.queues) == {("lq-a", "lq-b")}
    assert any("are 32 accelerators, its nodes have 24" in note for note in own.notes)


def test_nodes_that_cannot_be_divided_are_shared() -> None:
    """Four quotas of 2 on a node of 8; three of 12 on five nodes, of which one would have 8."""
    for quota, names, count in ((2, "abcd", 1), (12, "abc", 5)):
        items = [
            *FLAVORS,
            *(cluster_queue(name, {"h100": quota}) for name in names),
            *(local_queue(f"lq-{name}", name) for name in names),
        ]
        own = found(items, [H100] * count)
        assert set(own.queues) == {tuple(f"lq-{name}" for name in names)}
        assert any("cannot be divided" in note for note in own.notes)


def test_quotas_are_rounded_to_whole_nodes_if_little_is_lost() -> None:
    """100 and 76 on 22 nodes of 8: 12 nodes and 10, and the first lacks 4 of 100."""
    items = [
        *FLAVORS,
        cluster_queue("a", {"h100": 100}),
        cluster_queue("b", {"h100": 76}),
        *(local_queue(f"lq-{name}", name) for name in "ab"),
    ]
    own = found(items, [H100] * 22)
    assert [own.queues.count((f"lq-{name}",)) for name in "ab"] == [12, 10]
    assert any("rounded to whole nodes" in note for note in own.notes)


def test_a_cohort_lends_only_flavors_that_a_cluster_queue_lists() -> None:
    items = [
        *FLAVORS,
        cluster_queue("h", {"h100": 8}, cohort="all"),
        cluster_queue("a", {"a100": 8}, cohort="all"),
        cluster_queue("both", {"h100": 0, "a100": 0}, cohort="all"),
        *(local_queue(f"lq-{name}", name) for name in ("h", "a", "both")),
    ]
    assert found(items, [H100, A100]).queues == (("lq-h", "lq-both"), ("lq-a", "lq-both"))


def test_queues_that_neither_borrow_nor_lend_are_shares_of_their_own() -> None:
    """Three queues of a cohort with a node each: `closed` has its own, the others share two."""
    closed = cluster_queue("closed", {"h100": 8}, cohort="all")
    closed["spec"]["resourceGroups"][0]["flavors"][0]["resources"][1] |= {
        "borrowingLimit": "0", "lendingLimit": 0
    }  # fmt: skip
    items = [
        FLAVORS[0],
        closed,
        *(cluster_queue(name, {"h100": 8}, cohort="all") for name in "ab"),
        *(local_queue(f"lq-{name}", name) for name in ("closed", "a", "b")),
    ]
    own = found(items, [H100] * 3)
    assert sorted(own.queues) == [("lq-a", "lq-b"), ("lq-a", "lq-b"), ("lq-closed",)]
    assert not any("limits of borrowing" in note for note in own.notes)


def test_a_parent_cohort_has_a_quota_of_its_own() -> None:
    group = cluster_queue("x", {"h100": 16})["spec"]["resourceGroups"]
    items = [
        *FLAVORS,
        {"kind": "Cohort", "metadata": {"name": "top"}, "spec": {"resourceGroups": group}},
        {"kind": "Cohort", "metadata": {"name": "team"}, "spec": {"parentName": "top"}},
        cluster_queue("a", {"h100": 0}, cohortName="team"),
        local_queue("lq", "a"),
    ]
    assert found(items, [H100] * 3).queues == (("lq",), ("lq",), ())


def test_flavors_with_nodes_in_common_are_divided_together() -> None:
    spot = LabelledNode({"pool": "h100", "spot": "yes"}, 8)
    items = [
        *FLAVORS,
        flavor("spot", spot="yes"),
        cluster_queue("a", {"h100": 8}),
        cluster_queue("b", {"spot": 8}),
        *(local_queue(f"lq-{name}", name) for name in "ab"),
    ]
    own = found(items, [H100, spot])
    assert sorted(own.queues) == [("lq-a",), ("lq-b",)]


def test_flavors_without_an_object_are_said() -> None:
    items = [
        *(cluster_queue(name, {name: 8}) for name in "abc"),
        *(local_queue(f"lq-{name}", name) for name in "abc"),
    ]
    own = found(items, [H100] * 3)
    assert own.queues == (("lq-a",), ("lq-b",), ("lq-c",))
    assert any("without the ResourceFlavors a, b and c" in note for note in own.notes)


def test_labels_that_no_node_has_are_said() -> None:
    items = [flavor("b200", pool="b200"), cluster_queue("a", {"b200": 8}), local_queue("lq", "a")]
    own = found(items, [H100])
    assert own.queues == ((),)
    assert any("no node with accelerators has the labels of flavor b200" in x for x in own.notes)
    assert any("1 node matches no flavor" in x for x in own.notes)


@pytest.mark.parametrize("quota", ["16", 16, "16.", "16000m", "0.016k", "1.6e1", "1.6E1"])
def test_quantities_of_kubernetes(quota: object) -> None:
    queue = cluster_queue("a", {"h100": 0})
    flavors = queue["spec"]["resourceGroups"][0]["flavors"]
    flavors[0]["resources"][1]["nominalQuota"] = quota
    own = found([*FLAVORS, queue, local_queue("lq", "a")], [H100] * 3)
    assert own.queues == (("lq",), ("lq",), ())


def test_what_cannot_be_kept_is_said() -> None:
    limited = cluster_queue("a", {"h100": 8}, cohort="all", stopPolicy="Hold")
    limited["spec"]["resourceGroups"][0]["flavors"][0]["resources"][1]["borrowingLimit"] = "4"
    items = [
        *FLAVORS,
        limited,
        cluster_queue(
            "b",
            {"h100": 8},
            preemption={"withinClusterQueue": "LowerPriority"},
            queueingStrategy="StrictFIFO",
        ),
        local_queue("default", "a", "one"),
        local_queue("default", "b", "two"),
        cluster_queue("idle", {"a100": 8}, cohort="all"),
    ]
    notes = " ".join(found(items, [H100, H100, A100]).notes)
    for words in (
        "limits of borrowing and lending (a)",
        "preemption (b)",
        "StrictFIFO (b) is that of --policy fcfs",
        "stopped ClusterQueues (a)",
        "no LocalQueue points to idle",
    ):
        assert words in notes


def test_local_queues_of_one_name_are_told_apart_by_their_cluster_queues() -> None:
    """Both teams of `a` share a queue; `default` points to two ClusterQueues, `own` to one."""
    items = [
        FLAVORS[0],
        *(cluster_queue(name, {"h100": 8}) for name in "ab"),
        *(
            local_queue("default", target, space)
            for space, target in zip("xyz", "aab", strict=True)
        ),
        *(local_queue("own", "b", space) for space in "xz"),
    ]
    own = found(items, [H100] * 2)
    assert own.queues == (("x/default", "y/default"), ("z/default", "own"))
    assert not any("same name" in note for note in own.notes)


def test_a_cluster_queue_that_is_not_in_the_list_is_said(tmp_path: Path) -> None:
    node = {"kind": "Node", "metadata": {"name": "n"}, "status": {"capacity": {"a.b/gpu": "8"}}}
    queues = [local_queue("lq", "gone"), local_queue("other", "gone"), local_queue("mine", "here")]
    for items, known in (([node, *queues], ["gone", "here"]),
                         ([node, *queues, cluster_queue("here", {"x": 8})], ["gone"])):  # fmt: skip
        listing = tmp_path / "nodes.json"
        listing.write_text(json.dumps({"kind": "List", "items": items}))
        notes = [note for note in read_site(listing).notes if "not in the list" in note]
        assert [note.split(", which")[0] for note in notes] == [
            f"LocalQueues lq and other point to the ClusterQueue {name}" if name == "gone"
            else "LocalQueue mine points to the ClusterQueue here"
            for name in known
        ]  # fmt: skip
        assert all("kubectl get clusterqueues" in note for note in notes)


def test_nodes_beyond_the_quotas_are_those_in_service() -> None:
    """A quota of a node, three nodes, of which one is out: one node in service is beyond it."""
    out = LabelledNode({"pool": "h100"}, 8, in_service=False)
    items = [*FLAVORS, cluster_queue("a", {"h100": 8}), local_queue("lq", "a")]
    own = found(items, [out, H100, H100])
    assert own.queues == ((), ("lq",), ())
    assert own.flavors == (("h100",),) * 3
    note = "beyond the quotas of flavor h100, 1 node has no queue (8 accelerators)"
    assert note in own.notes


def test_a_node_out_of_service_beyond_the_quotas_makes_no_pool() -> None:
    """A quota of a node and two nodes, of which one is out: both are of the only queue."""
    out = LabelledNode({"pool": "h100"}, 8, in_service=False)
    items = [*FLAVORS, cluster_queue("a", {"h100": 8}), local_queue("lq", "a")]
    own = found(items, [out, H100])
    assert own.queues == (("lq",), ("lq",))
    assert not any("beyond" in note or "rounded" in note for note in own.notes)


def of_sizes(*sizes: int) -> list[LabelledNode]:
    return [LabelledNode({"pool": "h100"}, size) for size in sizes]


def shares_of(own: NodeQueues, sizes: tuple[int, ...]) -> dict[tuple[str, ...], int]:
    """Return the accelerators of each set of queues."""
    total: dict[tuple[str, ...], int] = {}
    for queues, size in zip(own.queues, sizes, strict=True):
        total[queues] = total.get(queues, 0) + size
    return total


@pytest.mark.parametrize(
    ("quotas", "sizes"),
    [
        ({"a": 4, "b": 16}, (8, 8, 4)),  # the first node is not for `a`
        ({"a": 8, "b": 16}, (4, 4, 16)),
        (
            {"a": 4, "b": 4, "c": 792},
            (8,) * 99 + (4, 4),
        ),  # the small nodes are for the small quotas
    ],
)
def test_quotas_that_fit_nodes_of_several_sizes(
    quotas: dict[str, int], sizes: tuple[int, ...]
) -> None:
    items = [
        FLAVORS[0],
        *(cluster_queue(name, {"h100": quota}) for name, quota in quotas.items()),
        *(local_queue(f"lq-{name}", name) for name in quotas),
    ]
    own = found(items, of_sizes(*sizes))
    assert shares_of(own, sizes) == {(f"lq-{name}",): quota for name, quota in quotas.items()}
    assert not any("divided" in note or "rounded" in note for note in own.notes)


def test_a_small_quota_has_a_node_beside_a_large_one() -> None:
    """792, 4 and 4 on 100 nodes of 8: each small one has a node; the largest lacks 8 of 792."""
    quotas = {"a": 792, "b": 4, "c": 4}
    items = [
        FLAVORS[0],
        *(cluster_queue(name, {"h100": quota}) for name, quota in quotas.items()),
        *(local_queue(f"lq-{name}", name) for name in quotas),
    ]
    own = found(items, of_sizes(*(8,) * 100))
    assert shares_of(own, (8,) * 100) == {("lq-a",): 784, ("lq-b",): 8, ("lq-c",): 8}


def test_a_queue_without_a_node_in_service_shares_those_of_the_others() -> None:
    """Two quotas of a node, of which one is out: else the jobs of one queue could never run."""
    out = LabelledNode({"pool": "h100"}, 8, in_service=False)
    items = [
        FLAVORS[0],
        *(cluster_queue(name, {"h100": 8}) for name in "ab"),
        *(local_queue(f"lq-{name}", name) for name in "ab"),
    ]
    own = found(items, [H100, out])
    assert own.queues == (("lq-a", "lq-b"),) * 2
    assert any("its nodes have 16 (8 in service) and cannot be" in note for note in own.notes)
    none = found(items, [out, out])
    assert sorted(none.queues) == [("lq-a",), ("lq-b",)]
    assert "no node of flavor h100 is in service" in none.notes


def test_a_queue_without_quota_does_not_share_what_cannot_be_divided() -> None:
    """Two quotas of 16 on 16 accelerators share them; a queue with quota 0 may not use them."""
    items = [
        FLAVORS[0],
        *(cluster_queue(name, {"h100": quota}) for name, quota in (("a", 16), ("b", 16), ("z", 0))),
        *(local_queue(f"lq-{name}", name) for name in "abz"),
    ]
    own = found(items, [H100] * 2)
    assert set(own.queues) == {("lq-a", "lq-b")}
    assert any("among 2 shares" in note for note in own.notes)


def test_a_quota_of_a_cohort_for_a_flavor_that_none_of_its_queues_lists() -> None:
    """The cohort's node of h100 has no queue; that of a100 is the queue's, as is its quota."""
    group = cluster_queue("x", {"h100": 8})["spec"]["resourceGroups"]
    items = [
        *FLAVORS,
        {"kind": "Cohort", "metadata": {"name": "all"}, "spec": {"resourceGroups": group}},
        cluster_queue("a", {"a100": 8}, cohort="all"),
        local_queue("lq", "a"),
    ]
    own = found(items, [H100, A100])
    assert own.queues == ((), ("lq",))
    assert (
        "no ClusterQueue of a cohort with a quota of flavor h100 lists its resources: 1 node has "
        "no queue (8 accelerators)" in own.notes
    )
    labels = [flavor("h100", pool="h100"), flavor("a100")]  # every node is one of a100
    own = found([*labels, *items[2:]], [H100] * 3)
    assert sorted(own.queues) == [(), (), ("lq",)]


def test_quotas_that_cannot_be_read_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    queue, cohort = cluster_queue("a", {"h100": 8}), cluster_queue("all", {"a100": -1})
    queue["spec"]["resourceGroups"][0]["flavors"][0]["resources"][1] |= {
        "nominalQuota": "eight", "lendingLimit": "1 Kg"
    }  # fmt: skip
    node = {"kind": "Node", "metadata": {"name": "n"}, "status": {"capacity": {"a.b/gpu": "8"}}}
    listing = tmp_path / "nodes.json"
    items = [node, *FLAVORS, queue, {**cohort, "kind": "Cohort"}]
    listing.write_text(json.dumps({"kind": "List", "items": items}))
    assert main(["topology", "--from", str(listing)]) == 2
    printed = " ".join(capsys.readouterr().err.split())
    for words in (
        "3 problems",
        "ClusterQueue a, flavor h100, nvidia.com/gpu, nominalQuota: found 'eight'",
        "ClusterQueue a, flavor h100, nvidia.com/gpu, lendingLimit: found '1 Kg'",
        "Cohort all, flavor a100, nvidia.com/gpu, nominalQuota: found '-1'",
    ):
        assert words in printed


def test_chips_of_aws_that_are_listed_as_cores_too_count_once() -> None:
    """Two queues of 16 chips, each with its cores: 16 chips are two nodes of 8."""
    queues = [cluster_queue(name, {"h100": 0}) for name in "ab"]
    for queue in queues:
        queue["spec"]["resourceGroups"][0]["flavors"][0]["resources"] = [
            {"name": "aws.amazon.com/neuron", "nominalQuota": 16},
            {"name": "aws.amazon.com/neuroncore", "nominalQuota": 32},
        ]
    items = [FLAVORS[0], *queues, *(local_queue(f"lq-{name}", name) for name in "ab")]
    own = found(items, [H100] * 4)
    assert [own.queues.count((f"lq-{name}",)) for name in "ab"] == [2, 2]
    assert not any("divided" in note for note in own.notes)


def test_no_quota_of_accelerators() -> None:
    assert node_queues([*FLAVORS, local_queue("lq", "a")], [H100]) is None
    assert node_queues([cluster_queue("a", {"h100": 0})], [H100]) is None


def test_from_kubectl_to_a_replay(tmp_path: Path) -> None:
    """Two queues with a node each: their jobs wait for their own node, not for the other one."""
    node = {
        "kind": "Node",
        "status": {
            "capacity": {"nvidia.com/gpu": "8"},
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }
    labels = {"pool": "h100", "nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"}
    items = [
        *({**node, "metadata": {"name": f"n{k}", "labels": labels}} for k in range(2)),
        FLAVORS[0],
        *(cluster_queue(name, {"h100": 8}) for name in "ab"),
        *(local_queue(f"lq-{name}", name) for name in "ab"),
    ]
    listing, topology = tmp_path / "nodes.json", tmp_path / "site.yaml"
    listing.write_text(json.dumps({"kind": "List", "items": items}))
    assert {each.name for each in read_site(listing).partitions} == {"lq-a", "lq-b"}
    assert main(["topology", "--from", str(listing), "--out", str(topology)]) == 0
    pools = yaml.safe_load(topology.read_text())["pools"]
    assert [(pool["nodes"], pool["queues"]) for pool in pools.values()] == [
        (1, ["lq-a"]), (1, ["lq-b"]),
    ]  # fmt: skip
    assert [pool["flavors"] for pool in pools.values()] == [["h100"], ["h100"]]
    jobs = pd.DataFrame(
        {
            "job_id": [1, 2, 3],
            "submit_s": [0.0, 0.0, 0.0],
            "n_accelerators": 8,
            "duration_s": 100.0,
            "partition": ["lq-a", "lq-a", "lq-b"],
        }
    )
    cluster = cs.compile_cluster(cs.load_cluster(topology, cs.load_catalogue()))
    result = cs.replay(jobs, cluster=cluster, policy="fcfs")
    assert result.jobs["start_s"].tolist() == [0.0, 100.0, 0.0]


def test_a_job_runs_on_the_nodes_of_the_queue_of_its_namespace() -> None:
    """Three jobs of `lq`: those of namespace x wait for its own node, that of y has another."""
    pool = {"accelerator": "H100", "nodes": 1, "chips_per_node": 8}
    tree = {
        "name": "two teams",
        "pools": {space: {**pool, "queues": [f"{space}/lq"]} for space in "xy"},
    }
    jobs = pd.DataFrame(
        {
            "job_id": ["x/one", "x/two", "y/one"],
            "submit_s": 0.0,
            "n_accelerators": 8,
            "duration_s": 100.0,
            "partition": "lq",
        }
    )
    cluster = cs.compile_cluster(resolve_cluster(tree, cs.load_catalogue()))
    result = cs.replay(jobs, cluster=cluster, policy="fcfs")
    assert result.jobs["start_s"].tolist() == [0.0, 100.0, 0.0]
    assert result.jobs["pool"].tolist() == ["x", "x", "y"]
