"""What kubectl prints instead of the objects that were asked for, and what to do then."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from clustersim.units import listed

__all__ = ["EMPTY_LIST", "is_empty_list", "kubectl_error", "other_objects"]

EMPTY_LIST = (
    "the list has no items: kubectl found no such object (`kubectl get ... -A -o json` asks all "
    "namespaces)"
)
"""What is wrong with a list without objects."""
_ERROR = re.compile(
    r"\s*(?:Error from server\b|No resources found|Unable to connect to the server"
    r"|The connection to the server )"
)
_ANY_ERROR = re.compile(r"\s*[Ee]rror: ")
"""An error of kubectl itself, but of other programs too."""
_WORDS_OF_KUBECTL = re.compile(
    r"(?i)kubectl|kubeconfig|the server doesn't have a resource type|logged in to the server"
    r"|no matches for kind|unable to match a printer|exec plugin|the server could not find"
    r"|configuration info|no configuration has been provided|(?:current-)?context\b.* (?:not|no) "
    r"|named cannot be retrieved|getting credentials|unknown (?:shorthand )?flag"
    r"|arguments in resource/name form|the path \".*\" does not exist|unable to recognize"
    r"|you must specify (?:the type|one)|must specify the type of resource"
)
_AROUND = re.compile(r"\s*(?:\S*[$#>%] |Warning: |[EWI]\d{4} )")
"""How a prompt, a warning and a line of kubectl's own log begin."""
_NODES = ("Node",)
_QUOTAS = ("ClusterQueue", "LocalQueue", "ResourceFlavor", "Cohort", "Topology")


def is_empty_list(document: Any) -> bool:
    """Return whether a document is a list of Kubernetes objects without one.

    Examples
    --------
    >>> is_empty_list({"apiVersion": "v1", "kind": "List", "items": []}), is_empty_list({})
    (True, False)
    """
    return (
        isinstance(document, dict)
        and document.get("items") == []
        and str(document.get("kind")).endswith("List")
        and "apiVersion" in document
    )


def kubectl_error(text: str) -> str | None:
    """Return what is wrong with a text of nothing but errors of kubectl; None with anything else.

    Examples
    --------
    >>> kubectl_error("No resources found\\n")
    "holds what kubectl printed instead of objects: 'No resources found'"
    >>> kubectl_error("error: none\\njob_id,submit_s\\n") is None
    True
    >>> kubectl_error("error: slurm_persist_conn_open_without_init: failed\\n") is None
    True
    """
    lines = [line.strip() for line in text[:20_000].split("\n") if line.strip()]
    named = any("kubectl" in line.lower() for line in lines)
    errors = [
        line
        for line in lines
        if _ERROR.match(line)
        or (_ANY_ERROR.match(line) and (named or _WORDS_OF_KUBECTL.search(line)))
    ]
    if not errors or any(not _AROUND.match(line) for line in lines if line not in errors):
        return None
    return f"holds what kubectl printed instead of objects: {errors[0][:200]!r}"


def other_objects(kinds: Iterable[str]) -> str:
    """Return what objects of other kinds than jobs are for, and what has the jobs.

    Examples
    --------
    >>> print(other_objects(["Node"]))
    lists nodes (Node), which are for `clustersim topology --from`; jobs are in workloads, jobs or \
pods (`kubectl get workloads -A -o json`)
    """
    given = sorted(set(kinds))
    if set(given) <= {*_NODES, *_QUOTAS}:
        noun = "nodes" if set(given) <= set(_NODES) else "parts of the cluster"
        what = f"lists {noun} ({listed(given)}), which are for `clustersim topology --from`; "
    else:
        what = f"objects of kind {listed(given)} are not read; "
    return f"{what}jobs are in workloads, jobs or pods (`kubectl get workloads -A -o json`)"
