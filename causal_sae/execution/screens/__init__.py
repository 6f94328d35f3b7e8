"""Every feature on every prompt: to first order by a gradient, exactly by ablation."""
