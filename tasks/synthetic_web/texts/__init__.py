"""What the pages of the synthetic web say: the country, its facts, articles, poor texts and other languages."""
