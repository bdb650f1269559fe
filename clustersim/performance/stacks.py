"""Software stacks: the product that a release belongs to, and the default stacks."""

from __future__ import annotations

import re
from collections.abc import Iterable

from clustersim.performance.arrays import DISPATCHERS

__all__ = [
    "DEFAULT_STACKS",
    "PRODUCTS",
    "back_end",
    "default_stack",
    "dispatcher_of",
    "holds_word",
    "product_of",
    "same_release",
    "similar_releases",
]

PRODUCTS = (
    ("LLM Foundry", ("foundry", "llmfoundry", "composer", "mosaic", "mosaicml")),
    ("MindSpeed", ("mindspeed", "modellink", "mindformers")),
    ("MegaScale", ("megascale",)),
    ("NeMo", ("nemo", "megatron-bridge", "megatron-core", "megatron core", "mcore")),
    ("DeepSpeed", ("deepspeed zero", "deepspeed-zero")),
    ("Megatron-LM", ("megatron", "megatronlm", "flagscale")),
    ("DeepSpeed", ("deepspeed",)),
    ("PaddlePaddle", ("paddle", "paddlepaddle", "paddlenlp")),
    ("InternEvo", ("internevo", "internlm")),
    ("HAI-LLM", ("hai-llm",)),
    ("Colossal-AI", ("colossal", "colossalai")),
    ("PyTorch eager", ("pytorch eager",)),
    ("PyTorch FSDP", ("fsdp", "torchtitan", "torch titan", "pytorch")),
    ("MaxText", ("maxtext", "jax", "pax")),
    ("Meta", ("meta", "llama recipes")),
)
"""Products, each with the whole words that identify its releases; the first match is used.

Megatron-Core, NeMo and Megatron-Bridge share their kernels and schedules and count as one product.
Megatron-DeepSpeed and FlagScale use the kernels and schedules of Megatron-LM.
"""

RUN_ON = (
    ("NeMo", ("mbridge",)),
    ("Megatron-LM", ("primus", "slime", "gpt-neox")),
    ("MindSpeed", ("mindspore",)),
    ("PyTorch FSDP", ("verl", "olmo-core", "litgpt", "veomni", "foundation-model-stack")),
    ("MaxText", ("axlearn", "levanter", "easylm")),
    (
        "DeepSpeed",
        (
            *("ms-swift", "swift", "llama-factory", "llamafactory", "trl", "xtuner", "axolotl"),
            *("hugging face", "huggingface", "transformers", "openrlhf", "accelerate"),
        ),
    ),
)
"""Frameworks that run on several products, by the one that they use by default. It counts only if
the name of a stack has none of the words of :data:`PRODUCTS`."""

MEGATRON_SWIFT = "Megatron-SWIFT"
"""The back end of ms-swift with tensor, pipeline and expert parallelism."""
NVIDIA_RECIPES = "NeMo 25.01-25.04 (DGX Cloud benchmarking recipe)"
DISPATCH_WORDS = (
    ("alltoall", ("alltoall", "all-to-all", "a2a")),
    ("allgather", ("allgather", "all-gather")),
    ("deepep", ("deepep", "hybridep", "dualpipe", "megatron-bridge", "megatron-core dev")),
)
"""Whole words in the name of a stack that tell how it sends tokens to experts; the first match is
used."""

DEFAULT_STACKS = {
    "ascend": "ModelLink/MindSpeed-LLM 1.0.RC3",
    "volta": NVIDIA_RECIPES,
    "ampere": NVIDIA_RECIPES,
    "ada": NVIDIA_RECIPES,
    "hopper": NVIDIA_RECIPES,
    "hopper-h20": NVIDIA_RECIPES,
    "blackwell": NVIDIA_RECIPES,
}


GENERAL = frozenset(
    {"pytorch", "fsdp", "fsdp2", "fsdp1", "compile", "te", "deepep", "eager", "zero", "core", "lm"}
    | {"megatron", "deepspeed", "recipe", "benchmarking", "dev", "baseline", "of"}
)
"""Words that do not tell which stack is meant (:func:`same_release`)."""


def holds_word(stack: str, word: str) -> bool:
    """Whether a stack's name contains the given word as a whole word, regardless of case.

    A release number may follow the word.

    Examples
    --------
    >>> holds_word("NeMo24.07", "nemo"), holds_word("Metal runtime", "meta")
    (True, False)
    """
    return bool(re.search(rf"(?<![a-z0-9]){re.escape(word)}(?![a-z])", stack.lower()))


def product_of(stack: str) -> str:
    """Return the product to which a stack's name belongs; ``""`` if it is unknown.

    Examples
    --------
    >>> from clustersim.performance import product_of
    >>> product_of("NeMo 24.07")
    'NeMo'
    >>> product_of("Megatron-DeepSpeed")
    'Megatron-LM'
    >>> product_of("our own"), product_of("Metal runtime")
    ('', '')
    """
    plain = stack.replace("_", "-")
    for product, words in (*PRODUCTS, *RUN_ON):
        if any(holds_word(plain, word) for word in words):
            return product
    return ""


def back_end(stack: str, *, split: bool) -> str:
    """Return the back end that runs a plan in a stack that has two: ms-swift.

    Parameters
    ----------
    stack : str
        The name of any stack.
    split : bool
        Whether the plan has tensor, pipeline or expert parallelism, which DeepSpeed has not, or
        whether such plans are searched.

    Examples
    --------
    >>> [back_end("ms-swift 3.5", split=split) for split in (False, True)]
    ['ms-swift 3.5', 'Megatron-SWIFT']
    >>> back_end("ms-swift (Megatron)", split=False), back_end("swift + DeepSpeed", split=True)
    ('Megatron-SWIFT', 'swift + DeepSpeed')
    """
    if not holds_word(stack, "swift") or holds_word(stack, MEGATRON_SWIFT.lower()):
        return stack
    if holds_word(stack, "megatron"):
        return MEGATRON_SWIFT
    return MEGATRON_SWIFT if split and not holds_word(stack, "deepspeed") else stack


def same_release(stack: str, releases: Iterable[str]) -> str:
    """Return the only release whose name contains all words of a stack's name; ``""`` otherwise.

    If there is none, the version numbers in the stack's name are left out, so that another version
    of a stack with one measured release counts as this release.

    Examples
    --------
    >>> releases = ("PyTorch FSDP + compile (fms-fsdp)", "MindFormers 1.3.0", "NeMo 24", "NeMo 25")
    >>> same_release("fms_fsdp", releases), same_release("MindFormers 1.4", releases)
    ('PyTorch FSDP + compile (fms-fsdp)', 'MindFormers 1.3.0')
    >>> same_release("NeMo 26", releases), same_release("PyTorch FSDP", releases)
    ('', '')
    """
    found = similar_releases(stack, releases)
    return found[0] if len(found) == 1 else ""


def similar_releases(stack: str, releases: Iterable[str]) -> list[str]:
    """Return the releases whose names contain all words of a stack's name, or all but its version.

    Examples
    --------
    >>> similar_releases("NeMo 26", ("PyTorch FSDP", "NeMo 24", "NeMo 25"))
    ['NeMo 24', 'NeMo 25']
    """
    words = _words(stack)
    if words <= GENERAL:
        return []
    named = {word for word in words if not re.fullmatch(r"v?\d+(rc\d+)?|rc\d+", word)}
    releases = list(releases)
    for wanted in (words, named):
        found = [each for each in releases if not wanted <= GENERAL and wanted <= _words(each)]
        if found:
            return found
    return []


def _words(stack: str) -> set[str]:
    return set(re.split(r"[^a-z0-9]+", stack.lower())) - {""}


def dispatcher_of(stack: str) -> int:
    """Return how a stack usually sends tokens to experts, an index into ``arrays.DISPATCHERS``.

    Megatron-Bridge and the development branch of Megatron-Core use DeepEP or HybridEP in their
    recipes (``moe_flex_dispatcher_backend``); other stacks use a plain all-to-all unless their name
    says otherwise.

    Examples
    --------
    >>> from clustersim.performance.stacks import dispatcher_of
    >>> dispatcher_of("Megatron-Bridge 26.06"), dispatcher_of("NeMo 24.07")
    (3, 1)
    """
    for name, words in DISPATCH_WORDS:
        if any(holds_word(stack, word) for word in words):
            return DISPATCHERS.index(name)
    return DISPATCHERS.index("alltoall")


def default_stack(architecture: str) -> str:
    """Return the stack that is assumed for an architecture if a scenario does not name one.

    The default is the recent release with the most measurements: NVIDIA's own recipes of 2025, and
    MindSpeed-LLM 1.0.RC3 on Ascend. For other chips, the stack is unknown (``""``): the mean of all
    stacks is used, and draws include their spread.

    Examples
    --------
    >>> from clustersim.performance import default_stack
    >>> default_stack("hopper"), default_stack("ascend")
    ('NeMo 25.01-25.04 (DGX Cloud benchmarking recipe)', 'ModelLink/MindSpeed-LLM 1.0.RC3')
    """
    return DEFAULT_STACKS.get(architecture, "")
