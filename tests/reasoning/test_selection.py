"""Drawing rules by their probabilities."""

import torch

from reasoning.learners.soft.selection import mixture, sample_rules


def test_rules_are_drawn_by_their_probabilities():
    # 20,000 draws: each share is within 4 standard errors.
    probabilities = torch.tensor([0.5, 0.0, 0.3, 0.2])
    n = 20_000
    drawn = sample_rules(probabilities.expand(n, 4), torch.Generator().manual_seed(0))
    assert torch.equal(drawn.sum(-1), torch.ones(n))
    error = (probabilities * (1 - probabilities) / n).sqrt()
    assert bool(((drawn.mean(0) - probabilities).abs() <= 4 * error).all())


def test_a_sure_rule_is_always_drawn():
    for rule in range(3):
        sure = torch.eye(3)[rule].expand(500, 3)
        assert torch.equal(sample_rules(sure, torch.Generator().manual_seed(rule)), sure)


def test_a_drawn_rule_is_its_output():
    spectra = torch.randn(5, 3, 7, dtype=torch.complex64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(mixture(torch.eye(3)[[2, 0, 1, 1, 2]], spectra), spectra[range(5), [2, 0, 1, 1, 2]])
