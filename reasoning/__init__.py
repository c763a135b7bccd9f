"""Perception front-ends, abductive learners, training, benchmark and explanation."""

from reasoning._rooms import claim_datasets

datasets = claim_datasets()  # before any module here imports it: another package of that name may be installed
