"""What a decoder-only transformer is made of, and what follows from that: parameters, FLOPs per token.

FLOPs of a forward pass per token (Kaplan et al. 2020, section 2.1; PaLM, Chowdhery et al. 2022, appendix B), with N
the non-embedding parameters that are active, L layers, a heads of size h, V vocabulary, d hidden size:

    matrices    2 (N + d V)    one multiply and one add per parameter; the output head counts, the lookup does not
    attention   4 a h L keys   scores and weighted values for every key that a token meets
    keys        S / 2          the mean over S positions under the causal mask; with a window of W < S tokens
                               W - W^2 / (2 S)

The backward pass costs twice the forward, so training takes 3 forwards; 4 forwards of the layers where activations
are recomputed (Korthikanti et al. 2022, section 4). Grouped queries have fewer N (narrower keys and values) and the
same attention: every query head still meets every key. Of a mixture of experts those that a token is sent to count,
the router, and what all tokens share.
PaLM counts all S keys (12 L d S for training); half of them are masked, and flash kernels skip them.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from speciate.runs.spec import ModelSpec


@dataclass(frozen=True)
class Architecture:
    """Sizes of a decoder-only transformer. Counts are whole numbers; widths are channels.

    ``feed_forward`` is the width of the MLP, of each expert where there are several; ``shared_feed_forward`` that of a
    further gated MLP, which every token passes beside the experts (Qwen1.5-MoE; one score weighs its output). ``norms``
    of the hidden size stand in each layer, each of ``norm_weights`` vectors (1: RMSNorm, 2: LayerNorm with its bias, 0:
    no parameters); ``head_norms`` is the number of further norm weights on a layer's queries and keys. ``positions`` is
    the number of learned position embeddings. ``windowed_layers`` of the layers attend to the last ``window`` tokens
    only.
    """

    hidden_size: int
    layers: int
    heads: int
    kv_heads: int
    head_size: int
    feed_forward: int
    vocabulary: int
    sequence_length: int
    gated: bool = True
    tied: bool = False
    experts: int = 1
    active_experts: int = 1
    shared_feed_forward: int = 0
    attention_bias: bool = False  # of queries, keys and values
    output_bias: bool = False  # of attention's output
    feed_forward_bias: bool = False
    norms: int = 2
    norm_weights: int = 1
    head_norms: int = 0
    positions: int = 0
    window: int | None = None
    windowed_layers: int = 0

    @staticmethod
    def of_spec(model: ModelSpec) -> Architecture:
        """The architecture of a model that a study trains."""
        return Architecture(
            hidden_size=model.hidden_size,
            layers=model.layers,
            heads=model.heads,
            kv_heads=model.key_heads,
            head_size=model.hidden_size // model.heads,
            feed_forward=model.expert_intermediate_size or model.intermediate_size,
            vocabulary=model.vocab_size,
            sequence_length=model.sequence_length,
            tied=model.tie_embeddings,
            experts=model.experts or 1,
            active_experts=model.experts_per_token or 1,
            shared_feed_forward=0 if model.experts is None else model.intermediate_size,
            attention_bias=model.architecture in ("qwen2", "qwen2_moe"),
        )

    @property
    def attention_params(self) -> int:
        """Parameters of one layer's attention, its norms on queries and keys with it."""
        queries, keys = self.heads * self.head_size, self.kv_heads * self.head_size
        matrices = 2 * self.hidden_size * queries + 2 * self.hidden_size * keys
        biases = self.attention_bias * (queries + 2 * keys) + self.output_bias * self.hidden_size
        return matrices + biases + self.head_norms

    @property
    def expert_params(self) -> int:
        """Parameters of one MLP: the layer's only one, or one expert."""
        inner = 2 if self.gated else 1  # matrices into the MLP's width
        biases = self.feed_forward_bias * (inner * self.feed_forward + self.hidden_size)
        return (inner + 1) * self.hidden_size * self.feed_forward + biases

    @property
    def shared_params(self) -> int:
        """Parameters of the MLP that every token passes beside the experts, and of its score; 0 without it."""
        width = self.shared_feed_forward
        return 3 * self.hidden_size * width + self.hidden_size if width else 0

    @property
    def embedding(self) -> int:
        """Parameters of the token embedding, the output head (none where tied) and learned positions."""
        return ((1 if self.tied else 2) * self.vocabulary + self.positions) * self.hidden_size

    @property
    def non_embedding(self) -> int:
        """All parameters but the embedding's: the N of scaling laws, and the ``params`` of our tables."""
        return self._layers(self.experts)

    @property
    def active_non_embedding(self) -> int:
        """Of ``non_embedding``, those that one token passes through."""
        return self._layers(self.active_experts)

    @property
    def total(self) -> int:
        """All parameters.

        >>> Architecture(4096, 32, 32, 32, 128, 11008, 32000, 4096).total  # Llama 2 7B
        6738415616
        """
        return self.non_embedding + self.embedding

    @property
    def active(self) -> int:
        """Of ``total``, those that one token passes through (embeddings counted whole)."""
        return self.active_non_embedding + self.embedding

    @property
    def layer_params(self) -> int:
        """Parameters of one layer, all experts."""
        return (self.non_embedding - self.norm_weights * self.hidden_size) // self.layers

    def forward_flops_per_token(self, sequence_length: int | None = None) -> int:
        """FLOPs of a forward pass per token of a sequence, as in the module's formula."""
        return self._layer_flops(sequence_length or self.sequence_length) + self._head_flops

    def training_flops_per_token(self, sequence_length: int | None = None, *, recompute: bool = False) -> int:
        """FLOPs of training (forward and backward) per token; ``recompute`` adds a second forward of all layers.

        >>> Architecture(4096, 32, 32, 32, 128, 11008, 32000, 4096).training_flops_per_token() / 6 / 6.476e9
        1.103...
        """
        length = sequence_length or self.sequence_length
        again = self._layer_flops(length) if recompute else 0
        return 3 * self.forward_flops_per_token(length) + again

    def attention_flops_per_token(self, sequence_length: int | None = None) -> int:
        """Of a forward pass per token, what grows with the sequence: scores and weighted values, all layers.

        >>> Architecture(4096, 32, 32, 32, 128, 11008, 32000, 4096).attention_flops_per_token()  # 4 a h L S / 2
        1073741824
        """
        length = sequence_length or self.sequence_length
        window = self.window or length
        seen = Fraction(length, 2) if window >= length else window - Fraction(window**2, 2 * length)
        keys = self._over_layers(Fraction(length, 2), seen)
        return round(4 * self.heads * self.head_size * keys)

    def prefill_flops(self, context: int) -> int:
        """FLOPs to read a prompt of ``context`` tokens; the output head is needed after the last one only."""
        return context * self._layer_flops(context) + self._head_flops

    def decode_flops_per_token(self, context: int) -> int:
        """FLOPs to write one token after ``context`` tokens: it meets every key that is kept."""
        keys = self._over_layers(context, min(context, self.window or context))
        return 2 * self.active_non_embedding + self._head_flops + int(4 * self.heads * self.head_size * keys)

    def cache_values(self, context: int) -> int:
        """Numbers in the keys and values kept of one sequence of ``context`` tokens, in all layers."""
        kept = self._over_layers(context, min(context, self.window or context))
        return int(2 * self.kv_heads * self.head_size * kept)

    def _layers(self, experts: int) -> int:
        router = self.hidden_size * self.experts if self.experts > 1 else 0
        norms = self.norms * self.norm_weights * self.hidden_size
        layer = self.attention_params + experts * self.expert_params + self.shared_params + router + norms
        return self.layers * layer + self.norm_weights * self.hidden_size

    @property
    def _head_flops(self) -> int:
        return 2 * self.hidden_size * self.vocabulary

    def _layer_flops(self, length: int) -> int:
        """Of a forward pass per token, without the head; the mean over a sequence of ``length`` tokens."""
        return 2 * self.active_non_embedding + self.attention_flops_per_token(length)

    def _over_layers(self, full: int | Fraction, windowed: int | Fraction) -> int | Fraction:
        return (self.layers - self.windowed_layers) * full + self.windowed_layers * windowed
