"""Software stacks: which product a release belongs to, and what is assumed where none is named."""

from __future__ import annotations

import re

__all__ = ["DEFAULT_STACKS", "PRODUCTS", "default_stack", "holds_word", "product_of"]

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
"""Products with the whole words that a release's name has, in the order in which they are tried.

Megatron-Core, NeMo and Megatron-Bridge share their kernels and schedules and count as one product;
Megatron-DeepSpeed and FlagScale run Megatron-LM's.
"""

NVIDIA_RECIPES = "NeMo 25.01-25.04 (DGX Cloud benchmarking recipe)"
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
    """Whether a stack's name has a whole word, in any case; a release number may follow it.

    Examples
    --------
    >>> holds_word("NeMo24.07", "nemo"), holds_word("Metal runtime", "meta")
    (True, False)
    """
    return bool(re.search(rf"(?<![a-z0-9]){re.escape(word)}(?![a-z])", stack.lower()))


def product_of(stack: str) -> str:
    """Return the product that a stack's name says; ``""`` for an unknown one.

    Examples
    --------
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


def default_stack(architecture: str) -> str:
    """Return the stack that is assumed on an architecture where a scenario names none.

    The most measured recent release: NVIDIA's own recipes of 2025, and MindSpeed-LLM 1.0.RC3 on
    Ascend. Other chips run a stack of which nothing was measured (``""``): the mean of all stacks,
    and their spread in draws.
    """
    return DEFAULT_STACKS.get(architecture, "")
