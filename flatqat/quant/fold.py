"""What computes a layer's weight from other tensors (weight norm, spectral norm) is folded into the weight.

A quantizer has to see the weight that the layer computes with, and a method has to be able to set it. So the
weight becomes a parameter before it gets a quantizer, as in deployment, where nothing but the weight is left:
from then on the weight is trained itself, and a constraint such as the norm of its rows no longer holds.
In floating point the layer stays as it is.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize, remove_spectral_norm, remove_weight_norm
from torch.nn.utils.spectral_norm import SpectralNorm, SpectralNormLoadStateDictPreHook
from torch.nn.utils.weight_norm import WeightNorm

from flatqat.errors import UsageError
from flatqat.quant.base import Quantizer


def _remove_spectral_norm(layer: nn.Module) -> None:
    """Remove the hook, also the one on loading, which torch wraps and then does not find."""
    remove_spectral_norm(layer)
    for key, hook in list(layer._load_state_dict_pre_hooks.items()):
        if isinstance(getattr(hook, "hook", hook), SpectralNormLoadStateDictPreHook):
            del layer._load_state_dict_pre_hooks[key]


HOOKS: tuple[tuple[type, Any], ...] = (
    (WeightNorm, remove_weight_norm),
    (SpectralNorm, _remove_spectral_norm),
)


def weight_quantizer(layer: nn.Module) -> Quantizer | None:
    """Return the quantizer of a layer's weight, or None."""
    last = layer.parametrizations.weight[-1] if parametrize.is_parametrized(layer, "weight") else None  # type: ignore[union-attr,index]
    return last if isinstance(last, Quantizer) else None


def computed(layers: Mapping[str, nn.Module]) -> dict[str, nn.Module]:
    """Return the layers whose weight is computed from other tensors, quantizers aside.

    Raises UsageError if it is computed in a way that cannot be folded, such as a pruning mask.
    """
    found = {
        name: layer
        for name, layer in layers.items()
        if "weight" not in layer._parameters and weight_quantizer(layer) is None
    }
    for name, layer in found.items():
        hooks = list(layer._forward_pre_hooks.values())
        if not (parametrize.is_parametrized(layer, "weight") or any(map(_remover, hooks))):
            by = ", ".join(type(hook).__name__ for hook in hooks) or "its own code"
            raise UsageError(
                f"layer {name}: expected a weight that is a parameter, got one that {by} computes; make it a "
                "parameter where the network is built (after pruning: torch.nn.utils.prune.remove)"
            )
    return found


def fold_(layers: Mapping[str, nn.Module]) -> None:
    """Make every computed weight a parameter, in place; what a layer returns in eval mode stays the same.

    Weights that the same parametrizations compute from the same tensors become one parameter.

    Raises UsageError as `computed` does.
    """
    folded: list[tuple[list[Tensor], nn.Parameter]] = []
    for layer in computed(layers).values():
        training = layer.training
        layer.eval()  # in training, every look at a spectral norm changes it
        for hook in list(layer._forward_pre_hooks.values()):
            if remove := _remover(hook):
                remove(layer)
        if parametrize.is_parametrized(layer, "weight"):
            _remove_parametrizations(layer, folded)
        layer.train(training)


def _remove_parametrizations(layer: Any, folded: list[tuple[list[Tensor], nn.Parameter]]) -> None:
    """Put the weight in the place of its parametrizations; `folded` has those before and their sources."""
    weight, chain = layer.weight, layer.parametrizations.weight
    parameter = nn.Parameter(weight.detach().clone(), requires_grad=weight.requires_grad)
    sources = [*chain.parameters(recurse=False), *chain.buffers(recurse=False)]
    for others, same in folded:
        if [*map(id, others)] == [*map(id, sources)] and torch.equal(same, parameter):
            parameter = same
    folded.append((sources, parameter))
    if chain.is_tensor:  # torch overwrites it, although other layers may share it
        chain.original = nn.Parameter(chain.original.detach().clone())
    parametrize.remove_parametrizations(layer, "weight")
    layer.weight = parameter


def _remover(hook: Any) -> Callable[[nn.Module], object] | None:
    """Return the function of torch that folds what a hook computes into the weight, or None."""
    named = getattr(hook, "name", "") == "weight"
    return next((remove for kind, remove in HOOKS if named and isinstance(hook, kind)), None)
