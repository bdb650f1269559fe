"""History of HTCondor: ``condor_history -json``, ``-long`` and the history files.

Attributes: "Job ClassAd Attributes" in the HTCondor manual.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from html import unescape
from typing import Any

from clustersim.meanings import squashed
from clustersim.workload.readers.site_logs.class_ads import attribute_value, class_ads
from clustersim.workload.readers.site_logs.content import Content
from clustersim.workload.readers.site_logs.devices import UNCOUNTED, is_device, uncounted
from clustersim.workload.readers.site_logs.records import Records, records_of
from clustersim.workload.readers.site_logs.text_tables import TextTable

__all__ = [
    "condor_records",
    "condor_row",
    "is_condor_columns",
    "is_condor_json",
    "is_condor_text",
    "is_condor_xml",
    "read_condor_json",
    "read_condor_text",
    "read_condor_xml",
]

_STATES = {
    1: "Pending",
    2: "Running",
    3: "Cancelled",
    4: "Completed",
    5: "Held",
    6: "Running",
    7: "Suspended",
}
"""Values of JobStatus; transferring output is running."""


def is_condor_json(content: Content) -> bool:
    """Return whether the file is what ``condor_history -json`` prints."""
    return any(
        _is_ad(document) or (isinstance(document, list) and bool(document) and _is_ad(document[0]))
        for document in content.documents
    )


def _is_ad(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    keys = {key.lower() for key in value}
    return "clusterid" in keys or {"globaljobid", "qdate"} <= keys or {"qdate", "jobstatus"} <= keys


def is_condor_text(content: Content) -> bool:
    """Return whether the file has ClassAds, one attribute a line."""
    ads, _ = class_ads(content.head)
    names = {name.lower() for ad in ads for name in ad.attributes}
    return "clusterid" in names or {"qdate", "jobstatus"} <= names


def read_condor_json(content: Content) -> Records:
    """Read ``condor_history -json``."""
    ads = []
    for document in content.documents:
        ads += document if isinstance(document, list) else [document]
    rows = [condor_row(ad) for ad in ads if isinstance(ad, dict)]
    return records_of(rows, "htcondor")


def read_condor_text(content: Content) -> Records:
    """Read ClassAds as text: of ``condor_history -long``, or of a history file."""
    ads, others = class_ads(content.lines)
    rows: list[dict[str, Any]] = [{**condor_row(ad.attributes), "line": ad.line} for ad in ads]
    rows += [{"row": f"line {line}", "line": line, "reason": "noise"} for line in others]
    rows.sort(key=lambda row: row["line"])
    return records_of(rows, "htcondor")


_XML_AD = re.compile(r"<c>(.*?)</c>", re.S)
_XML_ATTRIBUTE = re.compile(r'<a n="([^"]+)">\s*<([a-z]+)(?: v="([^"]*)")?\s*/?>(?:([^<]*)</)?')


def is_condor_xml(content: Content) -> bool:
    """Return whether the file has ClassAds in XML, as ``condor_history -xml`` prints them."""
    return any("<classads>" in line for line in content.head[:10])


def read_condor_xml(content: Content) -> Records:
    """Read ``condor_history -xml``."""
    rows = []
    for ad in _XML_AD.findall(content.text):
        values: dict[str, Any] = {}
        for name, kind, mark, text in _XML_ATTRIBUTE.findall(ad):
            values[name] = unescape(text) if kind == "s" else attribute_value(mark or text)
        rows.append(condor_row(values))
    return records_of(rows, "htcondor")


def is_condor_columns(names: Iterable[str]) -> bool:
    """Return whether the columns of a table are attributes, as ``condor_history -af:h`` prints."""
    known = {squashed(name) for name in names}
    return "qdate" in known and bool({"clusterid", "jobstatus", "requestgpus"} & known)


def condor_records(found: TextTable) -> Records:
    """Return the records of a table whose columns are attributes."""
    names = [str(name) for name in found.table]
    rows = [
        {
            **condor_row(
                {name: attribute_value(cell) for name, cell in zip(names, cells, strict=True)}
            ),
            "line": line,
        }
        for line, *cells in found.table.itertuples()
    ]
    for reason, lines in (("noise", found.noise), ("malformed", found.malformed)):
        rows += [{"row": name, "line": line, "reason": reason} for line, name in lines.items()]
    return records_of(rows, "htcondor")


def condor_row(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the record of the job in a ClassAd."""
    ad = {name.lower(): value for name, value in given.items()}
    status = _number(ad.get("jobstatus"))
    start = _number(ad.get("jobstartdate")) or _number(ad.get("jobcurrentstartdate"))
    wall = _number(ad.get("remotewallclocktime"))
    end = _number(ad.get("completiondate")) or None
    if end is None and status == 3:  # a removed job has no date of completion
        end = _number(ad.get("enteredcurrentstatus"))
    if not start and not wall:
        end = None
    elif end is None and status in (3, 4) and start and wall:
        end = start + wall
    if ad.get("id") and ad.get("clusterid") is None:  # printed by -af:j
        cluster, _, process = str(ad["id"]).partition(".")
        ad |= {"clusterid": cluster, "procid": process or 0}
    ident = (
        f"{_number(ad['clusterid']):.0f}.{_number(ad.get('procid')) or 0:.0f}"
        if (_number(ad.get("clusterid")) is not None)
        else ad.get("globaljobid")
    )
    limit = _number(ad.get("maxwalltimemins"))
    count = _accelerators(ad)
    owner = ad.get("owner") or str(ad.get("user") or "").partition("@")[0]
    return {
        "job_id": ident,
        "submit": _number(ad.get("qdate")),
        "start": start or None,
        "end": end,
        "run_s": wall,
        "limit_s": None if limit is None else limit * 60.0,
        "n": count,
        UNCOUNTED: None if count else uncounted(_requests(ad)),
        "state": _state(status, bool(wall)),
        "user": owner or None,
        "account": ad.get("accountinggroup") or ad.get("acctgroup"),
        "partition": ad.get("joblane") or ad.get("projectname"),
    }


def _state(status: float | None, ran: bool) -> str | None:
    """Return the state of a job; one that ran and waits again, or is held, has not ended."""
    if status is None or (ran and status in (1, 5)):
        return None
    return _STATES.get(int(status))


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or value is None:
        return None
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def _requests(ad: Mapping[str, Any]) -> list[str]:
    """Return the resources for which a job asks."""
    return [name[7:] for name, value in ad.items() if name.startswith("request") and value]


def _accelerators(ad: Mapping[str, Any]) -> float | None:
    """Return the accelerators of a job: those it was given, else those it asked for."""
    hosts = 1.0
    if _number(ad.get("jobuniverse")) == 11:  # parallel universe: one request a node
        hosts = max(
            _number(ad.get("currenthosts")) or 0,
            _number(ad.get("machinecount")) or 0,
            _number(ad.get("maxhosts")) or 0,
            1.0,
        )
    given = _number(ad.get("gpusprovisioned"))
    if given is not None:
        return given * hosts
    assigned = ad.get("assignedgpus")
    if isinstance(assigned, str) and assigned.strip():
        return len([one for one in re.split(r"[,\s]+", assigned) if one]) * hosts
    asked = ad.get("requestgpus")
    if asked is None:  # a resource that the site has defined, such as RequestNPUs
        names = [name for name in ad if name.startswith("request") and is_device(name[7:])]
        if not names:
            return 0.0
        asked = ad[names[0]]
    number = _number(asked)
    return None if number is None else number * hosts
