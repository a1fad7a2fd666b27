"""The best of many models: Keras Tuner's names over Optuna's samplers, with trials in child processes."""
