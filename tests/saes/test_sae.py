"""What holds of every SAE, whatever files it came from."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from causal_sae.errors import SAEError
from causal_sae.saes.config import SAEConfig
from causal_sae.saes.sae import SAE, build
from causal_sae.saes.weights import Weights

D_IN, D_SAE = 6, 10

torch.set_num_threads(1)


def tiny(**facts: object) -> SAE:
    draw = torch.Generator().manual_seed(3)
    config = SAEConfig(architecture="standard", d_in=D_IN, d_sae=D_SAE, d_out=D_IN, hook="blocks.0")
    weights = Weights(
        w_enc=torch.randn(D_IN, D_SAE, generator=draw),
        w_dec=torch.randn(D_SAE, D_IN, generator=draw),
        b_dec=torch.randn(D_IN, generator=draw),
        b_enc=torch.randn(D_SAE, generator=draw),
    )
    return build(replace(config, **facts), weights)


def test_centred_activations_are_encoded_without_their_mean_and_decoded_with_it():
    plain, centred = tiny(), tiny(centre_activations=True)
    x = torch.randn(4, D_IN) + torch.tensor([[3.0], [-2.0], [0.5], [9.0]])
    mean = x.mean(dim=-1, keepdim=True)
    torch.testing.assert_close(centred.encode(x), plain.encode(x - mean))
    torch.testing.assert_close(centred.reconstruct(x), plain.reconstruct(x - mean) + mean)
    # The whole point: a shift along the ones, which a centred model cannot have, changes nothing.
    torch.testing.assert_close(centred.encode(x + 5), centred.encode(x), rtol=1e-5, atol=1e-5)
    assert centred.is_per_token
    assert not plain.is_per_token
    torch.testing.assert_close(centred.token_scale(x), torch.ones(4, 1))


@pytest.mark.parametrize("facts", [
    {"normalize_activations": "layer_norm"},
    {"normalize_activations": "constant_norm_rescale"},
    {"centre_activations": True},
])  # fmt: skip
def test_decoding_what_was_normalised_needs_the_activation(facts):
    sae = tiny(**facts)
    with pytest.raises(SAEError, match="pass them as `like`"):
        sae.decode(torch.zeros(2, D_SAE))


def test_layer_norm_and_centring_together_undo_both():
    x = torch.randn(3, D_IN) * 4 + 7
    both = tiny(normalize_activations="layer_norm", centre_activations=True)
    alone = tiny(normalize_activations="layer_norm")
    torch.testing.assert_close(both.encode(x), alone.encode(x), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(both.reconstruct(x), alone.reconstruct(x), rtol=1e-4, atol=1e-4)


def test_the_direction_is_the_decoder_row_in_the_models_space():
    sae = tiny()
    assert torch.equal(sae.direction([7, 2]), sae.decoder[[7, 2]])
    unit = tiny(rescale_acts_by_decoder_norm=True)
    torch.testing.assert_close(unit.direction([7, 2]).norm(dim=-1), torch.ones(2))
    torch.testing.assert_close(unit.decoder_norm, sae.decoder.norm(dim=-1))


def test_a_zero_activation_encodes_to_finite_numbers():
    for kind in ("none", "constant_norm_rescale", "layer_norm"):
        sae = tiny(normalize_activations=kind)
        x = torch.zeros(2, D_IN)
        assert torch.isfinite(sae.encode(x)).all()
        assert torch.isfinite(sae.reconstruct(x)).all()


def test_a_feature_without_a_decoder_row_is_nothing_rather_than_nan():
    sae = tiny(rescale_acts_by_decoder_norm=True)
    sae.weights.w_dec[4] = 0
    recon = sae.reconstruct(torch.randn(5, D_IN))
    assert torch.isfinite(recon).all()


@pytest.mark.parametrize("feature", [-1, D_SAE])
def test_a_feature_out_of_range_is_refused(feature):
    with pytest.raises(SAEError, match=f"between 0 and {D_SAE - 1}.*got {feature}"):
        tiny().check_features([0, feature])
    with pytest.raises(SAEError, match="between 0 and"):
        tiny().direction([feature])


def test_an_activation_of_another_width_is_refused():
    with pytest.raises(SAEError, match="width 6; got 8"):
        tiny().encode(torch.zeros(2, 8))


def test_heads_are_taken_side_by_side():
    sae = tiny(reshape_activations="hook_z")
    x = torch.randn(2, 3, D_IN)
    assert torch.equal(sae.encode(x.unflatten(-1, (2, 3))), sae.encode(x))


def test_to_changes_the_arithmetic_and_leaves_the_original():
    sae = tiny()
    wide = sae.to(dtype=torch.float64)
    assert wide.encode(torch.zeros(1, D_IN)).dtype == torch.float64
    assert wide.dtype == torch.float64
    assert sae.dtype == torch.float32
    assert wide.device == sae.device


def test_topk_keeps_k_and_is_not_separable():
    sae = tiny(architecture="topk", k=3)
    acts = sae.encode(torch.randn(50, D_IN) * 5)
    assert int((acts > 0).sum(dim=-1).max()) == 3
    assert not sae.is_separable
    assert tiny().is_separable


def test_a_transcoder_cannot_subtract_its_output_bias():
    with pytest.raises(SAEError, match="apply_b_dec_to_input must be false"):
        tiny(transcoder=True, apply_b_dec_to_input=True)
