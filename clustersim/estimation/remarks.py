"""Read sizes and switches of a plan from the free text of a row if no column states them.

A setting is read if it stands alone between commas or semicolons (``capacity factor 1; expert TP
2``) and no earlier word of the same sentence negates it. Any other sentence may be about another
run (``ETP 2 was slower``) and is not read.
"""

from __future__ import annotations

import re

__all__ = ["dispatcher_in", "expert_tp_in", "mixture_layers_in", "mixtures_in", "shared_experts_in"]

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
_DISPATCHER = re.compile(
    _BEGIN + r"(?P<said>(?:(?:moe[-_ ])?(?:token[-_ ])?dispatcher(?:[-_ ]type)?\s*[:= ]\s*)?"
    r"(?:nccl\s+)?(?P<word>deepep|hybridep|all[-_ ]?to[-_ ]?all|a2a|all[-_ ]?gather)"
    r"(?:\s+(?:token\s+)?dispatcher)?)" + _END,
    re.IGNORECASE,
)
_SHARED = re.compile(
    _BEGIN + r"(?P<said>(?P<number>[1-9]\d*|one|two|no)\s+shared\s+experts?)" + _END, re.IGNORECASE
)
_NUMBERS = {"no": 0, "one": 1, "two": 2}
_DENSE = (
    re.compile(
        _BEGIN + r"(?P<said>(?:the\s+)?first\s+(?:(?P<number>[1-9]\d*|one|two)\s+)?"
        r"(?:layers?\s+(?:is\s+|are\s+)?dense|dense\s+layers?))" + _END,
        re.IGNORECASE,
    ),
    re.compile(
        _BEGIN
        + r"(?P<said>(?:first[-_ ]k[-_ ]dense(?:[-_ ]replace)?)[ =:]*(?P<number>\d+))"
        + _END,
        re.IGNORECASE,
    ),
)
_EVERY = re.compile(
    _BEGIN
    + r"(?P<said>(?:(?:--)?moe[-_ ]layer[-_ ]freq(?:uency)?|interleave[-_ ]moe[-_ ]layer[-_ ]"
    r"step)[ =:]*(?P<number>[1-9]\d*)|experts\s+in\s+every\s+(?:other|second)\s+layer)" + _END,
    re.IGNORECASE,
)
_PATTERN = re.compile(
    _BEGIN + r"(?P<said>(?:--)?moe[-_ ]layer[-_ ]freq[ =:]*\(?\[0\]\s*\*\s*(?P<dense>\d+)\s*\+\s*"
    r"\[1\]\s*\*\s*(?P<moe>\d+)\)?)" + _END,
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


def dispatcher_in(remark: str) -> tuple[str, str] | None:
    """Return how a remark says tokens reach the experts, and the matching words.

    Examples
    --------
    >>> dispatcher_in("320 TFLOPS; DeepEP, CUDA graph"), dispatcher_in("NCCL all-to-all dispatcher")
    (('deepep', 'DeepEP'), ('alltoall', 'NCCL all-to-all dispatcher'))
    >>> dispatcher_in("DeepEP was slower"), dispatcher_in("without DeepEP")
    (None, None)
    """
    found = {
        {"a2a": "alltoall"}.get(word, word): match["said"]
        for match in _said(_DISPATCHER, remark)
        if (word := re.sub(r"[-_ ]", "", match["word"].lower()))
    }
    return next(iter(found.items())) if len(found) == 1 else None


def shared_experts_in(remark: str) -> tuple[int, str] | None:
    """Return the number of shared experts that a remark gives, and the matching words.

    Examples
    --------
    >>> shared_experts_in("first 3 layers dense, 1 shared expert")
    (1, '1 shared expert')
    """
    found = {_number(match["number"]): match["said"] for match in _said(_SHARED, remark)}
    return next(iter(found.items())) if len(found) == 1 else None


def mixture_layers_in(remark: str, layers: float) -> tuple[int, str] | None:
    """Return the number of layers with experts that a remark implies, and the matching words.

    Parameters
    ----------
    remark : str
    layers : float
        Layers of the model.

    Examples
    --------
    >>> mixture_layers_in("first 3 layers dense, 1 shared expert", 61)
    (58, 'first 3 layers dense')
    >>> mixture_layers_in("moe-layer-freq 2", 48), mixture_layers_in("expert TP 2", 48)
    ((24, 'moe-layer-freq 2'), None)
    >>> mixture_layers_in("moe-layer-freq ([0]*3+[1]*58)", 61)
    (58, 'moe-layer-freq ([0]*3+[1]*58)')
    """
    found: dict[int, str] = {}
    for pattern in _DENSE:
        for match in _said(pattern, remark):
            found[int(layers) - _number(match["number"] or "1")] = match["said"]
    for match in _said(_EVERY, remark):
        found[int(layers) // _number(match["number"] or "2")] = match["said"]
    for match in _said(_PATTERN, remark):
        if int(match["dense"]) + int(match["moe"]) == layers:
            found[int(match["moe"])] = match["said"]
    good = {number: said for number, said in found.items() if 0 < number <= layers}
    return next(iter(good.items())) if len(found) == len(good) == 1 else None


def _number(word: str) -> int:
    return _NUMBERS[word.lower()] if word.lower() in _NUMBERS else int(word)


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
