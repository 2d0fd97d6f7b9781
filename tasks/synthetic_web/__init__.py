"""A small synthetic web about an invented country, written in Common Crawl's layout; the offline demo crawls it.

Notable: the truth about each page is known, so a run can be scored stage by stage. The country's facts exist nowhere
else, so a right answer from the model proves the chain from bytes to chat.
"""

from tasks.synthetic_web.chat_data import QUESTIONS_FILE, TRAIN_FILE, Question, read_questions, showcase_question
from tasks.synthetic_web.generation import SyntheticWebSummary, generate_synthetic_web, read_summary
from tasks.synthetic_web.starter_chat import write_starter_chat
from tasks.synthetic_web.texts.config import SyntheticWebConfig
from tasks.synthetic_web.truth import TRUTH_FILE, PageTruth, read_truth

__all__ = [
    "QUESTIONS_FILE",
    "TRAIN_FILE",
    "TRUTH_FILE",
    "PageTruth",
    "Question",
    "SyntheticWebConfig",
    "SyntheticWebSummary",
    "generate_synthetic_web",
    "read_questions",
    "read_summary",
    "read_truth",
    "showcase_question",
    "write_starter_chat",
]
