"""Features of an SAE: extracted from a corpus, listed, shown, found and matched."""
