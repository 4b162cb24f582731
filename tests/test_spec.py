"""Bits as text, and the identity of cells."""

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flatqat.errors import UsageError
from flatqat.spec import Cell, QuantSpec, Recipe

CELL = Cell(
    suite="digits-c", suite_version=1, model="tiny", method="qat", quant="4", recipe="default", seed=0
)  # fmt: skip


@pytest.mark.parametrize(
    "text", ["fp", "4", "w4a8", "w4a32", "w32a3", "w2a32@minmax", "w32a8@minmax", "8", "3@minmax"]
)
def test_canonical_texts_round_trip(text):
    assert str(QuantSpec.parse(text)) == text


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("w4", "w4a32"),
        ("w4a4", "4"),
        ("w4a32@lsq", "w4a32"),
        ("4@lsq", "4"),
        ("w32a04", "w32a4"),
    ],
)
def test_other_spellings_have_one_canonical_text(text, canonical):
    assert str(QuantSpec.parse(text)) == canonical


BITS = st.one_of(st.none(), st.integers(2, 8))


@settings(deadline=None)
@given(BITS, BITS, st.sampled_from(["lsq", "minmax"]))
def test_every_spec_survives_its_text(weight_bits, act_bits, quantizer):
    spec = QuantSpec(weight_bits=weight_bits, act_bits=act_bits, quantizer=quantizer)
    assert QuantSpec.parse(str(spec)) == (QuantSpec() if spec.is_fp else spec)


@pytest.mark.parametrize("text", ["4w", "", "w", "a4", "1", "w4a9", "16", "w0a4", "4@", "FP", "w16a4"])
def test_malformed_bits_say_what_was_expected(text):
    with pytest.raises(UsageError, match="expected"):
        QuantSpec.parse(text)


@pytest.mark.parametrize("text", ["32", "w32", "w32a32@minmax"])
def test_floating_point_throughout_is_called_fp(text):
    with pytest.raises(
        UsageError, match=f"expected .* bits for weights or activations, got '{text}'; use fp"
    ):
        QuantSpec.parse(text)


def test_bits_of_a_layer_can_be_the_only_ones_of_weights():
    for bits, layers, rounds in (
        ("4", None, True), ("w4a32", None, True), ("fp", None, False), ("w32a4", None, False),
        ("w32a4", "fc=w32a8", False), ("w32a4", "fc=w32a8,conv1=w2", True),
    ):  # fmt: skip
        assert QuantSpec.parse(bits, layer_bits=layers).rounds_weights is rounds


def test_the_error_lists_the_forms():
    with pytest.raises(UsageError) as error:
        QuantSpec.parse("4w")
    assert (
        str(error.value)
        == "bits: expected fp or such as 4, w4a8, w4a32 (32 is floating point) or 4@lsq, got '4w'"
    )


@pytest.mark.parametrize(
    ("keep", "layer_bits", "texts"),
    [
        (None, None, (None, None)),
        ("last,first", None, (None, None)),  # the default, in another order
        ("none", None, ("none", None)),
        ("fc, conv*,fc", "conv*=w4a4,fc=w8", ("conv*,fc", "conv*=4,fc=w8a32")),
    ],
)
def test_texts_of_layers_are_canonical_and_survive(keep, layer_bits, texts):
    spec = QuantSpec.parse("3@apot", keep=keep, layer_bits=layer_bits)
    assert (spec.keep_text, spec.layer_bits_text) == texts
    assert QuantSpec.parse("3@apot", keep=texts[0], layer_bits=texts[1]) == spec
    cell = dataclasses.replace(CELL, quant=str(spec), keep=texts[0], layer_bits=texts[1])
    assert Cell.from_dict(cell.to_dict()).quant_spec == spec
    assert (cell.id == dataclasses.replace(CELL, quant="3@apot").id) == (texts == (None, None))


def test_floating_point_has_no_layers_that_differ():
    assert QuantSpec.parse("fp", keep="none", layer_bits="fc=8") == QuantSpec()


def test_tables_show_the_layers_that_differ():
    assert CELL.bits == "4"
    cell = dataclasses.replace(CELL, keep="fc", layer_bits="layer1.*=8")
    assert cell.bits == "4 (keep fc; layer1.*=8)"


def test_identity_leaves_out_defaults_and_is_stable():
    """Stored results depend on this very hash: a change of it orphans every record."""
    assert CELL.id == "7d00d12b2d7b"
    assert dataclasses.replace(CELL, method_args=(), limit=None).id == CELL.id


@pytest.mark.parametrize(
    "change",
    [
        {"suite_version": 2}, {"model": "x"}, {"method": "fp"}, {"quant": "3"}, {"seed": 1}, {"limit": 5},
        {"weights": "ab"}, {"parent": "cd"}, {"amp": True}, {"method_args": (("strength", 0.2),)},
        {"recipe_args": (("steps", 3),)}, {"method_version": 2}, {"keep": "none"}, {"layer_bits": "fc=8"},
        {"quant_version": 2},
    ],
    ids=str,
)  # fmt: skip
def test_everything_that_changes_the_numbers_changes_the_identity(change):
    assert dataclasses.replace(CELL, **change).id != CELL.id


def test_the_image_limit_does_not_change_the_weights():
    assert dataclasses.replace(CELL, limit=5).training_id == CELL.training_id


def test_cells_survive_json():
    cell = dataclasses.replace(CELL, method_args=(("coupling", "ema"), ("strength", 0.2)), limit=7)
    assert Cell.from_dict(cell.to_dict()) == cell


def test_seeds_are_shared_by_methods_and_bits_alone():
    other = dataclasses.replace(CELL, method="anchor", quant="2", method_args=(("strength", 1.0),))
    assert other.derive_seed("batches") == CELL.derive_seed("batches")
    assert CELL.derive_seed("batches") != CELL.derive_seed("init")
    assert dataclasses.replace(CELL, seed=1).derive_seed("batches") != CELL.derive_seed("batches")


@pytest.mark.parametrize("name", ["pretrain_lr", "lr", "weight_decay"])
def test_a_recipe_has_no_number_that_float32_lacks(name):
    with pytest.raises(UsageError, match=rf"recipe\.{name}: expected at most 3\.4e\+38, .*, got 1e\+39"):
        Recipe(pretrain_steps=1, steps=1, **{name: 1e39})


@pytest.mark.parametrize("model", ["file:" + "x" * 400 + ".py:make", "file:" + "ü" * 150 + ".py:make"])
def test_labels_fit_into_file_names_and_differ(model):
    cells = [dataclasses.replace(CELL, model=model, seed=seed) for seed in (0, 1)]
    labels = [cell.label for cell in cells]
    assert all(len(f".{label}.json.12345678.tmp".encode()) <= 255 for label in labels)
    assert all(label.endswith(f"-s{cell.seed}-{cell.id}") for label, cell in zip(labels, cells, strict=True))
    assert all(label[0].isalnum() for label in labels)


def test_labels_of_ordinary_length_are_whole():
    cell = dataclasses.replace(CELL, model="file:" + "x" * 150 + ".py:make")
    assert cell.label == f"file_{'x' * 150}.py_make-qat-4-s0-{cell.id}"


@pytest.mark.parametrize("name", ["lr", "momentum", "weight_decay"])
def test_no_number_of_a_recipe_is_nan(name):
    with pytest.raises(UsageError, match=rf"recipe.{name}: expected at least 0, got nan"):
        Recipe(pretrain_steps=1, steps=1, **{name: float("nan")})
