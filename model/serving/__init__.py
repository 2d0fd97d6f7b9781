"""An exported model behind HTTP: OpenAI's interface, a web page, and where in the crawl an answer's words stand."""
