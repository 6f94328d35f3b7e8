"""Build the SmolLM2-135M-Instruct layer-8 SAE: corpus, activations, training, model card."""
