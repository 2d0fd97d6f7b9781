"""OpenAI's interface as JSON: requests read and checked, prompts, answers and errors written. Knows no HTTP server."""
