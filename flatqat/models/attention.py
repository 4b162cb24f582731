"""Split torch's multi-head attention into layers, so that quantizers reach all of it.

`nn.MultiheadAttention` keeps the projections of queries, keys and values in one parameter and uses the weight
of its output projection without calling that layer: three quarters of its weights and every input would stay
in floating point.
"""

from collections import Counter
from collections.abc import Mapping
from typing import TypeGuard

import torch
from torch import Tensor, nn
from torch.nn import functional as F

PROJECTIONS = ("q_proj", "k_proj", "v_proj")


class Attention(nn.Module):
    """The computation of an `nn.MultiheadAttention`, with its four projections as layers that are called.

    It is softmax(q k^T / sqrt(d) + mask) v per head (Vaswani et al. 2017, equation 1), with q, k, v of shape
    (B, length, E), or (length, B, E) without `batch_first`.
    """

    in_proj_bias = None  # otherwise torch's encoder layers would bypass these layers

    def __init__(self, attention: nn.MultiheadAttention) -> None:
        super().__init__()
        self.num_heads, self.dropout = attention.num_heads, attention.dropout
        self.batch_first = attention.batch_first
        biases = [None] * 3 if attention.in_proj_bias is None else attention.in_proj_bias.chunk(3)
        if attention._qkv_same_embed_dim:
            weights = attention.in_proj_weight.chunk(3)
        else:
            weights = (attention.q_proj_weight, attention.k_proj_weight, attention.v_proj_weight)
        self.q_proj, self.k_proj, self.v_proj = map(_linear, weights, biases)
        self.out_proj = attention.out_proj
        self.train(attention.training)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """Return the output and, if `need_weights`, the attention weights.

        Masks are those of torch: boolean ones are True where attention is not allowed, others are added.
        """
        if is_causal and attn_mask is None:
            raise ValueError("is_causal: expected the mask as attn_mask, as torch does, got none")
        if query.dim() == 2:  # a single sequence
            batch_at = 0 if self.batch_first else 1
            padding = None if key_padding_mask is None else key_padding_mask[None]
            batched = (tokens.unsqueeze(batch_at) for tokens in (query, key, value))
            out, weights = self(*batched, padding, need_weights, attn_mask, average_attn_weights, is_causal)
            return out.squeeze(batch_at), None if weights is None else weights.squeeze(0)
        q, k, v = map(self._heads, (self.q_proj(query), self.k_proj(key), self.v_proj(value)))
        mask = self._mask(q, attn_mask, key_padding_mask)
        dropout = self.dropout if self.training else 0.0
        weights = None
        if need_weights:
            scores = q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5
            weights = F.dropout((scores if mask is None else scores + mask).softmax(-1), dropout)
            heads = weights @ v
            weights = weights.mean(1) if average_attn_weights else weights
        else:
            heads = F.scaled_dot_product_attention(q, k, v, mask, dropout)
        out = heads.transpose(1, 2).flatten(2)
        return self.out_proj(out if self.batch_first else out.transpose(0, 1)), weights

    def _heads(self, tokens: Tensor) -> Tensor:
        """Return tokens as (B, heads, length, d)."""
        tokens = tokens if self.batch_first else tokens.transpose(0, 1)
        heads: Tensor = tokens.unflatten(2, (self.num_heads, -1)).transpose(1, 2)
        return heads

    def _mask(self, q: Tensor, attn_mask: Tensor | None, padding: Tensor | None) -> Tensor | None:
        """Return the sum of both masks, as added to scores (B, heads, L, S)."""
        if attn_mask is not None and attn_mask.dim() == 3:
            attn_mask = attn_mask.unflatten(0, (-1, self.num_heads))
        padding = None if padding is None else padding[:, None, None]
        masks = [_added(mask, q) for mask in (attn_mask, padding) if mask is not None]
        return sum(masks[1:], masks[0]) if masks else None


def split_attention_(net: nn.Module) -> None:
    """Replace every `nn.MultiheadAttention` by an `Attention` with the same weights, in place.

    Subclasses, which may compute something else, stay; so do those with a bias or zeros beside the keys, and
    those whose joint weight is that of another module, too.
    """
    owners = Counter(id(p) for module in net.modules() for p in module._parameters.values() if p is not None)
    replacements: dict[nn.Module, Attention] = {}
    for module in list(net.modules()):
        for name, child in list(module._modules.items()):  # also one under a second name
            if _is_plain(child) and owners[id(child.in_proj_weight)] == 1:
                replacements[child] = replacements.get(child) or Attention(child)
                setattr(module, name, replacements[child])
        if isinstance(module, nn.TransformerEncoder):
            module.use_nested_tensor = False  # which would need the joint weights


def _is_plain(module: nn.Module | None) -> TypeGuard[nn.MultiheadAttention]:
    return type(module) is nn.MultiheadAttention and module.bias_k is None and not module.add_zero_attn


def split_state(net: nn.Module, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename a network's tensors from their names before `split_attention_` to those afterwards."""
    renamed = dict(state)
    for name, module in net.named_modules():
        if not isinstance(module, Attention):
            continue
        prefix = f"{name}." if name else ""
        for kind in ("weight", "bias"):
            joint = renamed.get(f"{prefix}in_proj_{kind}")
            if joint is not None and joint.ndim and len(joint) % len(PROJECTIONS) == 0:
                del renamed[f"{prefix}in_proj_{kind}"]
                names = (f"{prefix}{projection}.{kind}" for projection in PROJECTIONS)
                renamed.update(zip(names, joint.chunk(3), strict=True))
        for projection in PROJECTIONS:
            if f"{prefix}{projection}_weight" in renamed:
                renamed[f"{prefix}{projection}.weight"] = renamed.pop(f"{prefix}{projection}_weight")
    return renamed


def _linear(weight: Tensor, bias: Tensor | None) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
    layer.weight = nn.Parameter(weight.detach().clone())
    if bias is not None:
        layer.bias = nn.Parameter(bias.detach().clone())
    return layer


def _added(mask: Tensor, q: Tensor) -> Tensor:
    if mask.dtype != torch.bool:
        return mask.to(q.dtype)
    return torch.zeros_like(mask, dtype=q.dtype).masked_fill(mask, -torch.inf)
