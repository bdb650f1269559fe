"""Software stacks: the product that a release belongs to, and the default stacks."""

from __future__ import annotations

import re

from clustersim.performance.arrays import DISPATCHERS

__all__ = [
    "DEFAULT_STACKS",
    "PRODUCTS",
    "default_stack",
    "dispatcher_of",
    "holds_word",
    "product_of",
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
    for product, words in PRODUCTS:
        if any(holds_word(stack, word) for word in words):
            return product
    return ""


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
