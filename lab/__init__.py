"""The lab: small real GRPO trainings on one CPU core, in which we know what went wrong and when.

Start with README.md; each module is one stage, in this order: task, countdown, policy, sampler, warmstart,
train, faults, run, figure.
"""
