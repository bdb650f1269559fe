"""One model (transformer shape), with the source of every number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from clustersim.brief import Brief
from clustersim.units import format_quantity

__all__ = ["Model"]


@dataclass(frozen=True, slots=True, repr=False)
class Model(Brief):
    """The shape of a transformer.

    Attributes
    ----------
    name : str
    kind : {"language", "video-diffusion", "image-diffusion"}
        A language model has causal attention and a vocabulary. A diffusion transformer attends to
        the whole sequence and has no vocabulary.
    layers, hidden, heads, kv_heads, head_dim : int
        If score and value heads differ in width, `head_dim` is the mean width, which results in the
        same FLOPs.
    ffn_hidden : int
        Width of the MLP of a dense layer. If `gated_mlp` is set, the MLP has three matrices
        instead of two.
    vocab : int
        Size of the vocabulary; 0 for a model without a vocabulary. If `tied_embeddings` is set,
        input and output share one embedding matrix.
    seq_len : int
        Tokens in one training sequence.
    sliding_window, windowed_layers : int
        Length of the attention window in tokens, and number of layers that have it; 0 if all layers
        attend to all earlier tokens.
    document_tokens : int
        Mean length of the packed documents of a sequence, averaged over tokens, if tokens attend
        only to their own document; 0 if they attend to the whole sequence.
    n_experts, top_k, shared_experts, moe_layers, expert_ffn_hidden : int
        Shape of the mixture of experts; all numbers are 0 for a dense model.
    attention_params_per_layer : float
        Parameters of the attention projections that process each token, in one layer.
    params, active_params : float
        Total parameters, and the parameters that process one token.
    global_batch : int
        Default number of sequences per optimizer step.
    sources : dict of str to str
        Source by attribute. A text that starts with ``assumption:`` means that no source was found.

    Examples
    --------
    >>> import clustersim as cs
    >>> model = cs.load_catalogue().model("llama3-8b")
    >>> model.hidden, model.kind
    (4096, 'language')
    """

    name: str
    kind: str
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    ffn_hidden: int
    gated_mlp: bool
    vocab: int
    seq_len: int
    n_experts: int
    top_k: int
    shared_experts: int
    moe_layers: int
    expert_ffn_hidden: int
    attention_params_per_layer: float
    params: float
    active_params: float
    global_batch: int
    tied_embeddings: bool = False
    sliding_window: int = 0
    windowed_layers: int = 0
    document_tokens: int = 0
    sources: dict[str, str] = field(default_factory=dict)
    aliases: tuple[str, ...] = ()

    def _brief(self) -> tuple[str, Mapping[str, str]]:
        return f"Model {self.name}", {
            "parameters": format_quantity(self.params, "count", 3),
            "layers": f"{self.layers:,}",
            "sequence": f"{self.seq_len:,} tokens",
            "batch": f"{self.global_batch:,} sequences",
        }

    @property
    def assumptions(self) -> dict[str, str]:
        """Assumption made for each field without a source."""
        return {key: text for key, text in self.sources.items() if text.startswith("assumption:")}

    def count_params(self) -> tuple[float, float]:
        """Count total and active parameters from the shape.

        Active parameters are the parameters that process one token. Norms, biases and position
        embeddings are ignored (less than 0.1 %). The input embedding counts as active, as in
        published counts.

        Examples
        --------
        >>> import clustersim as cs
        >>> total, active = cs.load_catalogue().model("llama3-8b").count_params()
        >>> round(total / 1e9, 2), total == active
        (8.03, True)
        """
        matrices = 3.0 if self.gated_mlp else 2.0
        dense_mlp = matrices * self.hidden * self.ffn_hidden
        expert = matrices * self.hidden * self.expert_ffn_hidden
        router = float(self.hidden * self.n_experts)
        vocabulary = float(self.vocab * self.hidden * (1 if self.tied_embeddings else 2))
        common = (
            self.layers * self.attention_params_per_layer
            + (self.layers - self.moe_layers) * dense_mlp
            + self.moe_layers * (router + self.shared_experts * expert)
            + vocabulary
        )
        total = common + self.moe_layers * self.n_experts * expert
        return total, common + self.moe_layers * self.top_k * expert
