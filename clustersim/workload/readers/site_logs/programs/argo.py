"""Workflows of Argo: ``kubectl get workflows -A -o json`` and ``argo list -A -o json``.

Fields: "Field Reference" of Argo Workflows (WorkflowStatus, NodeStatus, Template). Each pod of a
workflow is a job. Its node begins when the pod is created. ``resourcesDuration`` has the seconds
times the accelerators, from which the run time of its containers follows.
"""

from __future__ import annotations

import base64
import gzip
import json
import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from clustersim.workload.readers.site_logs.devices import is_device
from clustersim.workload.readers.site_logs.programs.kubernetes_pods import Object, pod_devices

__all__ = ["workflow_rows"]

_WAITS = ("Pending", "Omitted", "Skipped")
_MARK = re.compile(r"\{\{\s*([\w.-]+)\s*\}\}")


def workflow_rows(item: Object) -> Iterator[dict[str, Any]]:
    """Yield a record for each pod of a workflow; one without a size if its nodes are elsewhere."""
    meta, status = item["metadata"], item.get("status") or {}
    namespace = str(meta.get("namespace", "default"))
    nodes = _nodes(status)
    if not nodes:
        yield _whole(status)
        return
    templates = _templates(item)
    tries = {
        str(child)
        for node in nodes.values()
        if node.get("type") == "Retry"
        for child in node.get("children") or []
    }
    pods = {key: node for key, node in nodes.items() if node.get("type") == "Pod"}
    for key, node in pods.items():
        name = str(node.get("name") or node.get("id") or key)
        name = re.sub(r"\(\d+\)$", "", name) if key in tries else name
        yield {"job_id": f"{namespace}/{name}", **_node(node, _template(node, templates))}
    if not pods:
        yield {"reason": "noise"}


def _nodes(status: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return the nodes of a workflow, which may be compressed."""
    packed = status.get("compressedNodes")
    if not status.get("nodes") and packed:
        return dict(json.loads(gzip.decompress(base64.b64decode(packed))))
    return dict(status.get("nodes") or {})


def _whole(status: Mapping[str, Any]) -> dict[str, Any]:
    """Return the record of a workflow whose nodes are not in it (kept in a database)."""
    ended = status.get("finishedAt")
    return {
        "start": status.get("startedAt"),
        "end": ended,
        "n": None,
        "state": None if ended else status.get("phase") or "Pending",
    }


def _templates(item: Object) -> dict[str, Mapping[str, Any]]:
    """Return the templates that a workflow has or refers to, by the last part of their names."""
    spec, status = item.get("spec") or {}, item.get("status") or {}
    stored = status.get("storedWorkflowTemplateSpec") or {}
    found = dict(status.get("storedTemplates") or {})
    for template in [*(stored.get("templates") or []), *(spec.get("templates") or [])]:
        found[str(template.get("name"))] = template
    return found


def _template(
    node: Mapping[str, Any], templates: Mapping[str, Mapping[str, Any]]
) -> Mapping[str, Any] | None:
    reference = node.get("templateRef") or {}
    if reference:
        ending = f"{reference.get('name')}/{reference.get('template')}"
        return next((one for key, one in templates.items() if key.endswith(ending)), None)
    return templates.get(str(node.get("templateName")))


def _node(node: Mapping[str, Any], template: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return times and accelerators of a pod."""
    n = None if template is None else _devices(node, template)
    created, ended, phase = node.get("startedAt"), node.get("finishedAt"), node.get("phase")
    row = {"submit": created, "start": created, "end": ended, "n": n}
    if phase in _WAITS:
        return {**row, "start": None, "state": "Pending"}
    if not ended:
        return {**row, "state": "Running"}
    used = sum(
        float(seconds)
        for name, seconds in (node.get("resourcesDuration") or {}).items()
        if "/" in name and is_device(name)
    )
    whole = (_instant(ended) - _instant(str(created))).total_seconds()
    if n and 0 < used / n <= whole:
        start = _instant(ended) - timedelta(seconds=used / n)
        row |= {"start": start.isoformat(), "run_s": used / n}
    return row


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def _devices(node: Mapping[str, Any], template: Mapping[str, Any]) -> float | None:
    """Return the accelerators of a pod of a template; None if a parameter tells them elsewhere."""
    given = (node.get("inputs") or {}).get("parameters") or []
    values = {
        f"inputs.parameters.{one.get('name')}": json.dumps(str(one.get("value")))[1:-1]
        for one in given
    }

    def filled(value: Any) -> Any:
        text = json.dumps(value)
        return json.loads(_MARK.sub(lambda mark: values.get(mark[1], mark[0]), text))

    main = template.get("container") or template.get("script")
    grouped = (template.get("containerSet") or {}).get("containers") or []
    containers = filled([*([main] if main else grouped), *(template.get("sidecars") or [])])
    patch = template.get("podSpecPatch")
    if patch and containers:
        containers = _patched(containers, str(filled(patch)))
        if containers is None:
            return None
    spec = {"containers": containers, "initContainers": filled(template.get("initContainers"))}
    if any(is_device(name) and "{{" in str(amount) for name, amount in _amounts(containers)):
        return None
    return pod_devices(spec)


def _patched(containers: list[Any], patch: str) -> list[Any] | None:
    """Return the containers with the resources of a patch; None if it cannot be read."""
    try:
        patches = (json.loads(patch).get("containers") or []) if patch.strip() else []
    except (json.JSONDecodeError, AttributeError):
        return None
    main = {**containers[0]}
    for one in patches:
        if one.get("name", "main") == "main" and one.get("resources"):
            main["resources"] = one["resources"]
    return [main, *containers[1:]]


def _amounts(containers: list[Any]) -> Iterator[tuple[str, Any]]:
    for one in containers:
        for part in ((one or {}).get("resources") or {}).values():
            if isinstance(part, Mapping):
                yield from ((str(name), amount) for name, amount in part.items())
