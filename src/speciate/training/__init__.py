"""Training: a node of the run tree and its stream of samples become checkpoints and measurements.

Modules that import torch (model, attention, step, checkpoint, node, export) are imported by the worker processes
only; the executor and the worker's main loop do without it.
"""
