"""The topology files of the repository: they load, fit their schema, and say what they assume."""

from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest

from clustersim.files import read_yaml
from clustersim.topology import ClusterSpec, compile_cluster, load_cluster, summarise

FOLDER = Path(__file__).resolve().parents[2] / "topologies"
FILES = sorted(FOLDER.glob("*.yaml"))


@pytest.fixture(params=FILES, ids=lambda path: path.stem)
def path(request) -> Path:
    return request.param


def test_the_promised_files_are_there():
    names = {path.stem for path in FILES}
    assert names >= {
        "h200-superpod",
        "h20-pod",
        "atlas-910b-pod",
        "seedchip-pod",
        "bytedance-2026",
        "mixed-small",
        "philly-like",
    }


def test_file_loads_under_its_own_name(path, catalogue):
    spec = load_cluster(path, catalogue)
    assert spec.name == path.stem
    assert load_cluster(path.stem, catalogue) == spec
    assert compile_cluster(spec).n_chips == summarise(spec).chips


def test_file_fits_the_exported_schema(path):
    jsonschema.validate(read_yaml(path), ClusterSpec.model_json_schema())


def test_every_pool_says_where_its_size_is_from(path, catalogue):
    spec = load_cluster(path, catalogue)
    for pool in spec.pools.values():
        assert pool.notes
        if catalogue.accelerator(pool.accelerator).hypothetical:
            assert any("assumption" in note for note in pool.notes)


def test_schema_describes_every_field():
    schema = ClusterSpec.model_json_schema()
    for model in (schema, *schema["$defs"].values()):
        for name, field in model.get("properties", {}).items():
            assert "description" in field or "$ref" in field, name


def test_spec_survives_json(path, catalogue):
    spec = load_cluster(path, catalogue)
    again = ClusterSpec.model_validate(spec.model_dump(mode="json"))
    assert summarise(again) == summarise(spec)


def test_fleet_sizes_follow_from_the_reports(catalogue):
    spec = load_cluster("bytedance-2026", catalogue)
    nodes = {name: pool.nodes for name, pool in spec.pools.items()}
    assert nodes == {
        "h200": int(160e9 / 2 / 1.5e6),  # half of 160e9 CNY, 1.5e6 CNY a server
        "h20": int(2e9 / ((12_000 + 15_000) / 2) / 8),  # 2e9 USD, 12,000 to 15,000 USD a chip
        "910b": 100_000 // 8,
        "seedchip": 100_000 // 8,
    }
    assert summarise(spec).chips == 774_808


def test_small_mixed_cluster_has_the_fleet_in_small(catalogue):
    small = summarise(load_cluster("mixed-small", catalogue))
    fleet = summarise(load_cluster("bytedance-2026", catalogue))
    assert [pool.name for pool in small.pools] == [pool.name for pool in fleet.pools]
    for one, other in zip(small.pools, fleet.pools, strict=True):
        assert 64 <= one.chips <= 256
        assert one.chips / small.chips == pytest.approx(other.chips / fleet.chips, abs=0.03)


def test_philly_virtual_clusters_are_those_of_the_helios_authors(catalogue, shared_data):
    import json

    per_vc = json.loads((shared_data / "traces" / "stats.json").read_text())["philly_2017"][
        "per_vc"
    ]
    expected = {name: vc["assumed_gpus"] // 8 for name, vc in per_vc.items() if vc["assumed_gpus"]}
    spec = load_cluster("philly-like", catalogue)
    assert spec.pools["gpu"].virtual_cluster_nodes() == expected
    assert sum(expected.values()) == spec.pools["gpu"].nodes == 352
