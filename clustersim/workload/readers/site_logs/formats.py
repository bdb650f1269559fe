"""The formats of logs of sites, in the order in which they are tried."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from clustersim.workload.readers.site_logs.content import Content
from clustersim.workload.readers.site_logs.json_rows import is_json_table, json_table
from clustersim.workload.readers.site_logs.programs.batsim import is_batsim, read_batsim
from clustersim.workload.readers.site_logs.programs.classads import (
    is_condor_json,
    is_condor_text,
    is_condor_xml,
    read_condor_json,
    read_condor_text,
    read_condor_xml,
)
from clustersim.workload.readers.site_logs.programs.condor_events import (
    is_condor_events,
    read_condor_events,
)
from clustersim.workload.readers.site_logs.programs.gavel import is_gavel, read_gavel
from clustersim.workload.readers.site_logs.programs.grid_engine import (
    is_accounting,
    is_qacct,
    read_accounting_file,
    read_qacct,
)
from clustersim.workload.readers.site_logs.programs.json_jobs import is_json_jobs, read_json_jobs
from clustersim.workload.readers.site_logs.programs.kubernetes import is_kubernetes, read_kubernetes
from clustersim.workload.readers.site_logs.programs.lsf import (
    is_lsb_acct,
    is_lsf_text,
    read_lsb_acct,
    read_lsf_text,
)
from clustersim.workload.readers.site_logs.programs.pbs import is_pbs, read_pbs
from clustersim.workload.readers.site_logs.programs.pbs_jobs import (
    is_qstat,
    is_qstat_json,
    is_tracejob,
    read_qstat,
    read_qstat_json,
    read_tracejob,
)
from clustersim.workload.readers.site_logs.programs.ray_jobs import is_ray_list, read_ray_list
from clustersim.workload.readers.site_logs.programs.slurm_json import is_slurm_json, read_slurm_json
from clustersim.workload.readers.site_logs.programs.slurm_records import (
    is_slurm_records,
    read_slurm_records,
)
from clustersim.workload.readers.site_logs.records import Records
from clustersim.workload.readers.site_logs.tables import records_of_table
from clustersim.workload.readers.site_logs.unusable import is_unusable, refuse_unusable

__all__ = ["JSON_FORMATS", "TEXT_FORMATS", "SiteFormat"]


class SiteFormat(NamedTuple):
    """A format: its name, whether a file has it, and its records."""

    name: str
    matches: Callable[[Content], bool]
    read: Callable[[Content], Records]


JSON_FORMATS = (
    SiteFormat("slurm-json", is_slurm_json, read_slurm_json),
    SiteFormat("kubernetes", is_kubernetes, read_kubernetes),
    SiteFormat("ray", is_ray_list, read_ray_list),
    SiteFormat("batsim", is_batsim, read_batsim),
    SiteFormat("htcondor", is_condor_json, read_condor_json),
    SiteFormat("pbs", is_qstat_json, read_qstat_json),
    SiteFormat("json-jobs", is_json_jobs, read_json_jobs),
    SiteFormat("unusable", is_unusable, refuse_unusable),
    SiteFormat("json", is_json_table, lambda content: records_of_table(json_table(content))),
)
TEXT_FORMATS = (
    SiteFormat("lsf", is_lsb_acct, read_lsb_acct),
    SiteFormat("pbs", is_pbs, read_pbs),
    SiteFormat("pbs", is_qstat, read_qstat),
    SiteFormat("pbs", is_tracejob, read_tracejob),
    SiteFormat("slurm", is_slurm_records, read_slurm_records),
    SiteFormat("grid-engine", is_qacct, read_qacct),
    SiteFormat("grid-engine", is_accounting, read_accounting_file),
    SiteFormat("lsf", is_lsf_text, read_lsf_text),
    SiteFormat("htcondor", is_condor_text, read_condor_text),
    SiteFormat("htcondor", is_condor_xml, read_condor_xml),
    SiteFormat("htcondor", is_condor_events, read_condor_events),
    SiteFormat("ray", is_ray_list, read_ray_list),
    SiteFormat("gavel", is_gavel, read_gavel),
    SiteFormat("unusable", is_unusable, refuse_unusable),
)
"""Formats of text other than tables, which are tried last."""
