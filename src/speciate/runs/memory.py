"""Bytes on each device: training with AdamW in mixed precision, and serving.

Parameters (ZeRO, Rajbhandari et al. 2020, section 3.1): 2 bytes for a weight, 2 for its gradient, 12 for the optimizer
(a float32 copy and two moments). Autocast over float32 weights comes to the same 16 bytes. Fully sharded (FSDP,
ZeRO-3) each of n devices keeps 1/n of them; two layers at a time are gathered, one used and one fetched ahead, and the
embeddings with the output head, which belong to no layer, stay so.

Activations that wait for the backward pass, bytes per token and layer at 2 bytes each, counted as Korthikanti et al.
2022 (section 4.1) count theirs, for hidden size d, queries q = heads x head size, keys k = key heads x head size, and
an MLP of width f:

    norms and what they hand on    8 d        two norms' inputs and outputs
    attention                      4 q + 4 k  queries, what goes into its output matrix; keys, values
    MLP                            4 f        input and output of its nonlinearity; 8 f where gated (a shared one too)

With as many keys as queries and f = 4 d that is their 34 d less two dropout masks, which nobody trains with today;
scores are not kept, as flash attention recomputes them. Recomputation keeps 2 d per layer and one layer whole. Of
experts each token keeps what its active ones need, 2 d for its copy to each with it. Logits take 8 bytes per token and
vocabulary entry: float32, and their gradient.

Measured on what torch keeps in bfloat16 (``tests/training/test_model_config.py``): GPT-NeoX .3 % more than this;
transformers' Llama without fused kernels 20 to 25 % more, as its norms keep float32 copies.

What this leaves out: fragmentation, communication buffers, kernels' workspaces; ``USABLE`` leaves room for them.
"""

from __future__ import annotations

from dataclasses import dataclass

from speciate.runs.architecture import Architecture
from speciate.runs.devices import Device

WEIGHT, GRADIENT, OPTIMIZER, VALUE, LOGIT = 2, 2, 12, 2, 8  # bytes, as above
USABLE = 0.9  # of a device's memory; (assumption: the rest is the driver's, communication's and fragmentation's)
MOST_DEVICES = 4096  # tried by ``would_fit``


@dataclass(frozen=True)
class TrainingMemory:
    """Bytes on one device; ``activations`` and ``logits`` are None where the architecture is unknown."""

    weights: int
    gradients: int
    optimizer: int
    gathered: int
    activations: int | None
    logits: int | None

    @property
    def known(self) -> int:
        """What is known of the total: a lower bound."""
        parts = (self.weights, self.gradients, self.optimizer, self.gathered, self.activations, self.logits)
        return sum(part for part in parts if part is not None)

    @property
    def total(self) -> int | None:
        """All of it, None where a part is unknown."""
        return None if self.activations is None or self.logits is None else self.known

    def to_json(self) -> dict[str, int | None]:
        return {
            "weights": self.weights,
            "gradients": self.gradients,
            "optimizer": self.optimizer,
            "gathered": self.gathered,
            "activations": self.activations,
            "logits": self.logits,
            "total": self.total,
        }


def activation_bytes(architecture: Architecture, *, recompute: bool = False) -> int:
    """Bytes of activations per token of a device's sequences, all layers, as in the module's formula.

    >>> activation_bytes(Architecture(64, 1, 4, 4, 16, 256, 1024, 32, gated=False)) / 64  # 34 less two masks of 1 each
    32.0
    """
    hidden = architecture.hidden_size
    queries, keys = architecture.heads * architecture.head_size, architecture.kv_heads * architecture.head_size
    inner = architecture.active_experts * architecture.feed_forward * (4 if architecture.gated else 2)
    inner += 4 * architecture.shared_feed_forward
    copies = architecture.active_experts * hidden if architecture.experts > 1 else 0
    layer = VALUE * (4 * hidden + 2 * queries + 2 * keys + inner + copies)
    return architecture.layers * VALUE * hidden + layer if recompute else architecture.layers * layer


def training_memory(
    model: Architecture | int,
    *,
    batch: int = 1,
    sequence_length: int | None = None,
    devices: int = 1,
    sharded: bool = False,
    recompute: bool = False,
) -> TrainingMemory:
    """Bytes on each of ``devices`` while ``batch`` sequences per device are trained on.

    ``model`` is an architecture, or a number of parameters, of which activations cannot be known. Without ``sharded``
    every device holds all parameters (data parallel).

    >>> training_memory(10**9).known
    16000000000
    """
    assert batch >= 1 and devices >= 1
    params = model if isinstance(model, int) else model.total
    held = -(-params // devices) if sharded else params
    parameters = WEIGHT * held, GRADIENT * held, OPTIMIZER * held
    if isinstance(model, int):
        return TrainingMemory(*parameters, gathered=0, activations=None, logits=None)
    tokens = batch * (sequence_length or model.sequence_length)
    gathered = WEIGHT * (2 * model.layer_params + model.embedding) if sharded and devices > 1 else 0
    activations = tokens * activation_bytes(model, recompute=recompute)
    return TrainingMemory(*parameters, gathered, activations, LOGIT * tokens * model.vocabulary)


def inference_memory(model: Architecture, context: int, sequences: int = 1) -> tuple[int, int]:
    """Bytes of (weights, keys and values of ``sequences`` with ``context`` tokens each) at 2 bytes a number.

    >>> llama = Architecture(4096, 32, 32, 32, 128, 11008, 32000, 4096)
    >>> inference_memory(llama, 4096)[1]  # Llama 2 7B: half a MiB a token
    2147483648
    """
    return WEIGHT * model.total, VALUE * sequences * model.cache_values(context)


def fits(memory: TrainingMemory, device: Device) -> bool | None:
    """Whether it fits ``USABLE`` of the device's memory; None where it cannot be known."""
    if device.memory is None:
        return None
    if memory.known > USABLE * device.memory:
        return False
    return None if memory.total is None else True


def would_fit(
    model: Architecture,
    device: Device,
    *,
    batch: int,
    sequence_length: int | None = None,
    devices: int = 1,
    recompute: bool = False,
) -> str | None:
    """What would make training fit the device, in words, the least first; None where nothing of it does.

    Tried in turn, each on top of the last: full sharding, recomputation, one sequence per device, more devices.
    """
    settings = [(batch, devices, recompute), (batch, devices, True), (1, devices, True)]
    number = 2 * devices
    while number <= MOST_DEVICES:
        settings.append((1, number, True))
        number *= 2
    for sequences, number, again in settings:
        memory = training_memory(
            model,
            batch=sequences,
            sequence_length=sequence_length,
            devices=number,
            sharded=number > 1,
            recompute=again,
        )
        if fits(memory, device):
            words = [f"full sharding over {number} devices"] if number > 1 else []
            words += ["recomputing activations"] if again and not recompute else []
            words += ["one sequence per device"] if sequences < batch else []
            return f"{', '.join(words) or 'as it is'}: {gigabytes(memory.known)}"
    return None


def gigabytes(count: float) -> str:
    """Bytes for a person, to three digits, 10^9 to a GB as datasheets count.

    >>> gigabytes(13_476_831_232), gigabytes(2_500_000), gigabytes(1.0787e12)
    ('13.5 GB', '2.5 MB', '1,080 GB')
    """
    value, unit = (count / 1e9, "GB") if count >= 1e8 else (count / 1e6, "MB")
    return f"{float(f'{value:.3g}'):,g} {unit}"
