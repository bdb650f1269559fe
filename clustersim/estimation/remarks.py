"""Read sizes and switches of a plan from the free text of a row if no column states them.

A setting is read if it stands alone between commas or semicolons (``capacity factor 1; expert TP
2``) and no earlier word of the same sentence negates it. Any other sentence may be about another
run (``ETP 2 was slower``) and is not read.
"""

from __future__ import annotations

import re

__all__ = ["expert_tp_in", "mixtures_in"]

_BEGIN = r"(?:^|[,(])\s*(?:(?:with|using)\s+)?"
_END = r"\s*(?=$|[,)])"
_EXPERT_TP = re.compile(
    _BEGIN + r"(?P<said>(?:expert[-_ ](?:tp|tensor[-_ ]parallel)(?:[-_ ]size)?|etp)(?: of)?[ =:]*"
    r"(?P<size>[1-9]\d*))" + _END,
    re.IGNORECASE,
)
_MODULES = (
    "core_attn",
    "core attention",
    "attention",
    "layernorm",
    "layer norms?",
    "mla_up_proj",
    "mlp",
    "moe_act",
    "moe",
    "shared_experts",
    "shared experts",
)
"""Modules that Megatron-Core's ``--recompute-modules`` can name, and common words for them."""
_MODULE = rf"(?:{'|'.join(_MODULES)})"
_LIST = rf"{_MODULE}(?:(?:\s*[,+&]\s*(?:and\s+)?|\s+and\s+|\s+){_MODULE})*"
_MIXTURES = (
    re.compile(
        _BEGIN + r"(?P<said>(?:--)?(?:selective\s+)?recompute(?:[-_ ]modules)?[ =:]+"
        rf"(?P<list>{_LIST}))" + _END,
        re.IGNORECASE,
    ),
    re.compile(
        _BEGIN + r"(?P<said>(?P<list>moe)[-_]recompute\s*[=:]\s*(?:1|yes|true|on))" + _END,
        re.IGNORECASE,
    ),
)
_SELECTIVE = re.compile(
    rf"selective(?:\s+recompute)?\s*[ :=(+,]\s*(?:modules\s*[:=]?\s*)?(?P<list>{_LIST})\s*\)?",
    re.IGNORECASE,
)
_DENIAL = re.compile(
    r"\b(?:not?|non|never|without|unlike|except|instead|neither|nor)\b|n't\b", re.IGNORECASE
)
_SENTENCE = re.compile(r";|\.(?:\s|$)")


def expert_tp_in(remark: str) -> tuple[int, str] | None:
    """Return the expert tensor parallel size that a remark gives, and the matching words.

    The result is None if the remark gives no size or several sizes.

    Examples
    --------
    >>> expert_tp_in("capacity factor 1; expert TP 2")
    (2, 'expert TP 2')
    >>> expert_tp_in("ETP 2 was slower, whole experts here")
    """
    found = _said(_EXPERT_TP, remark)
    sizes = {int(match["size"]) for match in found}
    return (sizes.pop(), found[0]["said"]) if len(sizes) == 1 else None


def mixtures_in(recompute: str, remark: str) -> tuple[str, str] | None:
    """Return which column states that mixtures of experts are recomputed, and the matching words.

    Parameters
    ----------
    recompute : str
        Text of the column `recompute`: ``selective`` and a list of modules.
    remark : str
        Free text.

    Returns
    -------
    tuple of str, optional
        Name of the column, ``recompute`` or ``notes``, and the words; None if neither column states
        it.

    Examples
    --------
    >>> mixtures_in("selective (layernorm, moe)", "")
    ('recompute', 'moe')
    >>> mixtures_in("selective", "recompute layernorm+moe")
    ('notes', 'recompute layernorm+moe')
    >>> mixtures_in("none (moe: none)", "we do not recompute the moe layers")
    """
    listed = _SELECTIVE.fullmatch(recompute.strip())
    if listed is not None and (word := _moe(listed["list"])):
        return "recompute", word
    for pattern in _MIXTURES:
        for match in _said(pattern, remark):
            if _moe(match["list"]):
                return "notes", match["said"]
    return None


def _moe(modules: str) -> str:
    found = re.search(r"\bmoe\b", modules, re.IGNORECASE)
    return "" if found is None else found.group()


def _said(pattern: re.Pattern[str], remark: str) -> list[re.Match[str]]:
    """Return the matches in the sentences of a remark, except matches that are negated."""
    return [
        match
        for sentence in _SENTENCE.split(remark)
        for match in pattern.finditer(sentence)
        if _DENIAL.search(sentence, 0, match.start("said")) is None
    ]
